import { useCell } from '../cell.ts';
import { age, date, number } from '../format.ts';
import { useLanguage } from '../i18n/index.ts';
import { labelOf } from '../live/dictionary.ts';
import { ReplayButton } from '../replay/bar.tsx';
import { LanguageSwitch, PageMenu, ThemeSwitch } from '../shell/masthead.tsx';
import { useSecond, useWall } from './context.ts';

export function Header() {
  const wall = useWall();
  const { lang, t } = useLanguage();
  const session = useCell(wall.session);
  useSecond();
  const link = useCell(wall.socket.link);
  const beat = useCell(wall.heartbeat);
  const figures = useCell(wall.figures);
  const now = wall.clock.now();
  const journal = beat?.journal?.level ?? 'ok';
  return (
    <header className="header">
      <svg className="logo" viewBox="0 0 32 32" aria-hidden="true">
        <path d="M5 13 16 6l11 7M8 13.5v12M24 13.5v12M5 25.5h22M12 25.5v-7h8v7M11 13.5h10" />
      </svg>
      <h1>
        {t('app.name')} <span>· {t('app.title')}</span>
      </h1>
      {figures?.simulated && (
        <span className="chip simulated" title={t('app.simulatedHint')}>
          {t('app.simulated')}
        </span>
      )}
      <div className="space" />
      {journal !== 'ok' && (
        <span className={`chip ${journal === 'refusing' ? 'bad' : 'warn'}`} title={beat?.journal?.reason}>
          {t(journal === 'refusing' ? 'journal.refusing' : 'journal.degraded')}
        </span>
      )}
      {beat?.series?.ok === false && <span className="chip warn">{t('series.down')}</span>}
      <span className={`chip link ${link.state}`}>
        <i className="dot" aria-hidden="true" />
        <b>{t(wall.replay && link.state === 'live' ? 'replay.mark' : `link.${link.state}`)}</b>
        {link.heard > 0 && (
          <span className="numbers">
            {link.state === 'live'
              ? t('link.seq', { seq: number(lang, beat?.seq ?? 0) })
              : t('link.heard', { age: age(lang, Date.now() - wall.socket.heard) })}
          </span>
        )}
      </span>
      <WhyShown />
      {!wall.replay && session && session.role !== 'display' && <ReplayButton />}
      {session && session.role !== 'display' && <PageMenu session={session} />}
      <ThemeSwitch />
      <LanguageSwitch />
      <time className="clock">{date(lang, 'time', now)}</time>
      <span className="chip date" title={t('app.zone')}>
        {capital(date(lang, 'day', now))} · UTC+7
      </span>
    </header>
  );
}

/** Why this screen shows what it shows, when it is not its own scene. */
function WhyShown() {
  const wall = useWall();
  const { lang, t } = useLanguage();
  const message = useCell(wall.scene);
  const own = useCell(wall.own);
  if (!message) return null;
  const { reason, display, scene, by } = message;
  if (reason === 'default' && !display) {
    return scene.id === 'draft' ? (
      <span className="chip why">{t('scenes.previewed', { name: scene.name.vi ?? '' })}</span>
    ) : null;
  }
  const name = labelOf(display?.name, lang, display?.id ?? '');
  return (
    <>
      {!own && <span className="chip why">{t('scenes.guest', { name })}</span>}
      {message.replay && !wall.replay && <span className="chip warn">{t('replay.noRoom')}</span>}
      {(reason === 'pushed' || reason === 'locked' || reason === 'take_over') && (
        <span className={`chip why ${reason}`}>
          {t(`scenes.reason.${reason}`)}
          {by ? ` · ${by}` : ''}
        </span>
      )}
    </>
  );
}

/** Vietnamese weekdays come in lower case from Intl; a line starts with a capital. */
function capital(text: string): string {
  return text.charAt(0).toUpperCase() + text.slice(1);
}

/** Says that nothing here is current any more, and what is being done about it. */
export function LostBanner() {
  const wall = useWall();
  const { lang, t } = useLanguage();
  const link = useCell(wall.socket.link);
  useSecond();
  if (link.state !== 'stale') return null;
  const seconds = Math.max(0, Math.ceil((link.retryAt - Date.now()) / 1000));
  const waiting = link.retryAt > 0 && seconds > 0;
  return (
    <div className="lost" role="alert">
      <strong>{t('link.banner')}</strong>
      <span>
        {t('link.bannerSince', { time: date(lang, 'time', link.heard + (wall.clock.now() - Date.now())) })}
      </span>
      {link.code === 4004 && <span>{t('link.tooManyScreens')}</span>}
      <span className="retry" aria-hidden="true">
        {waiting
          ? t('link.retryIn', { seconds, attempt: link.attempt })
          : t('link.retrying', { attempt: Math.max(1, link.attempt) })}
      </span>
      {waiting && (
        <button type="button" onClick={() => wall.socket.nudge()}>
          {t('link.retryNow')}
        </button>
      )}
    </div>
  );
}
