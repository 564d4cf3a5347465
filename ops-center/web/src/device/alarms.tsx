import { age, date } from '../format.ts';
import { type Key, useLanguage } from '../i18n/index.ts';
import { labelOf } from '../live/dictionary.ts';
import { PrioritySymbol } from '../panels/symbol.tsx';
import { why } from '../register/words.ts';
import { useAsked } from '../shell/gate.tsx';
import { type DeviceAlarm, device } from './api.ts';

const STATES: Record<string, Key> = {
  unacknowledged: 'device.alarm.unacknowledged',
  acknowledged: 'device.alarm.acknowledged',
  returned: 'device.alarm.returned',
  shelved: 'device.alarm.shelved',
  suppressed: 'device.alarm.suppressed',
  out_of_service: 'device.alarm.out_of_service',
  normal: 'device.alarm.normal',
};

/** What is open of it, and what was in the last thirty days. */
export function Alarms({ id }: { id: string }) {
  const { t } = useLanguage();
  const open = useAsked(`open ${id}`, (signal) => device.open(id, signal), 5000);
  const past = useAsked(`past ${id}`, (signal) => device.past(id, signal), 60_000);
  const error = open.error ?? past.error;
  return (
    <>
      {error !== undefined && (
        <p className="problem" role="alert">
          {why(t, error)}
        </p>
      )}
      <h3>{t('device.alarms')}</h3>
      <Table list={open.value} none={t('device.noAlarms')} />
      <h3>{t('device.alarmsPast')}</h3>
      <Table list={past.value?.alarms} none={t('device.noAlarmsPast')} />
      {past.value?.more && <p className="hint">{t('device.moreAlarms')}</p>}
    </>
  );
}

function Table({ list, none }: { list: readonly DeviceAlarm[] | undefined; none: string }) {
  const { lang, t } = useLanguage();
  if (!list) return <p className="empty">…</p>;
  if (list.length === 0) return <p className="empty">{none}</p>;
  return (
    <div className="scroll">
      <table>
        <thead>
          <tr>
            <th scope="col">{t('device.priority')}</th>
            <th scope="col">{t('device.what')}</th>
            <th scope="col">{t('device.state')}</th>
            <th scope="col">{t('device.began')}</th>
            <th scope="col">{t('device.lasted')}</th>
            <th scope="col">{t('device.acknowledgedBy')}</th>
          </tr>
        </thead>
        <tbody>
          {list.map((a) => (
            <tr key={a.id}>
              <td>
                <span className="priority">
                  <PrioritySymbol priority={a.priority} size={14} quiet={a.cleared !== undefined} />{' '}
                  {a.priority} {t(`priority.${a.priority}`)}
                </span>
              </td>
              <td>
                {labelOf(a.ruleName, lang, a.rule)}
                <small>
                  {labelOf(a.message, lang, '')}
                  {a.exercise && ` · ${t('warnings.exercise')}`}
                </small>
              </td>
              <td>{STATES[a.state] ? t(STATES[a.state]) : a.state}</td>
              <td>{date(lang, 'full', Date.parse(a.raised))}</td>
              <td>{age(lang, (a.cleared ? Date.parse(a.cleared) : Date.now()) - Date.parse(a.raised))}</td>
              <td>
                {a.acknowledged?.by ?? '–'}
                {a.acknowledged && <small>{date(lang, 'full', Date.parse(a.acknowledged.at))}</small>}
              </td>
            </tr>
          ))}
        </tbody>
      </table>
    </div>
  );
}
