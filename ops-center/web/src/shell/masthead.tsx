import './shell.css';
import type { ReactNode } from 'react';
import type { Session } from '../api.ts';
import { useCell } from '../cell.ts';
import { setLanguage, useLanguage } from '../i18n/index.ts';
import { setTheme, theme } from '../theme.ts';

/** Where a person can go, and what it takes: any one of the permissions. */
const PLACES = [
  ['wall', '/', ['view']],
  ['desk', '/desk', ['handle_alarms']],
  ['warnings', '/warnings', ['draft_warnings', 'approve_warnings']],
  ['figures', '/figures', ['view_figures']],
  ['devices', '/devices', ['view_status']],
  ['rules', '/rules', ['manage_rules', 'handle_alarms']],
  ['departments', '/departments', ['subscribe', 'manage_people']],
  ['scenes', '/scenes', ['push_scenes', 'manage_scenes', 'manage_displays']],
  ['record', '/record', ['view_audit', 'view_security']],
  ['people', '/people', []],
] as const;

/** The head of a page beside the wall: what it is, its own controls, the way to the others. */
export function Masthead(props: {
  title: string;
  session: Pick<Session, 'name' | 'permissions'>;
  /** Beside the title: the page's parts. */
  parts?: ReactNode;
  /** Before the menu: what can be done here. */
  children?: ReactNode;
}) {
  const { t } = useLanguage();
  return (
    <header className="header masthead">
      <svg className="logo" viewBox="0 0 32 32" aria-hidden="true">
        <path d="M5 13 16 6l11 7M8 13.5v12M24 13.5v12M5 25.5h22M12 25.5v-7h8v7M11 13.5h10" />
      </svg>
      <h1>
        <b>{t('app.name')}</b> <span>· {props.title}</span>
      </h1>
      {props.parts}
      <div className="space" />
      {props.children}
      <PageMenu session={props.session} />
      <ThemeSwitch />
      <LanguageSwitch />
    </header>
  );
}

/** The pages that the session may open. */
export function PageMenu({ session }: { session: Pick<Session, 'name' | 'permissions'> }) {
  const { t } = useLanguage();
  const open = PLACES.filter(
    ([, , need]) => need.length === 0 || need.some((p) => session.permissions.includes(p)),
  );
  return (
    <>
      <button type="button" className="chip menu" popoverTarget="pages" title={t('shell.pages')}>
        <i aria-hidden="true">☰</i> <span className="aside">{t('shell.pages')}, </span>
        {session.name}
      </button>
      <nav id="pages" className="pages" popover="auto" aria-label={t('shell.pages')}>
        {open.map(([name, at]) => (
          <a key={name} href={at} aria-current={location.pathname === at ? 'page' : undefined}>
            <b>{t(`shell.to.${name}`)}</b>
            <span>{t(`shell.for.${name}`)}</span>
          </a>
        ))}
      </nav>
    </>
  );
}

export function ThemeSwitch() {
  const { t } = useLanguage();
  const now = useCell(theme);
  const next = now === 'dark' ? 'light' : 'dark';
  return (
    <button type="button" className="chip" onClick={() => setTheme(next)} title={t(`shell.theme.${next}`)}>
      <i aria-hidden="true">{now === 'dark' ? '☾' : '☀'}</i>
      <span className="aside">{t(`shell.theme.${next}`)}</span>
    </button>
  );
}

export function LanguageSwitch() {
  const { lang, t } = useLanguage();
  return (
    <button
      type="button"
      className="chip language"
      onClick={() => setLanguage(lang === 'vi' ? 'en' : 'vi')}
      title={t('app.language')}
    >
      <span className={lang === 'vi' ? 'on' : ''}>VI</span>
      <span className={lang === 'en' ? 'on' : ''}>EN</span>
    </button>
  );
}
