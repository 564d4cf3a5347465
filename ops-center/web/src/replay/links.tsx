import './links.css';
import { date, number } from '../format.ts';
import { useLanguage } from '../i18n/index.ts';
import type { PushedReplay } from '../scenes/api.ts';

/** The page of a device, from a replay around the moment that is shown. */
export function deviceAddress(id: string, at: number | undefined, quantity: string): string {
  const page = `/devices/${encodeURIComponent(id)}`;
  if (at === undefined) return page;
  const query = new URLSearchParams({ at: new Date(at).toISOString() });
  if (quantity) query.set('q', quantity);
  return `${page}?${query}`;
}

/** The moment that a page beside the wall was asked about, as ?at= or ?replay=. */
export function momentAsked(search = location.search): number | undefined {
  const asked = new URLSearchParams(search);
  const text = asked.get('at') ?? asked.get('replay');
  if (!text) return undefined;
  const at = /^\d+$/.test(text) ? Number(text) : Date.parse(text);
  return Number.isFinite(at) && at <= Date.now() ? at : undefined;
}

/** That a display showed the past, and which moment it was at. */
export function Replayed({ of, at }: { of: PushedReplay | undefined; at: number }) {
  const { lang, t } = useLanguage();
  if (!of) return null;
  const moment = Date.parse(of.at) + (at - Date.parse(of.since ?? of.at)) * of.speed;
  return (
    <small className="replayed">
      {' '}
      {t('replay.mark')} {date(lang, 'full', Math.min(moment, at))} · {number(lang, of.speed)}×
    </small>
  );
}

/**
 * Says on a page that always shows the present that it does so, to whoever came
 * to it out of the past; of: what of the page is about the moment all the same.
 */
export function NotThePast({ of }: { of: 'desk' | 'device' }) {
  const { lang, t } = useLanguage();
  const at = momentAsked();
  if (at === undefined) return null;
  const time = date(lang, 'full', at);
  return (
    <p className="not-past" role="note">
      {t(of === 'desk' ? 'replay.deskIsNow' : 'replay.deviceAround', { time })}{' '}
      <a href={`/?replay=${new Date(at).toISOString()}&paused=1`}>{t('replay.wallThen')}</a>
    </p>
  );
}
