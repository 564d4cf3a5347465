import { useEffect, useRef, useState } from 'react';
import { useLanguage } from '../i18n/index.ts';
import { type Change, type Life, register } from './api.ts';
import { type Draft, EMPTY, Fields, placeOf } from './fields.tsx';
import type { Choices } from './page.tsx';
import { why } from './words.ts';

/** Adds one device and shows its token, which nobody is shown again. */
export function AddDialog({
  choices,
  onDone,
  onAdded,
}: {
  choices: Choices;
  onDone: (id?: string) => void;
  onAdded: () => void;
}) {
  const { t } = useLanguage();
  const dialog = useRef<HTMLDialogElement>(null);
  const [id, setId] = useState('');
  const [state, setState] = useState<Life>('active');
  const [draft, setDraft] = useState<Draft>(EMPTY);
  const [error, setError] = useState<unknown>(undefined);
  const [busy, setBusy] = useState(false);
  const [made, setMade] = useState<{ id: string; token: string } | undefined>(undefined);
  const [copied, setCopied] = useState(false);
  useEffect(() => dialog.current?.showModal(), []);

  const add = async () => {
    const place = placeOf(draft);
    if (place === undefined) return;
    setBusy(true);
    setError(undefined);
    const { lat: _lat, lon: _lon, ...texts } = draft;
    const device: Change & { id: string; profile: string } = { id: id.trim(), profile: draft.profile, state };
    for (const [key, value] of Object.entries(texts)) {
      if (value.trim()) device[key as keyof typeof texts] = value.trim().normalize('NFC');
    }
    if (place) device.at = place;
    try {
      setMade(await register.add(device));
      onAdded();
    } catch (e) {
      setError(e);
    } finally {
      setBusy(false);
    }
  };

  return (
    <dialog
      ref={dialog}
      className="note add"
      aria-labelledby="add-title"
      onClose={() => onDone(made?.id)}
      // Esc would throw the token away, or what was typed.
      onCancel={(e) => {
        if (made || id || draft !== EMPTY) e.preventDefault();
      }}
    >
      <form
        onSubmit={(e) => {
          e.preventDefault();
          void add();
        }}
      >
        <h2 id="add-title">{made ? t('register.added', { id: made.id }) : t('register.add')}</h2>
        {made ? (
          <>
            <p>{t('register.tokenOnce')}</p>
            <output className="token">{made.token}</output>
            <div className="buttons">
              <button
                type="button"
                onClick={() => {
                  // A page that is not served over TLS has no clipboard: the token can be selected.
                  navigator.clipboard?.writeText(made.token).then(
                    () => setCopied(true),
                    () => undefined,
                  );
                }}
                disabled={!navigator.clipboard}
              >
                {t(copied ? 'register.copied' : 'register.copy')}
              </button>
              <button type="button" className="main" onClick={() => dialog.current?.close()}>
                {t('register.tokenKept')}
              </button>
            </div>
          </>
        ) : (
          <>
            <div className="pair">
              <label>
                {t('register.id')}
                <input
                  name="id"
                  value={id}
                  required
                  maxLength={64}
                  pattern="[A-Za-z0-9][A-Za-z0-9_\-]*"
                  title={t('line.id', { value: id })}
                  autoComplete="off"
                  spellCheck={false}
                  onChange={(e) => setId(e.target.value)}
                />
              </label>
              <label>
                {t('device.state')}
                <select name="state" value={state} onChange={(e) => setState(e.target.value as Life)}>
                  {(['active', 'announced', 'quarantined'] as const).map((s) => (
                    <option key={s} value={s}>
                      {t(`life.${s}`)}
                    </option>
                  ))}
                </select>
              </label>
            </div>
            <Fields
              draft={draft}
              choices={choices}
              disabled={busy}
              onChange={(part) => setDraft((d) => ({ ...d, ...part }))}
            />
            {error !== undefined && (
              <p className="problem" role="alert">
                {why(t, error)}
              </p>
            )}
            <div className="buttons">
              <button type="button" onClick={() => dialog.current?.close()}>
                {t('alarms.cancel')}
              </button>
              <button
                type="submit"
                className="main"
                disabled={busy || !id.trim() || !draft.profile || placeOf(draft) === undefined}
              >
                {t('register.add')}
              </button>
            </div>
          </>
        )}
      </form>
    </dialog>
  );
}
