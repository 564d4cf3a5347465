import './departments.css';
import { useCallback, useEffect, useState } from 'react';
import type { Session } from '../api.ts';
import { number } from '../format.ts';
import { useLanguage } from '../i18n/index.ts';
import { Gate } from '../shell/gate.tsx';
import { Masthead } from '../shell/masthead.tsx';
import { type Credentials, type Listing, type Subscription, subscriptions } from './api.ts';
import { Deliveries } from './deliveries.tsx';
import { Form } from './form.tsx';
import { inWords, reasonOf } from './reasons.ts';

/** What each department is told, and how it reaches it. */
export function DepartmentsPage({ refused }: { refused: unknown }) {
  const { t } = useLanguage();
  return (
    <Gate refused={refused} title={t('departments.title')}>
      {(session) =>
        session.permissions.includes('subscribe') ? (
          <Departments session={session} />
        ) : (
          <NotMine session={session} />
        )
      }
    </Gate>
  );
}

/** For whoever serves no department: what this page is, and whose. */
function NotMine({ session }: { session: Session }) {
  const { t } = useLanguage();
  return (
    <div className="page departments">
      <Masthead title={t('departments.title')} session={session} />
      <main className="panel not-mine">
        <p>{t('departments.notMine')}</p>
      </main>
    </div>
  );
}

/** How often the state of the receivers is asked for. */
const EVERY = 5_000;

function Departments({ session }: { session: Session }) {
  const { lang, t } = useLanguage();
  const [listing, setListing] = useState<Listing | undefined>(undefined);
  const [chosen, setChosen] = useState<string | undefined>(undefined);
  const [adding, setAdding] = useState(false);
  const [error, setError] = useState<unknown>(undefined);
  const [said, setSaid] = useState('');
  const [secret, setSecret] = useState<Credentials | undefined>(undefined);
  const load = useCallback(() => {
    subscriptions.list().then((l) => {
      setListing(l);
      setError(undefined);
    }, setError);
  }, []);
  useEffect(() => {
    load();
    const timer = setInterval(load, EVERY);
    return () => clearInterval(timer);
  }, [load]);
  // biome-ignore lint/correctness/useExhaustiveDependencies: what was said is of the language it was said in
  useEffect(() => setSaid(''), [lang]);
  const current = listing?.subscriptions.find((s) => s.id === chosen);

  const act = async (what: () => Promise<string>) => {
    setSaid('');
    try {
      setSaid(await what());
    } catch (e) {
      setSaid(t('departments.failed', { reason: reasonOf(t, e) }));
    }
    load();
  };
  const test = (s: Subscription) =>
    act(async () => {
      setSaid(t('departments.testing'));
      const r = await subscriptions.test(s.id);
      return r.state === 'delivered'
        ? t('departments.testGood', { ms: number(lang, Math.round(r.took || r.latency || 0)) })
        : t('departments.testBad', { reason: inWords(t, r.error ?? r.answer ?? '') });
    });
  const rotate = (s: Subscription) =>
    act(async () => {
      setSecret(await subscriptions.rotate(s.id));
      return '';
    });

  const add = () => {
    setAdding(true);
    setChosen(undefined);
  };

  return (
    <div className="page departments">
      <Masthead title={t('departments.title')} session={session}>
        <button type="button" className="main" onClick={add}>
          {t('departments.add')}
        </button>
      </Masthead>
      <main className="subscribed">
        <section className="panel subscriptions" aria-labelledby="departments-list">
          <div className="panel-head">
            <h2 id="departments-list">{t('departments.list')}</h2>
            <span>{listing && number(lang, listing.subscriptions.length)}</span>
          </div>
          {error !== undefined && (
            <p className="problem" role="alert">
              {t('departments.failed', { reason: reasonOf(t, error) })}
            </p>
          )}
          {listing?.subscriptions.length === 0 && (
            <div className="empty">
              <p>{t('departments.none')}</p>
              <p>{t('departments.noneHint')}</p>
              {!adding && (
                <button type="button" className="main" onClick={add}>
                  {t('departments.addFirst')}
                </button>
              )}
            </div>
          )}
          <ul>
            {listing?.subscriptions.map((s) => (
              <li key={s.id}>
                <button
                  type="button"
                  className={`subscription ${s.state}`}
                  aria-pressed={s.id === chosen}
                  onClick={() => {
                    setChosen(s.id);
                    setAdding(false);
                    setSaid('');
                  }}
                >
                  <b>{s.department}</b>
                  <span className="state">
                    <i aria-hidden="true" />
                    {t(`departments.state.${s.state}`)}
                  </span>
                  <span>
                    {s.name} · {t(`departments.kind.${s.kind}`)}
                  </span>
                  <span className="counts">
                    {s.waiting > 0 && t('departments.waiting', { count: number(lang, s.waiting) })}
                    {s.dead > 0 && <em>{t('departments.deadCount', { count: number(lang, s.dead) })}</em>}
                  </span>
                </button>
              </li>
            ))}
          </ul>
        </section>
        {listing && (adding || current) && (
          <section className="panel edit" aria-labelledby="departments-edit">
            <div className="panel-head">
              <h2 id="departments-edit">{t(adding ? 'departments.add' : 'departments.edit')}</h2>
            </div>
            <Form
              key={adding ? '' : current?.id}
              subscription={adding ? undefined : current}
              listing={listing}
              session={session}
              onCancel={() => {
                setAdding(false);
                setChosen(undefined);
              }}
              onSaved={(s, cred) => {
                setAdding(false);
                setChosen(s.id);
                setSaid(t('departments.saved'));
                if (cred.secret || cred.token) setSecret(cred);
                load();
              }}
              onRemoved={() => {
                setChosen(undefined);
                load();
              }}
            />
          </section>
        )}
        {current && !adding && (
          <section className="panel deliveries" aria-labelledby="departments-history">
            <div className="panel-head">
              <h2 id="departments-history">{t('departments.history')}</h2>
              {current.kind !== 'atom' && (
                <button type="button" onClick={() => void test(current)}>
                  {t('departments.test')}
                </button>
              )}
              {current.kind !== 'email' && (
                <button type="button" onClick={() => void rotate(current)}>
                  {t('departments.rotate')}
                </button>
              )}
            </div>
            <p className="said" role="status">
              {said}
            </p>
            <Deliveries
              key={current.id}
              subscription={current}
              onResend={(id) =>
                void act(async () => {
                  const { resent } = await subscriptions.resend(current.id, id);
                  return t('departments.resent', { count: number(lang, resent) });
                })
              }
            />
          </section>
        )}
      </main>
      {secret && <Once credentials={secret} onDone={() => setSecret(undefined)} />}
    </div>
  );
}

/** Shows a credential that nobody is shown again. */
function Once({ credentials, onDone }: { credentials: Credentials; onDone: () => void }) {
  const { t } = useLanguage();
  return (
    <dialog
      className="note"
      aria-label={t('departments.once')}
      ref={(d) => {
        if (d && !d.open) d.showModal();
      }}
      onCancel={(e) => e.preventDefault()}
      onClose={onDone}
    >
      <p>{t('departments.once')}</p>
      <output className="token">{credentials.secret ?? credentials.token}</output>
      <div className="buttons">
        <button type="button" className="main" onClick={onDone}>
          {t('departments.kept')}
        </button>
      </div>
    </dialog>
  );
}
