import { useCallback, useEffect, useState } from 'react';
import { date, number } from '../format.ts';
import { type Key, useLanguage } from '../i18n/index.ts';
import { type ApiToken, people, ROLES, type TokenRequest } from './api.ts';
import { Box, SecretDialog } from './dialogs.tsx';
import { PERMISSIONS, roleKey } from './page.tsx';
import { said } from './password.tsx';

const KINDS: Record<ApiToken['kind'], Key> = {
  person: 'people.kindPerson',
  program: 'people.kindProgram',
  display: 'people.kindDisplay',
};

/** API tokens: one's own, or everybody's with those of programs and wall screens. */
export function TokensPanel({ own }: { own: boolean }) {
  const { lang, t } = useLanguage();
  const [list, setList] = useState<ApiToken[]>([]);
  const [error, setError] = useState<unknown>(undefined);
  const [adding, setAdding] = useState(false);
  const [made, setMade] = useState<{ name: string; secret: string } | undefined>(undefined);
  const load = useCallback(() => {
    (own ? people.ownTokens() : people.tokens()).then((l) => {
      setList(l);
      setError(undefined);
    }, setError);
  }, [own]);
  useEffect(load, [load]);
  const now = Date.now();
  return (
    <section aria-labelledby="tokens">
      <div className="panel-head">
        <h2 id="tokens">{t('people.tabTokens')}</h2>
        <span className="space" />
        <button type="button" className={own ? '' : 'main'} onClick={() => setAdding(true)}>
          {t('people.newToken')}
        </button>
      </div>
      {error !== undefined && (
        <p className="problem" role="alert">
          {said(t, error)}
        </p>
      )}
      {list.length === 0 && error === undefined && <p className="empty">{t('people.noTokens')}</p>}
      {list.length > 0 && (
        <table>
          <thead>
            <tr>
              <th scope="col">{t('people.tokenName')}</th>
              <th scope="col">{t('people.kind')}</th>
              <th scope="col">{t('people.quota')}</th>
              <th scope="col">{t('people.used')}</th>
              <th scope="col">{t('people.expires')}</th>
              <th scope="col">
                <span className="heard">{t('people.revoke')}</span>
              </th>
            </tr>
          </thead>
          <tbody>
            {list.map((token) => {
              const over = Date.parse(token.expires) <= now;
              return (
                <tr key={token.id} className={token.revoked || over ? 'off' : ''}>
                  <th scope="row">
                    <b>{token.name}</b>
                    <small>
                      vgl_{token.id}… · {token.purpose}
                    </small>
                  </th>
                  <td>
                    {t(KINDS[token.kind])}
                    <small>
                      {token.owner ?? token.screen ?? (token.role ? t(roleKey(token.role)) : '')}
                      {token.department ? ` · ${token.department}` : ''}
                    </small>
                  </td>
                  <td>
                    {t('people.perMinute', { count: number(lang, token.perMinute) })}
                    <small>{t('people.perDay', { count: number(lang, token.perDay) })}</small>
                  </td>
                  <td>
                    {token.lastUsed ? date(lang, 'full', Date.parse(token.lastUsed)) : t('people.never')}
                  </td>
                  <td>
                    {token.revoked
                      ? t('people.revoked')
                      : over
                        ? t('people.over')
                        : date(lang, 'full', Date.parse(token.expires))}
                  </td>
                  <td>
                    {!token.revoked && !over && (
                      <button
                        type="button"
                        onClick={() =>
                          (own ? people.revokeOwnToken(token.id) : people.revokeToken(token.id)).then(
                            load,
                            setError,
                          )
                        }
                      >
                        {t('people.revoke')}
                      </button>
                    )}
                  </td>
                </tr>
              );
            })}
          </tbody>
        </table>
      )}
      {adding && (
        <TokenDialog
          own={own}
          onClose={() => setAdding(false)}
          onDone={(name, secret) => {
            setAdding(false);
            setMade({ name, secret });
            load();
          }}
        />
      )}
      {made && (
        <SecretDialog
          title={made.name}
          text={t('people.tokenOnce')}
          secret={made.secret}
          onClose={() => setMade(undefined)}
        />
      )}
    </section>
  );
}

function TokenDialog({
  own,
  onClose,
  onDone,
}: {
  own: boolean;
  onClose: () => void;
  onDone: (name: string, secret: string) => void;
}) {
  const { lang, t } = useLanguage();
  const [name, setName] = useState('');
  const [purpose, setPurpose] = useState('');
  const [kind, setKind] = useState<'program' | 'display'>('program');
  const [role, setRole] = useState('executive');
  const [department, setDepartment] = useState('');
  const [screen, setScreen] = useState('');
  const [networks, setNetworks] = useState('');
  const [days, setDays] = useState('90');
  // Nothing chosen is all that the role may.
  const [scope, setScope] = useState<readonly string[]>([]);
  const [open, setOpen] = useState<Record<string, readonly string[]>>({});
  const [error, setError] = useState<unknown>(undefined);
  const [busy, setBusy] = useState(false);
  useEffect(() => {
    // Without the lists a token is what it was before: all that its role may.
    if (own)
      people.me().then(
        (me) => setOpen({ own: me.permissions }),
        () => undefined,
      );
    else
      people.table().then(
        (table) => setOpen(Object.fromEntries(table.roles.map((r) => [r.role, r.permissions]))),
        () => undefined,
      );
  }, [own]);
  const offered = kind === 'display' && !own ? [] : (open[own ? 'own' : role] ?? []);
  const add = () => {
    const token: TokenRequest = { name: name.trim(), purpose: purpose.trim(), days: Number(days) };
    const from = networks.split(/[\s,;]+/).filter(Boolean);
    if (from.length > 0) token.networks = from;
    const chosen = offered.filter((x) => scope.includes(x));
    if (chosen.length > 0) token.scope = chosen;
    if (!own) {
      token.kind = kind;
      if (kind === 'display') token.screen = screen.trim();
      else {
        token.role = role;
        if (department.trim()) token.department = department.trim();
      }
    }
    setBusy(true);
    setError(undefined);
    (own ? people.addOwnToken(token) : people.addToken(token))
      .then((made) => onDone(made.token.name, made.secret), setError)
      .finally(() => setBusy(false));
  };
  return (
    <Box title={t('people.newToken')} onClose={onClose} keep={name !== '' || purpose !== ''}>
      <form
        className="fields"
        onSubmit={(e) => {
          e.preventDefault();
          add();
        }}
      >
        {!own && (
          <label>
            {t('people.kind')}
            <select value={kind} onChange={(e) => setKind(e.target.value as typeof kind)}>
              <option value="program">{t('people.kindProgram')}</option>
              <option value="display">{t('people.kindDisplay')}</option>
            </select>
          </label>
        )}
        <label>
          {t('people.tokenName')}
          <input value={name} onChange={(e) => setName(e.target.value)} maxLength={100} required />
        </label>
        <label>
          {t('people.purpose')}
          <input value={purpose} onChange={(e) => setPurpose(e.target.value)} maxLength={400} required />
        </label>
        {!own && kind === 'display' && (
          <label>
            {t('people.screen')}
            <input value={screen} onChange={(e) => setScreen(e.target.value)} maxLength={64} required />
          </label>
        )}
        {!own && kind === 'program' && (
          <>
            <label>
              {t('people.role')}
              <select value={role} onChange={(e) => setRole(e.target.value)}>
                {ROLES.map((r) => (
                  <option key={r} value={r}>
                    {t(`role.${r}`)}
                  </option>
                ))}
              </select>
            </label>
            <label>
              {t('people.department')}
              <input
                value={department}
                onChange={(e) => setDepartment(e.target.value)}
                maxLength={100}
                required={role === 'officer'}
              />
            </label>
          </>
        )}
        {offered.length > 0 && (
          <details className="scope">
            <summary>
              {t('people.scope')}{' '}
              <small>
                {offered.some((x) => scope.includes(x))
                  ? t('people.scopeOf', {
                      n: number(lang, offered.filter((x) => scope.includes(x)).length),
                      all: number(lang, offered.length),
                    })
                  : t('people.scopeAll')}
              </small>
            </summary>
            {offered.map((x) => (
              <label className="tick" key={x}>
                <input
                  type="checkbox"
                  checked={scope.includes(x)}
                  onChange={(e) => setScope(e.target.checked ? [...scope, x] : scope.filter((y) => y !== x))}
                />
                {x in PERMISSIONS ? t(PERMISSIONS[x] as Key) : x}
              </label>
            ))}
          </details>
        )}
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
        <p className="problem" role="alert">
          {said(t, error)}
        </p>
        <div className="buttons">
          <button type="button" onClick={onClose}>
            {t('people.cancel')}
          </button>
          <button type="submit" className="main" disabled={busy}>
            {t('people.newToken')}
          </button>
        </div>
      </form>
    </Box>
  );
}
