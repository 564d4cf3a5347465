import { useEffect, useState } from 'react';
import { useLanguage } from '../i18n/index.ts';
import { labelOf } from '../live/dictionary.ts';
import { why } from '../register/words.ts';
import { type Limit, rules } from './api.ts';

/** The register of thresholds, with what each rests on. Unknown values are said to be unknown. */
export function Thresholds() {
  const { lang, t } = useLanguage();
  const [limits, setLimits] = useState<Limit[] | undefined>(undefined);
  const [error, setError] = useState<unknown>(undefined);
  useEffect(() => {
    const abort = new AbortController();
    rules.thresholds(abort.signal).then(
      (a) => setLimits(a.limits),
      (e: unknown) => {
        if (!abort.signal.aborted) setError(e);
      },
    );
    return () => abort.abort();
  }, []);
  if (error !== undefined) return <p className="problem">{why(t, error)}</p>;
  if (!limits) return <p className="empty">…</p>;
  if (limits.length === 0) return <p className="empty">{t('rules.noThresholds')}</p>;
  const shown = (v: number) => v.toLocaleString(lang === 'vi' ? 'vi-VN' : 'en-GB');
  const value = (l: Limit) => {
    if (l.value === null) return t('rules.unknown');
    if (l.to === undefined) return shown(l.value);
    if (l.to === null) return `${l.over ? '>' : '≥'} ${shown(l.value)}`;
    return `${l.over ? '> ' : ''}${shown(l.value)} – ${shown(l.to)}`;
  };
  return (
    <section className="thresholds">
      <table>
        <thead>
          <tr>
            <th scope="col">{t('rules.set')}</th>
            <th scope="col">{t('rules.level')}</th>
            <th scope="col">{t('rules.subject')}</th>
            <th scope="col">{t('rules.quantity')}</th>
            <th scope="col">{t('rules.value')}</th>
            <th scope="col">{t('rules.basis')}</th>
            <th scope="col">{t('rules.since')}</th>
          </tr>
        </thead>
        <tbody>
          {limits.map((l) => (
            <tr
              key={[l.set, l.level, l.subject, l.quantity, l.average, l.hours].join('|')}
              className={l.value === null ? 'unknown' : ''}
            >
              <td>{l.set}</td>
              <td>{labelOf(l.name, lang, '')}</td>
              <td>{l.subject === '*' ? t('rules.everybody') : l.subject}</td>
              <td>
                {l.quantity} {l.average ?? l.hours ?? ''}
              </td>
              <td className="n">
                {value(l)} {l.unit.replace('ug', 'µg').replace('m3', 'm³')}
              </td>
              <td>
                {l.basis}
                <small>{l.authority}</small>
              </td>
              <td>{l.validTo ? `${l.validFrom} – ${l.validTo}` : l.validFrom}</td>
            </tr>
          ))}
        </tbody>
      </table>
    </section>
  );
}
