import { useEffect, useState } from 'react';
import { date, number } from '../format.ts';
import { useLanguage } from '../i18n/index.ts';
import { type Receipt, type Subscription, subscriptions } from './api.ts';
import { inWords } from './reasons.ts';

/** What became of the deliveries of one subscription; dead letters first. */
export function Deliveries({
  subscription,
  onResend,
}: {
  subscription: Subscription;
  onResend: (delivery?: string) => void;
}) {
  const { lang, t } = useLanguage();
  const [list, setList] = useState<{ deliveries: Receipt[]; dead: Receipt[] } | undefined>(undefined);
  useEffect(() => {
    const stop = new AbortController();
    subscriptions.deliveries(subscription.id, stop.signal).then(setList, () => undefined);
    return () => stop.abort();
  }, [subscription]);
  const time = (text: string) => date(lang, 'full', Date.parse(text));
  const what = (r: Receipt) => {
    if (r.type === 'test') return t('departments.type.test');
    if (r.type === 'digest') return t('departments.type.digest', { count: number(lang, r.events) });
    const title = r.title?.[lang] ?? r.title?.vi ?? r.title?.en ?? r.kind ?? '';
    return r.exercise ? `${t('departments.drill')} · ${title}` : title;
  };
  const row = (r: Receipt, dead: boolean) => (
    <tr key={`${r.id}${r.at}`} className={r.state}>
      <td>{time(r.at.startsWith('0001') ? r.due : r.at)}</td>
      <td>
        {r.priority ? <b className={`digit p${r.priority}`}>{r.priority}</b> : null} {what(r)}
      </td>
      <td>
        <span className="outcome">
          <i aria-hidden="true" />
          {t(`departments.delivery.${r.state}`)}
        </span>
        {r.answer && !r.error ? ` ${r.answer}` : ''}
        {r.next && r.state !== 'delivered' ? `, ${t('departments.next', { time: time(r.next) })}` : ''}
        {r.error && <small title={r.error}>{inWords(t, r.error)}</small>}
      </td>
      <td className="figure">
        <Tries count={r.attempts} good={r.state === 'delivered'} /> {number(lang, r.attempts)}
      </td>
      <td className="figure">
        {dead ? (
          <button type="button" onClick={() => onResend(r.id)} disabled={r.state === 'resending'}>
            {t('departments.resend')}
          </button>
        ) : r.latency ? (
          `${number(lang, Math.round(r.latency))} ms`
        ) : (
          ''
        )}
      </td>
    </tr>
  );
  const table = (rows: Receipt[], dead: boolean) => (
    <table>
      <thead>
        <tr>
          <th scope="col">{t('departments.time')}</th>
          <th scope="col">{t('departments.message')}</th>
          <th scope="col">{t('departments.result')}</th>
          <th scope="col">{t('departments.attempts')}</th>
          <th scope="col">{t(dead ? 'departments.resend' : 'departments.latency')}</th>
        </tr>
      </thead>
      <tbody>{rows.map((r) => row(r, dead))}</tbody>
    </table>
  );
  if (!list) return null;
  return (
    <div className="scrolled">
      {list.dead.length > 0 && (
        <>
          <div className="dead-head">
            <h3>{t('departments.dead')}</h3>
            <button type="button" onClick={() => onResend()}>
              {t('departments.resendAll')}
            </button>
          </div>
          {table(list.dead, true)}
          {list.deliveries.length > 0 && <h3 className="recent">{t('departments.recent')}</h3>}
        </>
      )}
      {list.deliveries.length === 0 ? (
        <p className="empty">{t('departments.noHistory')}</p>
      ) : (
        table(list.deliveries, false)
      )}
    </div>
  );
}

/** The attempts as they went, drawn: each a bar, the one that arrived in another colour. */
function Tries({ count, good }: { count: number; good: boolean }) {
  const shown = Math.min(count, 8);
  return (
    <svg className="tries" width={shown * 8} height="12" aria-hidden="true">
      {Array.from({ length: shown }, (_, i) => i * 8).map((x) => (
        <rect key={x} x={x} width="6" height="12" className={good && x === (shown - 1) * 8 ? 'good' : ''} />
      ))}
    </svg>
  );
}
