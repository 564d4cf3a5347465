import { useEffect, useState } from 'react';
import { age } from '../format.ts';
import { useLanguage } from '../i18n/index.ts';
import { type Change, type Dossier, type Field, type Life, register } from './api.ts';
import { type Draft, EMPTY, Fields, placeOf } from './fields.tsx';
import type { Choices } from './page.tsx';
import { PRESENCE, ruleText, why } from './words.ts';

const AGAIN = 5000;
const TEXTS: readonly Field[] = ['name', 'profile', 'owner', 'site', 'upstream', 'model', 'firmware'];

function draftOf(d: Dossier): Draft {
  const draft = { ...EMPTY };
  for (const field of TEXTS) draft[field] = d[field] ?? '';
  // Of a moving device the place is where it was last, and nobody's to change.
  if (d.at) [draft.lon, draft.lat] = [String(d.at[0]), String(d.at[1])];
  return draft;
}

/** Everything the register says of one device, to be read and changed. */
export function Detail({
  id,
  may,
  choices,
  onClose,
  onChanged,
  onChildren,
  onChoose,
}: {
  id: string;
  may: boolean;
  choices: Choices;
  onClose: () => void;
  onChanged: () => void;
  onChildren: (id: string) => void;
  onChoose: (id: string) => void;
}) {
  const { lang, t } = useLanguage();
  const [known, setKnown] = useState<{ device: Dossier; tag: string } | undefined>(undefined);
  const [draft, setDraft] = useState<Draft>(EMPTY);
  const [error, setError] = useState<unknown>(undefined);
  const [said, setSaid] = useState('');
  const [busy, setBusy] = useState(false);
  const [sure, setSure] = useState<Life | undefined>(undefined);
  const [asked, setAsked] = useState(0);

  // biome-ignore lint/correctness/useExhaustiveDependencies: asked again after somebody else's change
  useEffect(() => {
    const abort = new AbortController();
    register.device(id, abort.signal).then(
      (answer) => {
        setKnown(answer);
        setDraft(draftOf(answer.device));
        setError(undefined);
      },
      (e: unknown) => {
        if (!abort.signal.aborted) setError(e);
      },
    );
    return () => abort.abort();
  }, [id, asked]);

  // Presence goes on while somebody looks. A changed entry is not taken over under their hands: saving
  // tells them of it.
  useEffect(() => {
    const timer = setInterval(() => {
      if (document.hidden) return;
      register.device(id).then(
        (answer) => setKnown((now) => (now?.tag === answer.tag ? answer : now)),
        () => undefined,
      );
    }, AGAIN);
    return () => clearInterval(timer);
  }, [id]);

  const device = known?.device;
  const change = async (what: Change) => {
    setBusy(true);
    setSaid('');
    setSure(undefined);
    try {
      const answer = await register.change(id, what, known?.tag);
      setKnown(answer);
      setDraft(draftOf(answer.device));
      setError(undefined);
      setSaid(t('register.saved'));
      onChanged();
    } catch (e) {
      setError(e);
    } finally {
      setBusy(false);
    }
  };
  const difference = (): Change => {
    const what: Change = {};
    if (!device) return what;
    const before = draftOf(device);
    for (const field of TEXTS) if (draft[field].trim() !== before[field]) what[field] = draft[field].trim();
    if (draft.lat !== before.lat || draft.lon !== before.lon) {
      const place = placeOf(draft);
      if (place !== undefined) what.at = place;
    }
    return what;
  };
  const dirty = device !== undefined && Object.keys(difference()).length > 0;

  return (
    <section className="panel dossier" aria-label={t('device.panel')}>
      <div className="device-head">
        <div>
          <h2>{device?.name || id}</h2>
          <p>
            <code>{id}</code>
            {device && (
              <>
                {' '}
                · <b className={`presence ${device.presence.state}`}>{t(PRESENCE[device.presence.state])}</b>
                {device.presence.since && (
                  <>
                    {' '}
                    · {t('device.heard', { age: age(lang, Date.now() - Date.parse(device.presence.since)) })}
                  </>
                )}
              </>
            )}
          </p>
        </div>
        <button type="button" className="icon" aria-label={t('device.close')} onClick={onClose}>
          ×
        </button>
      </div>
      {device && (
        <div className="device-scroll">
          <div className="life-line">
            <span>
              {t('device.state')}: <b>{t(`life.${device.state}`)}</b>
            </span>
            {may &&
              device.next.map((state) => (
                <button
                  key={state}
                  type="button"
                  disabled={busy}
                  className={state === 'active' ? 'main' : ''}
                  onClick={() => (state === 'retired' ? setSure(state) : void change({ state }))}
                >
                  {t(`become.${state}`)}
                </button>
              ))}
          </div>
          {sure && (
            <p className="sure" role="alert">
              {t('register.sure')}{' '}
              <button type="button" onClick={() => void change({ state: sure })}>
                {t(`become.${sure}`)}
              </button>{' '}
              <button type="button" onClick={() => setSure(undefined)}>
                {t('alarms.cancel')}
              </button>
            </p>
          )}
          {device.deviations.length > 0 && (
            <ul className="deviations" aria-label={t('register.deviating')}>
              {device.deviations.map((d) => (
                <li key={d.rule} title={d.detail}>
                  {ruleText(t, d.rule, d.detail)}
                </li>
              ))}
            </ul>
          )}
          <form
            onSubmit={(e) => {
              e.preventDefault();
              if (dirty && placeOf(draft) !== undefined) void change(difference());
            }}
          >
            <Fields
              draft={draft}
              choices={choices}
              disabled={!may}
              onChange={(part) => setDraft((d) => ({ ...d, ...part }))}
            />
            {device.owner && (
              <Head
                key={`${device.owner} ${device.head}`}
                device={device}
                may={may}
                onNamed={() => setAsked((n) => n + 1)}
              />
            )}
            <p className="said" role="status">
              {said}
            </p>
            {error !== undefined && (
              <p className="problem" role="alert">
                {why(t, error)}{' '}
                <button type="button" onClick={() => setAsked((n) => n + 1)}>
                  {t('register.reload')}
                </button>
              </p>
            )}
            {may && (
              <div className="buttons">
                <button type="button" disabled={!dirty || busy} onClick={() => setDraft(draftOf(device))}>
                  {t('alarms.cancel')}
                </button>
                <button
                  type="submit"
                  className="main"
                  disabled={!dirty || busy || placeOf(draft) === undefined}
                >
                  {t('register.save')}
                </button>
              </div>
            )}
          </form>
          <p className="links">
            <a href={`/devices/${encodeURIComponent(id)}`}>{t('device.open')}</a>
            {device.upstream && (
              <button type="button" className="link" onClick={() => onChoose(device.upstream ?? '')}>
                {t('device.upstream')} {device.upstream}
              </button>
            )}
            <button type="button" className="link" onClick={() => onChildren(id)}>
              {t('register.children')}
            </button>
          </p>
          {device.presence.from && (
            <p className="hint">
              {device.presence.via?.toUpperCase()} {device.presence.from}
            </p>
          )}
        </div>
      )}
      {!device && error !== undefined && (
        <p className="problem" role="alert">
          {t('device.failed', { reason: why(t, error) })}
        </p>
      )}
    </section>
  );
}

/** Who heads the department: one name for all its devices. */
function Head({ device, may, onNamed }: { device: Dossier; may: boolean; onNamed: () => void }) {
  const { t } = useLanguage();
  const [name, setName] = useState(device.head ?? '');
  const [error, setError] = useState<unknown>(undefined);
  return (
    <div className="head">
      <label>
        {t('register.head')}
        <input
          name="head"
          value={name}
          disabled={!may}
          maxLength={200}
          onChange={(e) => setName(e.target.value)}
        />
      </label>
      {may && name.trim() !== (device.head ?? '') && (
        <button
          type="button"
          onClick={() => {
            register.nameHead(device.owner ?? '', name.trim().normalize('NFC'), '').then(onNamed, setError);
          }}
        >
          {t('register.nameHead')}
        </button>
      )}
      {error !== undefined && <p className="problem">{why(t, error)}</p>}
    </div>
  );
}
