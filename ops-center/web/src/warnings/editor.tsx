import { lazy, Suspense, useEffect, useRef, useState } from 'react';
import { MomentInput } from '../fields/moment.tsx';
import { date } from '../format.ts';
import { type Key, useLanguage } from '../i18n/index.ts';
import { register, type Ward } from '../register/api.ts';
import {
  type Content,
  type Point,
  type Preview,
  type Problem,
  type Text,
  type Warning,
  warnings,
} from './api.ts';
import { Citizen } from './page.tsx';
import { CATEGORIES, CERTAINTIES, problemText, RESPONSES, SEVERITIES, URGENCIES } from './words.ts';

const AreaMap = lazy(() => import('./areamap.tsx'));

/** The pause in typing after which a draft is kept. */
const PAUSE = 1500;
const WARDS = 'wards';

/** A moment as a field of the city's time shows it, and back. */

const TEXTS = ['event', 'headline', 'areaName', 'description', 'instruction'] as const;
const LONG: ReadonlySet<string> = new Set(['description', 'instruction']);

export function Problems({ list }: { list: Problem[] }) {
  const { t } = useLanguage();
  if (list.length === 0) return <p className="fine">{t('warnings.fine')}</p>;
  return (
    <ul className="problems">
      {list.map((p) => (
        <li key={`${p.rule}${p.path}`} className={p.level}>
          {problemText(t, p)}
        </li>
      ))}
    </ul>
  );
}

/** One warning: its draft to be written and checked, or what was sent. */
export function Editor({
  warning,
  mayDraft,
  mayApprove,
  onAct,
  onClose,
  onApprove,
  onAsk,
}: {
  warning: Warning;
  mayDraft: boolean;
  mayApprove: boolean;
  onAct: (act: () => Promise<Warning>) => Promise<boolean>;
  onClose: () => void;
  onApprove: () => void;
  onAsk: (kind: 'cancel' | 'return' | 'lapse') => void;
}) {
  const { lang, t } = useLanguage();
  const draft = warning.draft;
  const [content, setContent] = useState<Content | undefined>(draft?.content);
  const [dirty, setDirty] = useState(false);
  const [preview, setPreview] = useState<Preview | undefined>(undefined);
  const [corners, setCorners] = useState<Point[]>([]);
  const [wards, setWards] = useState<Ward[]>([]);
  const [find, setFind] = useState('');
  const latest = useRef(warning);
  latest.current = warning;

  useEffect(() => {
    register.wards().then(setWards, () => undefined);
  }, []);
  // What is wrong is said of what is kept: the version tells when that changed.
  const version = warning.version;
  const drafted = draft !== undefined;
  // biome-ignore lint/correctness/useExhaustiveDependencies: asked again with each version
  useEffect(() => {
    if (drafted && mayDraft) warnings.preview(warning.id).then(setPreview, () => setPreview(undefined));
  }, [warning.id, version, drafted, mayDraft]);
  useEffect(() => {
    if (!dirty || !content) return;
    const timer = setTimeout(() => {
      setDirty(false);
      void onAct(() => warnings.edit(latest.current, content));
    }, PAUSE);
    return () => clearTimeout(timer);
  }, [dirty, content, onAct]);

  const change = (part: Partial<Content>) => {
    setContent((c) => c && { ...c, ...part });
    setDirty(true);
  };
  const fixed = !mayDraft || draft?.submitted !== undefined;
  const bad = preview?.problems.some((p) => p.level === 'error') ?? true;
  const shown = draft?.area ?? warning.messages.at(-1)?.area ?? [];

  return (
    <section className="panel editor" aria-label={warning.id}>
      <div className="panel-head">
        <h2>
          {warning.id}{' '}
          {draft ? t(`warnings.type_${draft.msgType}` as Key) : t(`warnings.state_${warning.state}` as Key)}
        </h2>
        {warning.exercise && <i className="exercise">{t('warnings.exercise')}</i>}
        {dirty && <span>{t('warnings.unsaved')}</span>}
        <button type="button" onClick={onClose} aria-label={t('warnings.close')}>
          ×
        </button>
      </div>
      <div className="editor-body">
        {draft?.returned && (
          <p className="stern">
            {t('warnings.returned', { name: draft.returned.by.name })}: {draft.returned.reason}
          </p>
        )}
        {draft && content && (
          <>
            <fieldset disabled={fixed} className="texts">
              <legend>{t('warnings.words')}</legend>
              {TEXTS.map((field) => (
                <div className="pair" key={field}>
                  {(['vi', 'en'] as const).map((l) => {
                    const set = (value: string) =>
                      change({ [field]: { ...content[field], [l]: value } as Text } as Partial<Content>);
                    return (
                      <label key={l} htmlFor={`${field}-${l}`}>
                        {t(`warnings.${field}` as Key)} ({t(`warnings.${l}`)})
                        {LONG.has(field) ? (
                          <textarea
                            id={`${field}-${l}`}
                            lang={l}
                            rows={4}
                            value={content[field][l]}
                            onChange={(e) => set(e.target.value)}
                          />
                        ) : (
                          <input
                            id={`${field}-${l}`}
                            lang={l}
                            value={content[field][l]}
                            onChange={(e) => set(e.target.value)}
                          />
                        )}
                      </label>
                    );
                  })}
                </div>
              ))}
            </fieldset>
            <fieldset disabled={fixed} className="facts">
              <legend>{t('warnings.facts')}</legend>
              {(
                [
                  ['severity', SEVERITIES],
                  ['urgency', URGENCIES],
                  ['certainty', CERTAINTIES],
                ] as const
              ).map(([field, words]) => (
                <label key={field}>
                  {t(`warnings.${field}` as Key)}
                  <select value={content[field]} onChange={(e) => change({ [field]: e.target.value })}>
                    {words.map((w) => (
                      <option key={w} value={w}>
                        {t(`warnings.${field}_${w}` as Key)}
                      </option>
                    ))}
                  </select>
                </label>
              ))}
              <div className="field">
                <span aria-hidden="true">{t('warnings.expires')}</span>
                <MomentInput
                  label={t('warnings.expires')}
                  value={Date.parse(content.expires)}
                  onChange={(ms) => Number.isFinite(ms) && change({ expires: new Date(ms).toISOString() })}
                />
              </div>
            </fieldset>
            {(
              [
                ['categories', CATEGORIES, 'category'],
                ['responseTypes', RESPONSES, 'response'],
              ] as const
            ).map(([field, words, name]) => (
              <fieldset disabled={fixed} className="ticks" key={field}>
                <legend>{t(`warnings.${name}` as Key)}</legend>
                {words.map((w) => (
                  <label key={w}>
                    <input
                      type="checkbox"
                      checked={content[field].includes(w)}
                      onChange={(e) =>
                        change({
                          [field]: e.target.checked
                            ? [...content[field], w]
                            : content[field].filter((x) => x !== w),
                        })
                      }
                    />
                    {t(`warnings.${name}_${w}` as Key)}
                  </label>
                ))}
              </fieldset>
            ))}
            <fieldset disabled={fixed} className="ticks zones">
              <legend>{t('warnings.area')}</legend>
              <input
                type="search"
                value={find}
                placeholder={t('warnings.findWard')}
                aria-label={t('warnings.findWard')}
                onChange={(e) => setFind(e.target.value)}
              />
              <div className="scroll">
                {wards
                  .filter(
                    (w) => !find || w.name.toLocaleLowerCase('vi').includes(find.toLocaleLowerCase('vi')),
                  )
                  .map((w) => (
                    <label key={w.code}>
                      <input
                        type="checkbox"
                        checked={content.zones.some((z) => z.layer === WARDS && z.code === w.code)}
                        onChange={(e) =>
                          change({
                            zones: e.target.checked
                              ? [...content.zones, { layer: WARDS, code: w.code }]
                              : content.zones.filter((z) => z.layer !== WARDS || z.code !== w.code),
                          })
                        }
                      />
                      {w.name}
                    </label>
                  ))}
              </div>
              <div className="buttons">
                <span>{t('warnings.drawHint', { n: corners.length })}</span>
                <button
                  type="button"
                  disabled={corners.length === 0}
                  onClick={() => setCorners(corners.slice(0, -1))}
                >
                  {t('warnings.undo')}
                </button>
                <button
                  type="button"
                  disabled={corners.length < 3}
                  onClick={() => {
                    change({ polygons: [...content.polygons, [...corners, corners[0]]] });
                    setCorners([]);
                  }}
                >
                  {t('warnings.closeRing')}
                </button>
                <button
                  type="button"
                  disabled={content.polygons.length === 0}
                  onClick={() => change({ polygons: content.polygons.slice(0, -1) })}
                >
                  {t('warnings.removeRing', { n: content.polygons.length })}
                </button>
              </div>
            </fieldset>
          </>
        )}
        <Suspense fallback={<div className="areamap" />}>
          <AreaMap
            area={shown}
            corners={corners}
            {...(draft && !fixed
              ? {
                  onCorner: (p: Point) =>
                    setCorners((c) => [
                      ...c,
                      { lat: Math.round(p.lat * 1e5) / 1e5, lon: Math.round(p.lon * 1e5) / 1e5 },
                    ]),
                }
              : {})}
          />
        </Suspense>
        {draft && content && (
          <details className="bulletin" open={content.bulletin !== undefined}>
            <summary>{t('warnings.bulletin')}</summary>
            <p className="hint">{t('warnings.bulletinHint')}</p>
            <BulletinFields disabled={fixed} content={content} onChange={change} />
          </details>
        )}
        {draft && preview && (
          <>
            <h3>{t('warnings.check')}</h3>
            <Problems list={preview.problems} />
            <h3>{t('warnings.preview')}</h3>
            <Citizen preview={preview} />
          </>
        )}
        {warning.messages.length > 0 && (
          <>
            <h3>{t('warnings.sent')}</h3>
            <ol className="sent">
              {warning.messages.map((m) => (
                <li key={m.identifier}>
                  <a
                    href={`/v1/cap/${warning.exercise ? 'exercise/' : ''}${encodeURIComponent(m.identifier)}.xml`}
                  >
                    {t(`warnings.type_${m.msgType}` as Key)}
                  </a>{' '}
                  {date(lang, 'full', Date.parse(m.sent))} · {m.content.headline[lang]}
                  {m.approvedBy.name && (
                    <small>
                      {' '}
                      {t('warnings.by', {
                        author: m.authors.map((a) => a.name).join(', '),
                        approver: m.approvedBy.name,
                      })}
                    </small>
                  )}
                </li>
              ))}
            </ol>
          </>
        )}
      </div>
      <div className="buttons foot">
        {draft && !draft.submitted && mayDraft && (
          <>
            <button type="button" onClick={() => onAct(() => warnings.act(warning, 'discard'))}>
              {t('warnings.discard')}
            </button>
            <button
              type="button"
              className="main"
              disabled={dirty || bad}
              onClick={() => onAct(() => warnings.act(warning, 'submit'))}
            >
              {t('warnings.submit')}
            </button>
          </>
        )}
        {draft?.submitted && mayApprove && (
          <>
            <span>{t('warnings.secondPerson')}</span>
            <button type="button" onClick={() => onAsk('return')}>
              {t('warnings.do_return')}
            </button>
            <button type="button" className="main" onClick={onApprove}>
              {t('warnings.approve')}
            </button>
          </>
        )}
        {warning.state === 'in_force' && !draft && (
          <>
            {mayApprove && !warning.lapse && (
              <button type="button" onClick={() => onAsk('lapse')}>
                {t('warnings.do_lapse')}
              </button>
            )}
            {mayDraft && (
              <>
                <button type="button" onClick={() => onAsk('cancel')}>
                  {t('warnings.do_cancel')}
                </button>
                <button
                  type="button"
                  className="main"
                  onClick={() => onAct(() => warnings.act(warning, 'update'))}
                >
                  {t('warnings.update')}
                </button>
              </>
            )}
          </>
        )}
      </div>
    </section>
  );
}

/** The official level goes into a message only whole: with the bulletin it came from. */
function BulletinFields({
  content,
  disabled,
  onChange,
}: {
  content: Content;
  disabled: boolean;
  onChange: (part: Partial<Content>) => void;
}) {
  const { t } = useLanguage();
  const b = content.bulletin;
  const [level, setLevel] = useState(b ? String(b.level) : '');
  const [no, setNo] = useState(b?.number ?? '');
  const [issuer, setIssuer] = useState(b?.issuer ?? '');
  const [time, setTime] = useState(b ? Date.parse(b.time) : undefined);
  const [area, setArea] = useState(b?.area ?? '');
  const whole = level && no.trim() && issuer.trim() && Number.isFinite(time ?? Number.NaN) && area.trim();
  return (
    <fieldset disabled={disabled} className="facts">
      <label>
        {t('warnings.level')}
        <select value={level} onChange={(e) => setLevel(e.target.value)}>
          <option value="" />
          {[1, 2, 3, 4, 5].map((n) => (
            <option key={n}>{n}</option>
          ))}
        </select>
      </label>
      {(
        [
          ['bulletinNumber', no, setNo],
          ['issuer', issuer, setIssuer],
          ['bulletinArea', area, setArea],
        ] as const
      ).map(([key, value, set]) => (
        <label key={key}>
          {t(`warnings.${key}`)}
          <input value={value} onChange={(e) => set(e.target.value)} />
        </label>
      ))}
      <div className="field">
        <span aria-hidden="true">{t('warnings.issued')}</span>
        <MomentInput label={t('warnings.issued')} value={time} onChange={setTime} />
      </div>
      <div className="buttons">
        <button
          type="button"
          disabled={!whole}
          onClick={() =>
            onChange({
              bulletin: {
                level: Number(level),
                number: no,
                issuer,
                time: new Date(time ?? 0).toISOString(),
                area,
              },
            })
          }
        >
          {t('warnings.takeBulletin')}
        </button>
        {b && (
          <button type="button" onClick={() => onChange({ bulletin: undefined })}>
            {t('warnings.dropBulletin')}
          </button>
        )}
      </div>
    </fieldset>
  );
}
