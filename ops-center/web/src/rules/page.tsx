import '../rules.css';
import { useCallback, useEffect, useState } from 'react';
import type { Session } from '../api.ts';
import { number } from '../format.ts';
import { useLanguage } from '../i18n/index.ts';
import { labelOf } from '../live/dictionary.ts';
import { why } from '../register/words.ts';
import { Gate } from '../shell/gate.tsx';
import { Masthead } from '../shell/masthead.tsx';
import { type Book, rules, type Standing } from './api.ts';
import { Editor } from './editor.tsx';
import { Thresholds } from './thresholds.tsx';
import { Versions } from './versions.tsx';

type Tab = 'rules' | 'thresholds' | 'versions';
const TABS: readonly Tab[] = ['rules', 'thresholds', 'versions'];

/** What is an alarm, by whose decision, and what it would have been in the past. */
export function RulesPage({ refused }: { refused: unknown }) {
  const { t } = useLanguage();
  return (
    <Gate refused={refused} title={t('rules.title')}>
      {(session) => <Rules session={session} />}
    </Gate>
  );
}

function Rules({ session }: { session: Session }) {
  const { lang, t } = useLanguage();
  const may = session.permissions.includes('manage_rules');
  const [tab, setTab] = useState<Tab>('rules');
  const [book, setBook] = useState<Book | undefined>(undefined);
  const [error, setError] = useState<unknown>(undefined);
  // null is a rule that is not there yet.
  const [chosen, setChosen] = useState<string | null | undefined>(undefined);
  const load = useCallback(() => {
    rules.book().then((b) => {
      setBook(b);
      setError(undefined);
    }, setError);
  }, []);
  useEffect(load, [load]);

  const share = (n: number) => number(lang, 100 * n);
  return (
    <main className="page rules">
      <Masthead
        title={t('rules.title')}
        session={session}
        parts={
          <nav className="tabs" aria-label={t('rules.title')}>
            {TABS.map((name) => (
              <button type="button" key={name} aria-pressed={tab === name} onClick={() => setTab(name)}>
                {t(`rules.tab.${name}`)}
              </button>
            ))}
          </nav>
        }
      />
      {error !== undefined && (
        <p className="problem" role="alert">
          {why(t, error)}
        </p>
      )}
      {book?.mix.warn && (
        <p className="problem" role="status">
          {t('rules.mix', {
            one: share(book.mix.share[0]),
            two: share(book.mix.share[1]),
            rest: share(book.mix.share[2]),
          })}
        </p>
      )}
      {tab === 'thresholds' && <Thresholds />}
      {tab === 'versions' && <Versions may={may} onRestored={load} />}
      {tab === 'rules' && book && (
        <div className="split">
          <List
            book={book}
            chosen={chosen}
            onChoose={setChosen}
            onNew={may ? () => setChosen(null) : undefined}
          />
          {chosen === undefined ? (
            <p className="empty">{book.rules.length > 0 && t('rules.choose')}</p>
          ) : (
            <Editor
              key={chosen ?? ''}
              id={chosen ?? undefined}
              may={may}
              book={book}
              onChanged={(id) => {
                load();
                setChosen(id);
              }}
            />
          )}
        </div>
      )}
    </main>
  );
}

const FLOWS = ['flood', 'air', 'network', 'power'] as const;

function List({
  book,
  chosen,
  onChoose,
  onNew,
}: {
  book: Book;
  chosen: string | null | undefined;
  onChoose: (id: string) => void;
  onNew: (() => void) | undefined;
}) {
  const { lang, t } = useLanguage();
  const standing = new Map<string, Standing>(book.standings.map((s) => [s.rule, s]));
  const groups = new Map<string, Book['rules']>();
  for (const r of book.rules) {
    const flow = FLOWS.find((f) => f === r.flow);
    const name = flow ? t(`rules.flow.${flow}`) : t('rules.flow.other');
    groups.set(name, [...(groups.get(name) ?? []), r]);
  }
  return (
    <section className="list" aria-label={t('rules.tab.rules')}>
      {book.rules.length === 0 && <p className="empty">{t(onNew ? 'rules.noneYet' : 'rules.none')}</p>}
      {onNew && (
        <button type="button" className="main" aria-pressed={chosen === null} onClick={onNew}>
          {t('rules.new')}
        </button>
      )}
      {[...groups].map(([name, list]) => (
        <div key={name}>
          <h2>
            {name} <small>{list.length}</small>
          </h2>
          <ul>
            {list.map((r) => {
              const s = standing.get(r.id);
              const idle = r.disabled ? t('rules.disabled') : s?.idle ? t('rules.idle') : '';
              return (
                <li key={r.id}>
                  <button type="button" aria-current={chosen === r.id} onClick={() => onChoose(r.id)}>
                    <b className={`priority p${r.priority}`}>{t('rules.priority', { n: r.priority })}</b>
                    <span className="what">
                      {labelOf(r.name, lang, '')}
                      <small>{r.owner}</small>
                    </span>
                    <span className="state">
                      {idle || t('rules.covers', { n: s?.devices ?? 0, open: s?.open ?? 0 })}
                    </span>
                  </button>
                </li>
              );
            })}
          </ul>
        </div>
      ))}
    </section>
  );
}
