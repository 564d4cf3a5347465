import { type FormEvent, useEffect, useRef, useState } from 'react';
import { useLanguage } from '../i18n/index.ts';
import { labelOf } from '../live/dictionary.ts';
import { reason } from '../panels/context.ts';
import { type DisplayState, scenesApi } from './api.ts';

/** Makes the link that opens a display on its machine; its token is shown once and ends by itself. */
export function LinkDialog({ display, onDone }: { display: DisplayState; onDone: () => void }) {
  const { lang, t } = useLanguage();
  const dialog = useRef<HTMLDialogElement>(null);
  useEffect(() => dialog.current?.showModal(), []);
  const [days, setDays] = useState('366');
  const [networks, setNetworks] = useState('');
  const [link, setLink] = useState('');
  const [copied, setCopied] = useState(false);
  const [busy, setBusy] = useState(false);
  const [error, setError] = useState<unknown>(undefined);
  const name = labelOf(display.name, lang, display.id);
  const make = (e: FormEvent) => {
    e.preventDefault();
    const from = networks.split(/[\s,;]+/).filter(Boolean);
    setBusy(true);
    setError(undefined);
    scenesApi
      .addToken(display.id, {
        name: display.id,
        purpose: t('scenes.link.purpose', { name }),
        days: Number(days),
        ...(from.length > 0 ? { networks: from } : {}),
      })
      .then((made) => setLink(`${location.origin}/#token=${encodeURIComponent(made.secret)}`), setError)
      .finally(() => setBusy(false));
  };
  return (
    <dialog
      ref={dialog}
      className="note"
      onClose={onDone}
      onCancel={(e) => {
        // The link is not shown again.
        if (link) e.preventDefault();
      }}
      aria-labelledby="link-title"
    >
      <h2 id="link-title">{t('scenes.linkOf', { name })}</h2>
      {link ? (
        <>
          <p>{t('scenes.link.once')}</p>
          <output className="secret">{link}</output>
          <div className="buttons">
            <button
              type="button"
              onClick={() => {
                // A page that is not served over TLS has no clipboard: the text can be selected.
                navigator.clipboard?.writeText(link).then(
                  () => setCopied(true),
                  () => undefined,
                );
              }}
            >
              {t(copied ? 'people.copied' : 'people.copy')}
            </button>
            <button type="button" className="main" onClick={onDone}>
              {t('people.kept')}
            </button>
          </div>
        </>
      ) : (
        <form onSubmit={make}>
          <p>{t('scenes.link.text')}</p>
          <label>
            {t('people.days')}
            <input
              type="number"
              min={1}
              max={366}
              value={days}
              onChange={(e) => setDays(e.target.value)}
              required
            />
          </label>
          <label>
            {t('people.networks')}
            <input
              value={networks}
              onChange={(e) => setNetworks(e.target.value)}
              placeholder="2001:db8:7::/48"
              spellCheck={false}
            />
            <small>{t('people.networksHint')}</small>
          </label>
          {error !== undefined && (
            <p className="problem" role="alert">
              {reason(t, error)}
            </p>
          )}
          <div className="buttons">
            <button type="button" onClick={onDone}>
              {t('scenes.close')}
            </button>
            <button type="submit" className="main" disabled={busy}>
              {t('scenes.link.make')}
            </button>
          </div>
        </form>
      )}
    </dialog>
  );
}
