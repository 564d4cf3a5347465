import { age, date, number } from '../format.ts';
import { type Key, useLanguage } from '../i18n/index.ts';
import { PRESENCE, why } from '../register/words.ts';
import { useAsked } from '../shell/gate.tsx';
import { device, type Traffic } from './api.ts';
import { reasonText } from './messages.tsx';

const FAMILY: Record<string, Key> = {
  'v6-only': 'device.family.v6',
  'v4-only': 'device.family.v4',
  dual: 'device.family.dual',
  unknown: 'device.family.unknown',
  unheard: 'device.family.unheard',
};

/** A device as a node of the network: where it spoke from, how much, how far away it is. */
export function Connection({ id }: { id: string }) {
  const { lang, t } = useLanguage();
  const { value: net, error } = useAsked(`net ${id}`, (signal) => device.network(id, signal), 5000);
  if (error !== undefined && !net) {
    return (
      <p className="problem" role="alert">
        {why(t, error)}
      </p>
    );
  }
  if (!net) return <p className="empty">…</p>;
  const when = (text: string | undefined) => (text ? date(lang, 'full', Date.parse(text)) : '–');
  const much = (x: Traffic) =>
    t('device.traffic', {
      messages: number(lang, x.messages),
      values: number(lang, x.values),
      bytes: bytes(lang, x.bytes),
    });
  return (
    <>
      {net.isCloned && (
        <p className="problem" role="alert">
          {t('device.cloned')}
        </p>
      )}
      <dl className="facts">
        <dt>{t('device.presence')}</dt>
        <dd>
          {t(PRESENCE[net.presence])}
          {net.because && (
            <>
              {' '}
              · {t('device.because')}{' '}
              <a href={`/devices/${encodeURIComponent(net.because)}`}>{net.because}</a>
            </>
          )}
        </dd>
        <dt>{t('device.heardSpan')}</dt>
        <dd>
          {when(net.first)} – {when(net.last)} ({net.via.toUpperCase()})
        </dd>
        <dt>{t('device.family')}</dt>
        <dd>{FAMILY[net.family] ? t(FAMILY[net.family]) : net.family}</dd>
        <dt>{t('device.site')}</dt>
        <dd>{[net.site, net.carrier].filter(Boolean).join(' · ') || t('device.noSite')}</dd>
        <dt>{t('device.upstream')}</dt>
        <dd>
          {net.upstream ? (
            <a href={`/devices/${encodeURIComponent(net.upstream)}`}>{net.upstream}</a>
          ) : (
            t('device.direct')
          )}
          {net.children > 0 && (
            <>
              {' '}
              ·{' '}
              <a href={`/devices?upstream=${encodeURIComponent(id)}`}>
                {t('device.children', { count: number(lang, net.children) })}
              </a>
            </>
          )}
        </dd>
        <dt>{t('device.roundTrip')}</dt>
        <dd>
          {net.roundTrip
            ? t('device.roundTripIs', {
                last: number(lang, net.roundTrip.lastMs, 1),
                mean: number(lang, net.roundTrip.meanMs, 1),
                lost: number(lang, net.roundTrip.lost),
                sent: number(lang, net.roundTrip.sent),
              })
            : t('device.notMeasured')}
        </dd>
        <dt>{t('device.link')}</dt>
        <dd>
          {net.link
            ? `${t(net.link.state === 'online' ? 'device.linkUp' : net.link.state === 'offline' ? 'device.linkDown' : 'device.linkUnknown')} · ${when(net.link.at)} · ${t(
                'device.linkCounts',
                {
                  connects: number(lang, net.link.connects),
                  losses: number(lang, net.link.losses),
                  wills: number(lang, net.link.wills),
                },
              )}`
            : t('device.noLink')}
          {net.link?.reason && <small lang="en">{net.link.reason}</small>}
        </dd>
        <dt>{t('device.total')}</dt>
        <dd>
          {much(net.total)}
          <small>
            IPv6: {much(net.v6)} · IPv4: {much(net.v4)}
          </small>
        </dd>
        <dt>{t('device.refusedCount')}</dt>
        <dd>
          {Object.entries(net.refusals ?? {})
            .map(([reason, n]) => `${reasonText(t, reason)}: ${number(lang, n)}`)
            .join(' · ') || t('device.none')}
          {net.overBounds > 0 && (
            <small>{t('device.overBounds', { count: number(lang, net.overBounds) })}</small>
          )}
        </dd>
      </dl>
      <h3>{t('device.addresses')}</h3>
      {net.addresses.length === 0 ? (
        <p className="empty">{t('device.noAddresses')}</p>
      ) : (
        <div className="scroll">
          <table>
            <thead>
              <tr>
                <th scope="col">{t('device.address')}</th>
                <th scope="col">{t('device.door')}</th>
                <th scope="col">{t('device.firstHeard')}</th>
                <th scope="col">{t('device.lastHeard')}</th>
                <th scope="col">{t('device.total')}</th>
              </tr>
            </thead>
            <tbody>
              {net.addresses.map((a) => (
                <tr key={a.address}>
                  <td>
                    <code>{a.address}</code>
                  </td>
                  <td>{a.via.toUpperCase()}</td>
                  <td>{when(a.first)}</td>
                  <td>
                    {when(a.last)}
                    {a.last && (
                      <small>{t('figure.age', { age: age(lang, Date.now() - Date.parse(a.last)) })}</small>
                    )}
                  </td>
                  <td>{much(a)}</td>
                </tr>
              ))}
            </tbody>
          </table>
        </div>
      )}
      {net.older > 0 && (
        <p className="hint">{t('device.olderAddresses', { count: number(lang, net.older) })}</p>
      )}
    </>
  );
}

export function bytes(lang: 'vi' | 'en', n: number): string {
  const units = ['B', 'kB', 'MB', 'GB', 'TB'];
  let at = 0;
  while (n >= 1000 && at < units.length - 1) {
    n /= 1000;
    at++;
  }
  return `${number(lang, n, at === 0 || n >= 100 ? 0 : 1)} ${units[at]}`;
}
