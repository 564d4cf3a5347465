import { useState } from 'react';
import type { Session } from '../api.ts';
import { age, date } from '../format.ts';
import { useLanguage } from '../i18n/index.ts';
import { labelOf } from '../live/dictionary.ts';
import { why } from '../register/words.ts';
import { useAsked } from '../shell/gate.tsx';
import { type Command, device, type Profile } from './api.ts';
import { differences } from './series.ts';

/** What every device knows, whatever its profile lists. */
const COMMON = ['report', 'identify', 'reboot'] as const;
const TTLS = ['60s', '10m', '1h', '12h'] as const;

interface Kind {
  name: string;
  label: string;
  dangerous: boolean;
}

/** Tells a device what to do, and shows what became of it; and how it should be against how it says it is. */
export function Commands({
  id,
  profile,
  session,
  may,
}: {
  id: string;
  profile: Profile;
  session: Session;
  may: boolean;
}) {
  const { lang, t } = useLanguage();
  const list = useAsked(`commands ${id}`, (signal) => device.commands(id, signal), 2000);
  const [error, setError] = useState<unknown>(undefined);
  const [busy, setBusy] = useState(false);
  const kinds: Kind[] = [
    ...(profile.commands ?? []).map((k) => ({
      name: k.name,
      label: labelOf(k.label, lang, k.name),
      dangerous: k.dangerous === true,
    })),
    ...COMMON.filter((name) => !profile.commands?.some((k) => k.name === name)).map((name) => ({
      name,
      label: t(`device.command.${name}`),
      dangerous: false,
    })),
  ];
  const act = async (what: () => Promise<unknown>) => {
    setBusy(true);
    try {
      await what();
      setError(undefined);
      return true;
    } catch (e) {
      setError(e);
      return false;
    } finally {
      setBusy(false);
      list.again();
    }
  };
  return (
    <>
      {may && (
        <Send
          kinds={kinds}
          busy={busy}
          onSend={(name, args, ttl) => act(() => device.send(id, name, args, ttl))}
        />
      )}
      {(error ?? list.error) !== undefined && (
        <p className="problem" role="alert">
          {why(t, error ?? list.error)}
        </p>
      )}
      <h3>{t('device.commandsSent')}</h3>
      {list.value?.length === 0 && <p className="empty">{t('device.noCommands')}</p>}
      {list.value && list.value.length > 0 && (
        <div className="scroll">
          <table>
            <thead>
              <tr>
                <th scope="col">{t('device.what')}</th>
                <th scope="col">{t('device.state')}</th>
                <th scope="col">{t('device.askedBy')}</th>
                <th scope="col">{t('device.second')}</th>
                <th scope="col">{t('device.answer')}</th>
                <th scope="col">{t('device.act')}</th>
              </tr>
            </thead>
            <tbody>
              {list.value.map((c) => (
                <Line
                  key={c.id}
                  command={c}
                  label={kinds.find((k) => k.name === c.name)?.label ?? c.name}
                  own={c.by === session.name}
                  may={may}
                  busy={busy}
                  onApprove={() => void act(() => device.approve(id, c.id))}
                  onWithdraw={() => void act(() => device.withdraw(id, c.id))}
                />
              ))}
            </tbody>
          </table>
        </div>
      )}
      <Standing id={id} may={may && !kinds.some((k) => k.dangerous)} />
    </>
  );
}

/** JSON somebody typed; undefined for nothing, an error for what does not parse. */
function readJSON(text: string): { value: unknown } | undefined {
  if (!text.trim()) return { value: undefined };
  try {
    return { value: JSON.parse(text) as unknown };
  } catch {
    return undefined;
  }
}

function Send({
  kinds,
  busy,
  onSend,
}: {
  kinds: readonly Kind[];
  busy: boolean;
  onSend: (name: string, args: unknown, ttl: string) => Promise<boolean>;
}) {
  const { t } = useLanguage();
  const [name, setName] = useState('');
  const [args, setArgs] = useState('');
  const [ttl, setTtl] = useState<string>(TTLS[0]);
  const kind = kinds.find((k) => k.name === name);
  const read = readJSON(args);
  return (
    <form
      className="send"
      onSubmit={(e) => {
        e.preventDefault();
        if (!kind || !read) return;
        void onSend(kind.name, read.value, ttl).then((sent) => {
          if (sent) {
            setName('');
            setArgs('');
          }
        });
      }}
    >
      <label>
        {t('device.commandName')}
        <select name="command" value={name} onChange={(e) => setName(e.target.value)}>
          <option value="">{t('device.choose')}</option>
          {kinds.map((k) => (
            <option key={k.name} value={k.name}>
              {k.dangerous ? `${k.label} (${t('device.dangerous')})` : k.label}
            </option>
          ))}
        </select>
      </label>
      <label>
        {t('device.args')}
        <input
          name="args"
          value={args}
          placeholder='{"level": 60}'
          spellCheck={false}
          aria-invalid={!read}
          onChange={(e) => setArgs(e.target.value)}
        />
      </label>
      <label>
        {t('device.ttl')}
        <select name="ttl" value={ttl} onChange={(e) => setTtl(e.target.value)}>
          {TTLS.map((v) => (
            <option key={v} value={v}>
              {t(`device.ttl.${v}`)}
            </option>
          ))}
        </select>
      </label>
      <button type="submit" className="main" disabled={busy || !kind || !read}>
        {kind?.dangerous ? t('device.propose') : t('device.send')}
      </button>
      <p className="hint" role="status">
        {!read ? t('device.badJSON') : kind?.dangerous ? t('device.needsSecond') : t('device.neverLate')}
      </p>
    </form>
  );
}

function Line({
  command: c,
  label,
  own,
  may,
  busy,
  onApprove,
  onWithdraw,
}: {
  command: Command;
  label: string;
  own: boolean;
  may: boolean;
  busy: boolean;
  onApprove: () => void;
  onWithdraw: () => void;
}) {
  const { lang, t } = useLanguage();
  const left = Date.parse(c.expires) - Date.now();
  const open = c.state === 'proposed' || c.state === 'waiting';
  return (
    <tr className={`command ${c.state}`} data-command={c.name} data-state={c.state}>
      <td>
        {label} {c.dangerous && <b className="danger">{t('device.dangerous')}</b>}
        {c.args !== undefined && <code className="json">{JSON.stringify(c.args)}</code>}
      </td>
      <td>
        {t(`device.commandState.${c.state}`)}
        <small>
          {open && left > 0
            ? t('device.left', { age: age(lang, left) })
            : date(lang, 'full', Date.parse(c.changed))}
        </small>
      </td>
      <td>
        {c.by}
        <small>{date(lang, 'full', Date.parse(c.asked))}</small>
      </td>
      <td>{c.approved ?? (c.dangerous ? t('device.waitsSecond') : '–')}</td>
      <td>{c.result === undefined ? '–' : <code className="json">{JSON.stringify(c.result)}</code>}</td>
      <td>
        <p className="acts">
          {may && c.state === 'proposed' && !own && (
            <button type="button" className="main" disabled={busy} onClick={onApprove}>
              {t('device.approve')}
            </button>
          )}
          {may && open && (
            <button type="button" disabled={busy} onClick={onWithdraw}>
              {t('device.withdraw')}
            </button>
          )}
        </p>
        {c.state === 'proposed' && own && <small>{t('device.notYou')}</small>}
      </td>
    </tr>
  );
}

/** Desired beside reported, the differences first to see. */
function Standing({ id, may }: { id: string; may: boolean }) {
  const { lang, t } = useLanguage();
  const { value: state, error, again } = useAsked(`state ${id}`, (signal) => device.state(id, signal), 5000);
  const [text, setText] = useState('');
  const [failed, setFailed] = useState<unknown>(undefined);
  const read = readJSON(text);
  const rows = state ? differences(state.desired, state.reported) : [];
  const shown = (v: unknown) => (v === undefined ? '–' : JSON.stringify(v));
  return (
    <section aria-labelledby="standing">
      <h3 id="standing">{t('device.standing')}</h3>
      {error !== undefined && <p className="problem">{why(t, error)}</p>}
      {state && rows.length === 0 && <p className="empty">{t('device.noStanding')}</p>}
      {state && rows.length > 0 && (
        <>
          <p className="hint">
            {t('device.standingVersions', {
              desired: String(state.desiredVersion),
              by: state.by ?? '–',
              at: state.desiredAt ? date(lang, 'full', Date.parse(state.desiredAt)) : '–',
              reported: state.reportedAt ? date(lang, 'full', Date.parse(state.reportedAt)) : '–',
            })}
          </p>
          <div className="scroll">
            <table>
              <thead>
                <tr>
                  <th scope="col">{t('device.member')}</th>
                  <th scope="col">{t('device.desired')}</th>
                  <th scope="col">{t('device.reported')}</th>
                  <th scope="col">{t('device.compared')}</th>
                </tr>
              </thead>
              <tbody>
                {rows.map((r) => (
                  <tr key={r.path} className={r.same ? '' : 'differs'}>
                    <th scope="row">
                      <code>{r.path}</code>
                    </th>
                    <td>
                      <code>{shown(r.desired)}</code>
                    </td>
                    <td>
                      <code>{shown(r.reported)}</code>
                    </td>
                    <td>{r.same ? t('device.same') : t('device.differs')}</td>
                  </tr>
                ))}
              </tbody>
            </table>
          </div>
        </>
      )}
      {may && (
        <form
          className="send"
          onSubmit={(e) => {
            e.preventDefault();
            if (!read || read.value === undefined) return;
            device.desire(id, read.value).then(() => {
              setFailed(undefined);
              setText('');
              again();
            }, setFailed);
          }}
        >
          <label className="wide">
            {t('device.patch')}
            <input
              name="desired"
              value={text}
              placeholder='{"interval": 300}'
              spellCheck={false}
              aria-invalid={!read}
              onChange={(e) => setText(e.target.value)}
            />
          </label>
          <button type="submit" disabled={!read || read.value === undefined}>
            {t('device.desire')}
          </button>
          {failed !== undefined && (
            <p className="problem" role="alert">
              {why(t, failed)}
            </p>
          )}
        </form>
      )}
    </section>
  );
}
