import './people.css';
import { useCallback, useEffect, useState } from 'react';
import { ApiError } from '../api.ts';
import { date } from '../format.ts';
import { type Key, useLanguage } from '../i18n/index.ts';
import { Login } from '../panels/login.tsx';
import { Masthead } from '../shell/masthead.tsx';
import { AccountPanel } from './account.tsx';
import { type AccessTable, type Account, type Me, people, ROLES, type Role } from './api.ts';
import { PersonDialog, SecretDialog } from './dialogs.tsx';
import { said } from './password.tsx';
import { TokensPanel } from './tokens.tsx';

const TABS = ['me', 'people', 'tokens', 'table'] as const;
type Tab = (typeof TABS)[number];

/** Accounts and what they may do: one's own for everybody, everybody's for those who answer for them. */
export function PeoplePage({ refused }: { refused: unknown }) {
  const { lang, t } = useLanguage();
  const [me, setMe] = useState<Me | undefined>(undefined);
  const [error, setError] = useState<unknown>(undefined);
  const [asked, setAsked] = useState(0);
  const again = useCallback(() => setAsked((n) => n + 1), []);
  useEffect(() => {
    document.documentElement.lang = lang;
    document.title = `${t('people.title')} · ${t('app.name')}`;
  }, [lang, t]);
  // biome-ignore lint/correctness/useExhaustiveDependencies: asked again after a log-in or a change
  useEffect(() => {
    people.me().then(
      (m) => {
        setMe(m);
        setError(undefined);
      },
      (e: unknown) => {
        setMe(undefined);
        setError(e);
      },
    );
  }, [asked]);
  if (me) return <People me={me} onChange={again} />;
  if (error instanceof ApiError && error.status === 401) return <Login refused={refused} onOpen={again} />;
  if (error === undefined) return null;
  return (
    <main className="login">
      <p className="problem" role="alert">
        {said(t, error)}{' '}
        <button type="button" onClick={again}>
          {t('link.retryNow')}
        </button>
      </p>
    </main>
  );
}

function People({ me, onChange }: { me: Me; onChange: () => void }) {
  const { t } = useLanguage();
  const manages = me.permissions.includes('manage_people');
  const tabs = TABS.filter((x) =>
    x === 'people' || x === 'tokens' ? manages : x !== 'table' || me.permissions.includes('view_directory'),
  );
  const first = location.hash.slice(1) as Tab;
  const [tab, setTab] = useState<Tab>(tabs.includes(first) ? first : manages ? 'people' : 'me');
  const choose = (x: Tab) => {
    setTab(x);
    history.replaceState(null, '', `${location.pathname}#${x}`);
  };
  return (
    <div className="page people">
      <Masthead title={t('people.title')} session={{ name: me.principal.name, permissions: me.permissions }}>
        <span className="chip">
          {me.principal.name} · {t(roleKey(me.principal.role))}
        </span>
        <button type="button" onClick={() => void people.logOut()}>
          {t('people.logOut')}
        </button>
      </Masthead>
      <nav className="panel tabs" aria-label={t('people.title')}>
        {tabs.map((x) => (
          <button
            key={x}
            type="button"
            aria-current={x === tab ? 'page' : undefined}
            onClick={() => choose(x)}
          >
            {t(TAB_NAMES[x])}
          </button>
        ))}
      </nav>
      <main className="panel sheet">
        {tab === 'me' && <AccountPanel me={me} onChange={onChange} />}
        {tab === 'people' && <Everybody own={me.principal.id ?? ''} />}
        {tab === 'tokens' && <TokensPanel own={false} />}
        {tab === 'table' && <Table />}
      </main>
    </div>
  );
}

const TAB_NAMES: Record<Tab, Key> = {
  me: 'people.tabMe',
  people: 'people.tabPeople',
  tokens: 'people.tabTokens',
  table: 'people.tabTable',
};

/** A role's name; the table also has those that no person has. */
export function roleKey(role: string): Key {
  return (ROLES as readonly string[]).includes(role)
    ? `role.${role as Role}`
    : role === 'device'
      ? 'role.device'
      : 'role.display';
}

function Everybody({ own }: { own: string }) {
  const { lang, t } = useLanguage();
  const [list, setList] = useState<Account[] | undefined>(undefined);
  const [error, setError] = useState<unknown>(undefined);
  const [dialog, setDialog] = useState<Account | 'new' | undefined>(undefined);
  const [secret, setSecret] = useState<{ who: string; secret: string } | undefined>(undefined);
  const [find, setFind] = useState('');
  const load = useCallback(() => {
    people.list().then((l) => {
      setList(l);
      setError(undefined);
    }, setError);
  }, []);
  useEffect(load, [load]);
  const wanted = find.trim().toLocaleLowerCase('vi').normalize('NFC');
  const shown = (list ?? []).filter((p) =>
    [p.id, p.name, p.department ?? '', t(roleKey(p.role))].some((x) =>
      x.toLocaleLowerCase('vi').normalize('NFC').includes(wanted),
    ),
  );
  return (
    <section aria-labelledby="everybody">
      <div className="panel-head">
        <h2 id="everybody">{t('people.tabPeople')}</h2>
        <input
          type="search"
          value={find}
          placeholder={t('people.find')}
          aria-label={t('people.find')}
          onChange={(e) => setFind(e.target.value)}
        />
        <button type="button" className="main" onClick={() => setDialog('new')}>
          {t('people.add')}
        </button>
      </div>
      {error !== undefined && (
        <p className="problem" role="alert">
          {said(t, error)}
        </p>
      )}
      {list && list.length === 0 && <p className="empty">{t('people.nobody')}</p>}
      {shown.length > 0 && (
        <table>
          <thead>
            <tr>
              <th scope="col">{t('people.person')}</th>
              <th scope="col">{t('people.role')}</th>
              <th scope="col">{t('people.department')}</th>
              <th scope="col">{t('people.security')}</th>
              <th scope="col">{t('people.lastLogin')}</th>
              <th scope="col">{t('people.state')}</th>
              <th scope="col">
                <span className="heard">{t('people.edit')}</span>
              </th>
            </tr>
          </thead>
          <tbody>
            {shown.map((p) => (
              <tr key={p.id} className={p.disabled ? 'off' : ''}>
                <th scope="row">
                  <b>{p.name}</b>
                  <small>{p.id}</small>
                </th>
                <td>{t(roleKey(p.role))}</td>
                <td>
                  {p.department ?? ''}
                  {p.wards && p.wards.length > 0 && (
                    <small>{t('people.wardCount', { count: p.wards.length })}</small>
                  )}
                </td>
                <td>
                  {p.origin === 'oidc'
                    ? t('people.byProvider')
                    : t(p.totp ? 'people.twoFactors' : 'people.passwordOnly')}
                </td>
                <td>{p.lastLogin ? date(lang, 'full', Date.parse(p.lastLogin)) : t('people.never')}</td>
                <td>
                  {t(p.disabled ? 'people.disabled' : p.mustChange ? 'people.waiting' : 'people.active')}
                </td>
                <td>
                  <button type="button" onClick={() => setDialog(p)}>
                    {t('people.edit')}
                  </button>
                </td>
              </tr>
            ))}
          </tbody>
        </table>
      )}
      {dialog && (
        <PersonDialog
          person={dialog === 'new' ? undefined : dialog}
          own={dialog !== 'new' && dialog.id === own}
          onClose={() => setDialog(undefined)}
          onDone={(made) => {
            setDialog(undefined);
            if (made) setSecret(made);
            load();
          }}
        />
      )}
      {secret && (
        <SecretDialog
          title={t('people.oneTime', { who: secret.who })}
          text={t('people.oneTimeText')}
          secret={secret.secret}
          onClose={() => setSecret(undefined)}
        />
      )}
    </section>
  );
}

/** The permission table as the server has it, with the addresses that need each permission. */
function Table() {
  const { t } = useLanguage();
  const [table, setTable] = useState<AccessTable | undefined>(undefined);
  const [error, setError] = useState<unknown>(undefined);
  useEffect(() => {
    people.table().then(setTable, setError);
  }, []);
  if (error !== undefined) {
    return (
      <p className="problem" role="alert">
        {said(t, error)}
      </p>
    );
  }
  if (!table) return null;
  return (
    <section aria-labelledby="rights">
      <div className="panel-head">
        <h2 id="rights">{t('people.tabTable')}</h2>
      </div>
      <p className="hint">{t('people.tableText')}</p>
      <table className="rights">
        <thead>
          <tr>
            <th scope="col">{t('people.permission')}</th>
            {table.roles.map((r) => (
              <th key={r.role} scope="col">
                {t(roleKey(r.role))}
              </th>
            ))}
          </tr>
        </thead>
        <tbody>
          {table.permissions.map((p) => {
            const routes = table.routes.filter((r) => r.permission === p);
            return (
              <tr key={p}>
                <th scope="row">
                  {/* a permission that is newer than this page is shown by its name */}
                  {p in PERMISSIONS ? t(PERMISSIONS[p] as Key) : p}
                  {routes.length > 0 && (
                    <details>
                      <summary>{t('people.routes', { count: routes.length })}</summary>
                      <ul>
                        {routes.map((r) => (
                          <li key={`${r.method} ${r.path}`}>
                            <code>
                              {r.method} {r.path}
                            </code>
                          </li>
                        ))}
                      </ul>
                    </details>
                  )}
                </th>
                {table.roles.map((r) => {
                  const may = r.permissions.includes(p);
                  return (
                    <td key={r.role} className={may ? 'yes' : 'no'}>
                      {may ? '●' : '–'}
                      <span className="heard">{t(may ? 'people.may' : 'people.mayNot')}</span>
                    </td>
                  );
                })}
              </tr>
            );
          })}
        </tbody>
      </table>
    </section>
  );
}

export const PERMISSIONS: Record<string, Key> = {
  view: 'permission.view',
  view_directory: 'permission.view_directory',
  view_evidence: 'permission.view_evidence',
  view_status: 'permission.view_status',
  view_figures: 'permission.view_figures',
  view_audit: 'permission.view_audit',
  view_security: 'permission.view_security',
  view_personal: 'permission.view_personal',
  erase_personal: 'permission.erase_personal',
  handle_alarms: 'permission.handle_alarms',
  shelve_alarms: 'permission.shelve_alarms',
  service_alarms: 'permission.service_alarms',
  send_commands: 'permission.send_commands',
  draft_warnings: 'permission.draft_warnings',
  approve_warnings: 'permission.approve_warnings',
  subscribe: 'permission.subscribe',
  manage_scenes: 'permission.manage_scenes',
  push_scenes: 'permission.push_scenes',
  manage_displays: 'permission.manage_displays',
  manage_devices: 'permission.manage_devices',
  manage_firmware: 'permission.manage_firmware',
  manage_layers: 'permission.manage_layers',
  manage_rules: 'permission.manage_rules',
  manage_people: 'permission.manage_people',
  operate: 'permission.operate',
};
