import { useState } from 'react';
import { date, number } from '../format.ts';
import { type Key, type Translate, useLanguage } from '../i18n/index.ts';
import { labelOf } from '../live/dictionary.ts';
import { why } from '../register/words.ts';
import { useAsked } from '../shell/gate.tsx';
import { device, type Quantity, type Refusal } from './api.ts';
import { qualityText } from './history.tsx';
import { dump } from './series.ts';

const REASONS: Record<string, Key> = {
  unknown_device: 'device.reason.unknown_device',
  bad_credential: 'device.reason.bad_credential',
  quarantined: 'device.reason.quarantined',
  foreign_device: 'device.reason.foreign_device',
  bad_topic: 'device.reason.bad_topic',
  cloned: 'device.reason.cloned',
  foreign_prefix: 'device.reason.foreign_prefix',
  too_large: 'device.reason.too_large',
  bad_format: 'device.reason.bad_format',
  malformed: 'device.reason.malformed',
  bad_version: 'device.reason.bad_version',
  mandatory_label: 'device.reason.mandatory_label',
  empty: 'device.reason.empty',
  unknown_quantity: 'device.reason.unknown_quantity',
  bad_unit: 'device.reason.bad_unit',
  not_a_number: 'device.reason.not_a_number',
  out_of_range: 'device.reason.out_of_range',
  bad_position: 'device.reason.bad_position',
  swapped_position: 'device.reason.swapped_position',
  clock_suspect: 'device.reason.clock_suspect',
  busy: 'device.reason.busy',
  unavailable: 'device.reason.unavailable',
  shutting_down: 'device.reason.shutting_down',
};

/** Why something was not taken; the server's own word for a reason this page does not know. */
export function reasonText(t: Translate, reason: string): string {
  const key = REASONS[reason];
  return key ? t(key) : reason;
}

/** What came in lately, and what was not taken, byte by byte. */
export function Messages({ id, quantities }: { id: string; quantities: readonly Quantity[] }) {
  const { lang, t } = useLanguage();
  const list = useAsked(`messages ${id}`, (signal) => device.messages(id, signal), 5000);
  const refused = useAsked(`refusals ${id}`, (signal) => device.refusals(id, signal), 10_000);
  const name = (quantity: string) =>
    labelOf(quantities.find((q) => q.name === quantity)?.label, lang, quantity);
  const unit = (quantity: string) => {
    const info = quantities.find((q) => q.name === quantity);
    return info?.display || info?.unit || '';
  };
  const error = list.error ?? refused.error;
  return (
    <>
      {error !== undefined && (
        <p className="problem" role="alert">
          {why(t, error)}
        </p>
      )}
      <h3>{t('device.messagesIn')}</h3>
      {list.value?.length === 0 && <p className="empty">{t('device.noMessages')}</p>}
      {list.value && list.value.length > 0 && (
        <div className="scroll">
          <table>
            <thead>
              <tr>
                <th scope="col">{t('device.received')}</th>
                <th scope="col">{t('device.door')}</th>
                <th scope="col">{t('device.address')}</th>
                <th scope="col">{t('device.size')}</th>
                <th scope="col">{t('device.said')}</th>
              </tr>
            </thead>
            <tbody>
              {list.value.map((m) => (
                <tr key={`${m.received} ${m.from} ${m.size} ${m.observations[0]?.time}`}>
                  <td>{date(lang, 'full', Date.parse(m.received))}</td>
                  <td>{m.via.toUpperCase()}</td>
                  <td>
                    <code>{m.from ?? '–'}</code>
                  </td>
                  <td className="n">{m.size ? `${number(lang, m.size)} B` : '–'}</td>
                  <td>
                    {m.observations.map((o) => (
                      <div key={o.time}>
                        {o.values
                          .map(
                            (v) =>
                              `${name(v.quantity)} ${v.value.toLocaleString(lang === 'vi' ? 'vi-VN' : 'en-GB')} ${unit(v.quantity)}${v.sent ? ` (${t('device.sentAs', { unit: v.sent })})` : ''}`,
                          )
                          .join(' · ')}
                        <small>
                          {t('device.observed', { time: date(lang, 'full', Date.parse(o.time)) })}
                          {(o.qualities ?? []).map((q) => ` · ${qualityText(t, q)}`).join('')}
                          {o.deviceTime &&
                            ` · ${t('device.itsClock', { time: date(lang, 'full', Date.parse(o.deviceTime)) })}`}
                        </small>
                      </div>
                    ))}
                  </td>
                </tr>
              ))}
            </tbody>
          </table>
        </div>
      )}
      <h3>{t('device.refusedTitle')}</h3>
      {refused.value?.refusals.length === 0 && <p className="empty">{t('device.noRefusals')}</p>}
      <ul className="refusals">
        {(refused.value?.refusals ?? []).map((r) => (
          <Refused key={`${r.at} ${r.from} ${r.reason} ${r.detail} ${r.payload}`} refusal={r} />
        ))}
      </ul>
    </>
  );
}

function Refused({ refusal: r }: { refusal: Refusal }) {
  const { lang, t } = useLanguage();
  const [asHex, setAsHex] = useState(r.text === undefined);
  const [copied, setCopied] = useState(false);
  const shown = r.payload ? (asHex ? dump(r.payload) : (r.text ?? '')) : '';
  return (
    <li>
      <p>
        <b>{reasonText(t, r.reason)}</b> · {date(lang, 'full', Date.parse(r.at))} · {r.via.toUpperCase()}{' '}
        <code>{r.from}</code>
        {r.kept && <> · {t('device.restKept')}</>}
        {r.retry && <> · {t('device.mayRetry')}</>}
      </p>
      {r.detail && (
        <p className="hint" lang="en">
          {r.detail}
        </p>
      )}
      {r.payload && (
        <>
          {/* biome-ignore lint/a11y/noNoninteractiveTabindex: it scrolls sideways */}
          <pre tabIndex={0}>{shown}</pre>
          <p className="acts">
            {r.text !== undefined && (
              <button type="button" aria-pressed={asHex} onClick={() => setAsHex((v) => !v)}>
                {t('device.hex')}
              </button>
            )}
            <button
              type="button"
              disabled={!navigator.clipboard}
              onClick={() => {
                navigator.clipboard.writeText(shown).then(
                  () => setCopied(true),
                  () => setCopied(false),
                );
              }}
            >
              {t(copied ? 'register.copied' : 'register.copy')}
            </button>
          </p>
        </>
      )}
    </li>
  );
}
