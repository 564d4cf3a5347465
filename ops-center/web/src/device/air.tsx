import { date, number } from '../format.ts';
import { useLanguage } from '../i18n/index.ts';
import { labelOf } from '../live/dictionary.ts';
import { why } from '../register/words.ts';
import { useAsked } from '../shell/gate.tsx';
import { device } from './api.ts';

/** VN_AQI of the last hour with its band in words and a digit, and the 24 hours before it. */
export function Air({ id }: { id: string }) {
  const { lang, t } = useLanguage();
  const { value: air, error } = useAsked(`air ${id}`, (signal) => device.air(id, signal), 60_000);
  if (error !== undefined) {
    return <p className="hint">{t('device.airFailed', { reason: why(t, error) })}</p>;
  }
  if (!air) return null;
  const last = air.hours.at(-1);
  const index = last?.index;
  const step = (key: string) => air.bands.findIndex((b) => b.key === key) + 1;
  return (
    <section className="air" aria-label="VN_AQI">
      <h3>VN_AQI</h3>
      {index ? (
        <p>
          <b>{number(lang, index.value)}</b> {labelOf(index.band.name, lang, index.band.key)} (
          {t('device.airBand', { n: step(index.band.key), all: air.bands.length })})
          <small>
            {t('device.airMain', { what: index.main.toUpperCase().replace('PM25', 'PM2,5') })} ·{' '}
            {date(lang, 'minute', Date.parse(last.end))}
          </small>
        </p>
      ) : (
        <p>{t('device.airNone')}</p>
      )}
      {air.hours.some((h) => h.index) && (
        <ol className="airhours" aria-label={t('device.airHours')}>
          {air.hours.map((h) => (
            <li
              key={h.end}
              title={`${date(lang, 'minute', Date.parse(h.end))}: ${h.index ? number(lang, h.index.value) : '–'}`}
            >
              <i
                style={{ height: `${h.index ? Math.min(100, Math.max(4, h.index.value / 3)) : 0}%` }}
                className={h.index ? `b${step(h.index.band.key)}` : 'none'}
              />
              <span className="aside">
                {date(lang, 'minute', Date.parse(h.end))}: {h.index ? number(lang, h.index.value) : '–'}
              </span>
            </li>
          ))}
        </ol>
      )}
      <p className="hint">
        {air.reference && `${labelOf(air.label, lang, '')}. `}
        {labelOf(air.method, lang, '')}
      </p>
    </section>
  );
}
