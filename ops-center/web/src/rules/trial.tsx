import { date, elapsed, number } from '../format.ts';
import { useLanguage } from '../i18n/index.ts';
import { labelOf } from '../live/dictionary.ts';
import type { Trial, TrialAlarm } from './api.ts';

const ROWS = 12;
const LISTED = 200;

/** What a rule would have raised: how many a day, when for whom, and each. */
export function TrialResult({ trial, names }: { trial: Trial; names: ReadonlyMap<string, string> }) {
  const { lang, t } = useLanguage();
  const from = Date.parse(trial.from);
  const until = Date.parse(trial.to);
  const span = until - from;
  const at = (time: string) => (100 * (Date.parse(time) - from)) / span;
  const rows = (trial.busiest ?? []).slice(0, ROWS);
  const days = Object.entries(trial.rules[0]?.days ?? {}).sort(([a], [b]) => a.localeCompare(b));
  const most = Math.max(1, ...days.map(([, n]) => n));
  const when = (time: string) => date(lang, 'full', Date.parse(time));
  const lasted = (a: TrialAlarm) =>
    a.cleared ? elapsed(Date.parse(a.cleared) - Date.parse(a.raised)) : t('rules.stillOn');
  const who = (entity: string, device?: string) => {
    const name = names.get(device ?? entity) || entity;
    return device ? <a href={`/devices/${encodeURIComponent(device)}`}>{name}</a> : name;
  };
  const deviceOf = new Map(trial.alarms.map((a) => [a.entity, a.device]));
  return (
    <div className="axis" data-total={trial.total}>
      <p role="status" className="total">
        {t('rules.would', {
          n: number(lang, trial.total),
          readings: number(lang, trial.readings),
          devices: number(lang, trial.devices),
        })}
      </p>
      {trial.explained > 0 && (
        <p className="explained">
          {t('rules.shownOf', { shown: number(lang, trial.shown), explained: number(lang, trial.explained) })}
        </p>
      )}
      {trial.total > 0 && (
        <>
          {days.length > 1 && (
            <ul className="days" aria-label={t('rules.byDay')}>
              {days.map(([day, n]) => (
                <li key={day}>
                  <span>{day.split('-').reverse().slice(0, 2).join('/')}</span>
                  <i aria-hidden="true" style={{ width: `${(100 * n) / most}%` }} />
                  <b>{number(lang, n)}</b>
                </li>
              ))}
            </ul>
          )}
          <div className="rows" aria-hidden="true">
            {rows.map(({ entity }) => (
              <div className="line" key={entity}>
                <span>{names.get(entity) || entity}</span>
                <div className="track">
                  {trial.alarms
                    .filter((a) => a.entity === entity)
                    .map((a) => (
                      <i
                        key={a.raised}
                        className={`p${a.priority}`}
                        style={{
                          left: `${at(a.raised)}%`,
                          width: `${Math.max(0.4, at(a.cleared ?? trial.to) - at(a.raised))}%`,
                        }}
                      />
                    ))}
                </div>
              </div>
            ))}
            <div className="ends">
              <time dateTime={trial.from}>{when(trial.from)}</time>
              <time dateTime={trial.to}>{when(trial.to)}</time>
            </div>
          </div>
          {/* biome-ignore lint/a11y/noNoninteractiveTabindex: it scrolls, and the keys for it need a place */}
          <section className="found" tabIndex={0} aria-label={t('rules.found')}>
            <table>
              <thead>
                <tr>
                  <th scope="col">{t('rules.raised')}</th>
                  <th scope="col">{t('rules.lasted')}</th>
                  <th scope="col">{t('rules.of')}</th>
                  <th scope="col">{t('rules.said')}</th>
                </tr>
              </thead>
              <tbody>
                {trial.alarms.slice(0, LISTED).map((a) => (
                  <tr key={`${a.entity} ${a.raised}`}>
                    <td className="n">{when(a.raised)}</td>
                    <td className="n">{lasted(a)}</td>
                    <td>{who(a.entity, a.device ?? deviceOf.get(a.entity))}</td>
                    <td>
                      {labelOf(a.message, lang, '')}
                      {a.explained && (
                        <small>
                          {' '}
                          {t('rules.explainedBy', { by: names.get(a.explained) ?? a.explained })}
                        </small>
                      )}
                    </td>
                  </tr>
                ))}
              </tbody>
            </table>
            {trial.total > LISTED && <p>{t('rules.more', { n: number(lang, trial.total - LISTED) })}</p>}
          </section>
        </>
      )}
    </div>
  );
}
