import { createContext, type ReactNode, useContext, useEffect, useId, useState } from 'react';
import { get } from '../api.ts';
import { Choose } from '../fields/choose.tsx';
import { DurationInput, NumberInput } from '../fields/inputs.tsx';
import { layerText, ZonesInput } from '../fields/zones.tsx';
import { number } from '../format.ts';
import { type Key, useLanguage } from '../i18n/index.ts';
import { type Label, labelOf } from '../live/dictionary.ts';
import { type Department, register } from '../register/api.ts';
import { CATEGORIES } from '../warnings/words.ts';
import { type Book, type Limit, rules } from './api.ts';
import { DAYS, type Form, idFrom, KEPT, KINDS, ofKind, type Problem, STATISTICS } from './model.ts';

interface Quantity {
  name: string;
  kind: 'gauge' | 'counter' | 'state';
  unit: string;
  display?: string;
  label: Label;
}
interface Profile {
  name: string;
  label: Label;
  fields: { quantity: string }[] | null;
}

/** What can be chosen; a list that cannot be had leaves its field to be typed into. */
export interface Choices {
  quantities: Quantity[];
  profiles: Profile[];
  layers: string[];
  departments: Department[];
  limits: Limit[];
  devices: { id: string; name: string }[];
}
export const NO_CHOICES: Choices = {
  quantities: [],
  profiles: [],
  layers: [],
  departments: [],
  limits: [],
  devices: [],
};

export function useChoices(): Choices {
  const [choices, setChoices] = useState(NO_CHOICES);
  useEffect(() => {
    const abort = new AbortController();
    const take = (part: Partial<Choices>) => {
      if (!abort.signal.aborted) setChoices((c) => ({ ...c, ...part }));
    };
    const quiet = () => undefined;
    get<{ profiles: Profile[]; quantities: Quantity[] }>('/v1/profiles', abort.signal).then(
      ({ profiles, quantities }) => take({ profiles, quantities }),
      quiet,
    );
    register.layers().then((layers) => take({ layers: [...layers].sort() }), quiet);
    register.departments().then((departments) => take({ departments }), quiet);
    rules.thresholds(abort.signal).then((a) => take({ limits: a.limits }), quiet);
    get<{ devices: { id: string; name: string }[] }>('/v1/devices?limit=1000', abort.signal).then(
      (a) => take({ devices: a.devices }),
      quiet,
    );
    return () => abort.abort();
  }, []);
  return choices;
}

interface Context {
  form: Form;
  set: (part: Partial<Form>) => void;
  /** Of a field: what is wrong, in words; empty for nothing. */
  wrong: (key: string) => string;
  disabled: boolean;
}
const FormContext = createContext<Context | undefined>(undefined);
function useForm(): Context {
  const c = useContext(FormContext);
  if (!c) throw new Error('used outside of the form');
  return c;
}

/** One field: its label, what is wrong with it, and a hint. */
function Row({
  at,
  label,
  hint,
  wide,
  children,
}: {
  at: string;
  label: string;
  hint?: string | undefined;
  wide?: boolean;
  children: (id: string, describedBy: string, invalid: boolean) => ReactNode;
}) {
  const { wrong } = useForm();
  const id = useId();
  const said = wrong(at);
  return (
    <div className={wide ? 'entry wide' : 'entry'} data-field={at}>
      <label htmlFor={id}>{label}</label>
      {children(id, `${id}-said`, said !== '')}
      <p id={`${id}-said`} className="said">
        {said && <b className="wrong">{said}</b>}
        {hint && <small>{hint}</small>}
      </p>
    </div>
  );
}

function Text({
  at,
  label,
  hint,
  list,
  wide,
  lines = 0,
  onText,
  value,
}: {
  at: string;
  label: string;
  hint?: string | undefined;
  list?: readonly string[];
  wide?: boolean;
  lines?: number;
  value: string;
  onText: (text: string) => void;
}) {
  const { disabled } = useForm();
  const options = useId();
  return (
    <Row at={at} label={label} hint={hint} {...(wide ? { wide } : {})}>
      {(id, describedBy, invalid) => {
        const common = {
          id,
          value,
          disabled,
          'aria-describedby': describedBy,
          'aria-invalid': invalid || undefined,
          autoComplete: 'off',
        };
        return lines > 0 ? (
          <textarea {...common} rows={lines} onChange={(e) => onText(e.target.value)} />
        ) : (
          <>
            <input {...common} list={list ? options : undefined} onChange={(e) => onText(e.target.value)} />
            {list && (
              <datalist id={options}>
                {list.map((x) => (
                  <option key={x} value={x} />
                ))}
              </datalist>
            )}
          </>
        );
      }}
    </Row>
  );
}

function Select({
  at,
  label,
  hint,
  value,
  options,
  onPick,
}: {
  at: string;
  label: string;
  hint?: string | undefined;
  value: string;
  options: readonly (readonly [value: string, text: string])[];
  onPick: (value: string) => void;
}) {
  const { disabled } = useForm();
  const known = options.some(([v]) => v === value);
  return (
    <Row at={at} label={label} hint={hint}>
      {(id, describedBy, invalid) => (
        <select
          id={id}
          value={value}
          disabled={disabled}
          aria-describedby={describedBy}
          aria-invalid={invalid || undefined}
          onChange={(e) => onPick(e.target.value)}
        >
          {!known && <option value={value}>{value}</option>}
          {options.map(([v, text]) => (
            <option key={v} value={v}>
              {text}
            </option>
          ))}
        </select>
      )}
    </Row>
  );
}

/** A field of the condition, by its name in the file. */
function Part({
  name,
  label,
  unit,
  hint,
  duration,
}: {
  name: string;
  label: string;
  unit?: string;
  hint?: string | undefined;
  duration?: boolean;
}) {
  const { form, set, disabled } = useForm();
  const put = (value: string) => set({ when: { ...form.when, [name]: value } });
  const value = form.when[name] ?? '';
  return (
    <Row at={`when.${name}`} label={unit ? `${label} (${unit})` : label} hint={hint}>
      {(id, describedBy, invalid) =>
        duration ? (
          <DurationInput {...{ id, describedBy, invalid, disabled, value, label }} onChange={put} />
        ) : (
          <NumberInput {...{ id, describedBy, invalid, disabled, value }} onChange={put} />
        )
      }
    </Row>
  );
}

/** What a message may hold. */
const HOLES = '{name} {value} {unit} {threshold} {zone} {count} {device}';
const unitText = (unit: string) => unit.replace(/^ug\b/, 'µg').replace('m3', 'm³').replace('Cel', '°C');

/** The rule as a form. */
export function RuleForm({
  form,
  onChange,
  found,
  choices,
  book,
  fresh,
  disabled,
}: {
  form: Form;
  onChange: (f: Form) => void;
  /** What is wrong, by field: of this page, or in the server's words. */
  found: ReadonlyMap<string, Problem | { said: string }>;
  choices: Choices;
  book: Book | undefined;
  /** It has no id yet that others know it by. */
  fresh: boolean;
  disabled: boolean;
}) {
  const { lang, t } = useLanguage();
  const [idOwn, setIdOwn] = useState(false);
  const set = (part: Partial<Form>) => {
    const next = { ...form, ...part };
    if (fresh && !idOwn && part.name) next.id = idFrom(part.name.en || part.name.vi);
    onChange(next);
  };
  const wrong = (key: string) => {
    const p = found.get(key);
    if (!p) return '';
    return typeof p === 'string' ? t(`rules.wrong.${p}`) : p.said;
  };
  const w = form.when;
  const put = (part: Record<string, string>) => set({ when: { ...w, ...part } });

  const own = new Set(
    choices.profiles
      .filter((p) => form.profiles.includes(p.name))
      .flatMap((p) => (p.fields ?? []).map((f) => f.quantity)),
  );
  const quantities = choices.quantities.filter((q) => own.size === 0 || own.has(q.name));
  const quantity = choices.quantities.find((q) => q.name === w.quantity);
  const unit = unitText(quantity?.display || quantity?.unit || '');
  const perHour = unit ? `${unit}/h` : '/h';
  const counter = quantity?.kind === 'counter';
  const levelUnit = form.kind === 'change' || (counter && w.rate) ? perHour : unit;

  const sets = new Map<string, Limit[]>();
  for (const l of choices.limits)
    if (l.quantity === w.quantity) {
      const key = `${l.set}|${l.level}`;
      sets.set(key, [...(sets.get(key) ?? []), l]);
    }
  const named = sets.get(w.value ?? '');
  const department = choices.departments.find((d) => d.name === form.owner);

  return (
    <FormContext value={{ form, set, wrong, disabled }}>
      <div className="rule-form">
        <fieldset>
          <legend>{t('rules.form.what')}</legend>
          <Text
            at="name.vi"
            label={t('rules.form.nameVi')}
            value={form.name.vi}
            onText={(vi) => set({ name: { ...form.name, vi } })}
          />
          <Text
            at="name.en"
            label={t('rules.form.nameEn')}
            value={form.name.en}
            onText={(en) => set({ name: { ...form.name, en } })}
          />
          {fresh && (
            <Text
              at="id"
              label={t('rules.form.id')}
              hint={t('rules.form.idHint')}
              value={form.id}
              onText={(id) => {
                setIdOwn(id !== '');
                set({ id });
              }}
            />
          )}
          <Select
            at="priority"
            label={t('rules.form.priority')}
            value={String(form.priority)}
            options={[1, 2, 3, 4].map((n) => [String(n), t(`rules.form.priority_${n as 1 | 2 | 3 | 4}`)])}
            onPick={(v) => set({ priority: Number(v) })}
          />
          <Mix book={book} form={form} />
          <Select
            at="category"
            label={t('rules.form.category')}
            value={form.category}
            options={[['', '–'], ...CATEGORIES.map((c) => [c, t(`rules.category.${c}`)] as const)]}
            onPick={(category) => set({ category })}
          />
          <Select
            at="flow"
            label={t('rules.form.flow')}
            value={form.flow}
            options={[
              ['', t('rules.flow.other')],
              ['flood', t('rules.flow.flood')],
              ['air', t('rules.flow.air')],
              ['network', t('rules.flow.network')],
              ['power', t('rules.flow.power')],
            ]}
            onPick={(flow) => set({ flow })}
          />
        </fieldset>

        <fieldset>
          <legend>{t('rules.form.whom')}</legend>
          <Row at="scope" label={t('rules.form.profiles')} hint={t('rules.form.profilesHint')} wide>
            {(id, describedBy) => (
              <Choose
                id={id}
                describedBy={describedBy}
                label={t('rules.form.profiles')}
                disabled={disabled}
                all={choices.profiles.map((p) => ({ code: p.name, name: labelOf(p.label, lang, p.name) }))}
                chosen={form.profiles}
                onChange={(profiles) => set({ profiles })}
              />
            )}
          </Row>
          <Row at="devices" label={t('rules.form.devices')} hint={t('rules.form.devicesHint')} wide>
            {(id, describedBy) => (
              <Choose
                id={id}
                describedBy={describedBy}
                label={t('rules.form.devices')}
                disabled={disabled}
                all={choices.devices.map((d) => ({ code: d.id, name: d.name || d.id }))}
                chosen={form.devices}
                onChange={(devices) => set({ devices })}
              />
            )}
          </Row>
          <Zones layers={choices.layers} />
        </fieldset>

        <fieldset>
          <legend>{t('rules.form.when')}</legend>
          <Select
            at="kind"
            label={t('rules.form.kind')}
            hint={t(`rules.kindHint.${form.kind}`)}
            value={form.kind}
            options={KINDS.map((k) => [k, t(`rules.kind.${k}`)])}
            onPick={(k) => onChange(ofKind(form, k as Form['kind']))}
          />
          {form.kind !== 'silence' && (
            <Select
              at="when.quantity"
              label={t('rules.form.quantity')}
              value={w.quantity ?? ''}
              options={[
                ['', t('fields.pick')],
                ...quantities.map(
                  (q) =>
                    [
                      q.name,
                      `${labelOf(q.label, lang, q.name)}${q.display || q.unit ? ` (${unitText(q.display || q.unit)})` : ''}`,
                    ] as const,
                ),
              ]}
              onPick={(q) => put({ quantity: q, ...(w.side === 'ref' ? { value: '' } : {}) })}
            />
          )}
          {form.kind === 'aggregate' && (
            <>
              <Select
                at="when.of"
                label={t('rules.form.of')}
                value={w.of ?? ''}
                options={STATISTICS.map((s) => [s, t(`rules.of.${s}`)])}
                onPick={(of) =>
                  put({ of, ...(of === 'count' && !w['where.side'] ? { 'where.side': 'above' } : {}) })
                }
              />
              <Select
                at="when.layer"
                label={t('fields.layer')}
                value={w.layer ?? ''}
                options={[
                  ['', t('fields.pick')],
                  ...choices.layers.map((l) => [l, layerText(t, l)] as const),
                ]}
                onPick={(layer) => put({ layer })}
              />
            </>
          )}
          {(form.kind === 'cluster' || (form.kind === 'aggregate' && w.of === 'count')) && (
            <LevelPart prefix="where." label={t('rules.form.each')} unit={unit} />
          )}
          {form.kind === 'cluster' && (
            <>
              <Part name="count" label={t('rules.form.count')} />
              <Part name="within" label={t('rules.form.metres')} unit="m" />
            </>
          )}
          {form.kind === 'neighbours' && (
            <>
              <Part name="metres" label={t('rules.form.metres')} unit="m" />
              <Part name="min" label={t('rules.form.neighbours')} />
              <Part name="off" label={t('rules.form.off')} unit={unit} />
              <Part name="clear" label={t('rules.form.clearBelow')} unit={unit} />
            </>
          )}
          {form.kind === 'flat' && <Part name="within" label={t('rules.form.within')} unit={unit} />}
          {form.kind === 'silence' && (
            <>
              <Part name="after" label={t('rules.form.after')} duration />
              <Part name="intervals" label={t('rules.form.intervals')} hint={t('rules.form.intervalsHint')} />
            </>
          )}
          {['aggregate', 'cluster', 'change', 'neighbours'].includes(form.kind) && (
            <Part name="window" label={t('rules.form.window')} duration />
          )}
          {counter && form.kind === 'threshold' && (
            <>
              <Part name="rate" label={t('rules.form.rate')} hint={t('rules.form.rateHint')} duration />
              <Part name="wraps" label={t('rules.form.wraps')} />
            </>
          )}
          {['threshold', 'aggregate', 'change'].includes(form.kind) && (
            <LevelPart
              prefix=""
              label={t('rules.form.limit')}
              unit={form.kind === 'aggregate' && w.of === 'count' ? '' : levelUnit}
              sets={form.kind === 'threshold' ? sets : undefined}
              onSet={(key) => {
                const first = sets.get(key)?.[0];
                set({
                  when: { ...w, value: key },
                  ...(first && !form.basis ? { basis: `${first.basis}, ${first.authority}` } : {}),
                });
              }}
            />
          )}
          {form.kind === 'threshold' && w.side === 'ref' && named && (
            <div className="entry wide basis">
              <ul>
                {named.map((l) => (
                  <li key={`${l.subject}|${l.average ?? ''}|${l.hours ?? ''}|${l.validFrom}`}>
                    <b>
                      {l.value === null
                        ? t('rules.unknown')
                        : `${number(lang, l.value, decimals(l.value))} ${unitText(l.unit)}`}
                    </b>{' '}
                    {l.subject === '*' ? t('rules.everybody') : l.subject} · {l.basis} · {l.authority}
                  </li>
                ))}
              </ul>
            </div>
          )}
          {form.kind === 'aggregate' && (
            <>
              <Part name="devices" label={t('rules.form.least')} />
              {(w.of === 'mean' || w.of === 'median') && (
                <Part name="coverage" label={t('rules.form.coverage')} hint={t('rules.form.coverageHint')} />
              )}
            </>
          )}
          {form.kind !== 'silence' && form.kind !== 'cluster' && (
            <Part
              name="for"
              label={t(form.kind === 'flat' ? 'rules.form.flatFor' : 'rules.form.for')}
              duration
            />
          )}
          {!['silence', 'cluster', 'flat'].includes(form.kind) && (
            <Part name="clear_for" label={t('rules.form.clearFor')} duration />
          )}
        </fieldset>

        <details open={form.days.length > 0 || form.hours + form.dates + form.months !== ''}>
          <summary>{t('rules.form.schedule')}</summary>
          <fieldset>
            <legend className="heard">{t('rules.form.schedule')}</legend>
            <div className="entry wide ticks">
              {DAYS.map((d) => (
                <label key={d}>
                  <input
                    type="checkbox"
                    disabled={disabled}
                    checked={form.days.includes(d)}
                    onChange={(e) =>
                      set({ days: DAYS.filter((x) => (x === d ? e.target.checked : form.days.includes(x))) })
                    }
                  />{' '}
                  {t(`rules.day.${d}`)}
                </label>
              ))}
            </div>
            <Text
              at="hours"
              label={t('rules.form.hours')}
              hint="06:00-21:00"
              value={form.hours}
              onText={(hours) => set({ hours })}
            />
            <Text
              at="months"
              label={t('rules.form.months')}
              hint="06-01..10-31"
              value={form.months}
              onText={(months) => set({ months })}
            />
            <Text
              at="dates"
              label={t('rules.form.dates')}
              hint="2026-06-01..2026-10-31"
              value={form.dates}
              onText={(dates) => set({ dates })}
            />
          </fieldset>
        </details>

        <fieldset>
          <legend>{t('rules.form.answer')}</legend>
          {choices.departments.length > 0 ? (
            <Select
              at="owner"
              label={t('rules.form.owner')}
              value={form.owner}
              options={[['', t('fields.pick')], ...choices.departments.map((d) => [d.name, d.name] as const)]}
              onPick={(owner) => {
                const d = choices.departments.find((x) => x.name === owner);
                const known = choices.departments.some((x) => x.head === form.head);
                set({ owner, ...(d?.head && (!form.head || known) ? { head: d.head } : {}) });
              }}
            />
          ) : (
            <Text
              at="owner"
              label={t('rules.form.owner')}
              hint={t('rules.form.ownerHint')}
              value={form.owner}
              onText={(owner) => set({ owner })}
            />
          )}
          <Text
            at="head"
            label={t('rules.form.head')}
            hint={department?.head ? t('rules.form.headHint', { name: department.head }) : undefined}
            list={choices.departments.flatMap((d) => d.head ?? [])}
            value={form.head}
            onText={(head) => set({ head })}
          />
          <Text
            wide
            at="basis"
            label={t('rules.form.basis')}
            hint={t('rules.form.basisHint')}
            value={form.basis}
            onText={(basis) => set({ basis })}
          />
          {(['message', 'response', 'procedure'] as const).map((part) =>
            (['vi', 'en'] as const).map((l) => (
              <Text
                key={`${part}.${l}`}
                at={`${part}.${l}`}
                label={t(`rules.form.${part}_${l}`)}
                hint={
                  l === 'en' || part === 'response'
                    ? undefined
                    : part === 'message'
                      ? t('rules.form.messageHint', { holes: HOLES })
                      : t('rules.form.procedureHint')
                }
                lines={part === 'procedure' ? 4 : 2}
                value={form[part][l]}
                onText={(text) => set({ [part]: { ...form[part], [l]: text } })}
              />
            )),
          )}
          {KEPT.some((k) => k !== 'disabled' && form.rest[k] !== undefined) && (
            <p className="entry wide">
              {t('rules.form.kept', {
                names: KEPT.filter((k) => k !== 'disabled' && form.rest[k] !== undefined).join(', '),
              })}
            </p>
          )}
        </fieldset>
      </div>
    </FormContext>
  );
}

const decimals = (v: number) => (String(v).split('.')[1] ?? '').length;

/** Above or below what, and where it is over; or a level of the register. */
function LevelPart({
  prefix,
  label,
  unit,
  sets,
  onSet,
}: {
  prefix: '' | 'where.';
  label: string;
  unit: string;
  sets?: ReadonlyMap<string, Limit[]> | undefined;
  onSet?: (key: string) => void;
}) {
  const { lang, t } = useLanguage();
  const { form, set } = useForm();
  const w = form.when;
  const side = w[`${prefix}side`] ?? '';
  const put = (part: Record<string, string>) => set({ when: { ...w, ...part } });
  const sides: [string, Key][] = [
    ['above', 'rules.form.above'],
    ['below', 'rules.form.below'],
  ];
  if (sets && (sets.size > 0 || side === 'ref')) sides.push(['ref', 'rules.form.ref']);
  return (
    <>
      <Select
        at={`when.${prefix}side`}
        label={label}
        value={side}
        options={sides.map(([v, key]) => [v, t(key)])}
        onPick={(s) =>
          put({
            [`${prefix}side`]: s,
            ...((s === 'ref') !== (side === 'ref') ? { [`${prefix}value`]: '' } : {}),
          })
        }
      />
      {side === 'ref' && sets ? (
        <>
          <Select
            at="when.value"
            label={t('rules.form.level')}
            value={w.value ?? ''}
            options={[
              ['', t('fields.pick')],
              ...[...sets].map(
                ([key, list]) =>
                  [key, `${labelOf(list[0].name, lang, list[0].level)} (${list[0].set})`] as const,
              ),
            ]}
            onPick={(key) => onSet?.(key)}
          />
          <Part name="clear_by" label={t('rules.form.clearBy')} unit={unit} />
        </>
      ) : (
        <>
          <Part name={`${prefix}value`} label={t('rules.form.value')} unit={unit} />
          <Part
            name={`${prefix}clear`}
            label={t(side === 'below' ? 'rules.form.clearAbove' : 'rules.form.clearBelow')}
            unit={unit}
            hint={t('rules.form.clearHint')}
          />
        </>
      )}
    </>
  );
}

/** Zones by layer and name. */
function Zones({ layers }: { layers: readonly string[] }) {
  const { t } = useLanguage();
  const { form, set, disabled } = useForm();
  if (layers.length === 0 && form.zones.length === 0) return null;
  return (
    <div className="entry wide zones" data-field="zones">
      <ZonesInput
        label={t('rules.form.zones')}
        layers={layers}
        zones={form.zones}
        disabled={disabled}
        onChange={(zones) => set({ zones })}
      />
    </div>
  );
}

const TARGET = [5, 15, 80] as const;
/** As the server judges it: with fewer rules a share says nothing. */
const MIX_LEAST = 20;
const MIX_DRIFT = 10;

/** How the rules would be spread over the priorities with this one among them. */
function Mix({ book, form }: { book: Book | undefined; form: Form }) {
  const { lang, t } = useLanguage();
  if (!book) return null;
  const counts = [0, 0, 0];
  const count = (priority: number) => counts[Math.min(priority, 3) - 1]++;
  for (const r of book.rules) if (!r.disabled && r.id !== form.id) count(r.priority);
  count(form.priority);
  const total = counts[0] + counts[1] + counts[2];
  const share = counts.map((n) => (100 * n) / total);
  const drift = Math.max(share[0] - TARGET[0], share[1] - TARGET[1]);
  const warn = total >= MIX_LEAST && drift > MIX_DRIFT && form.priority <= 2;
  return (
    <p className={warn ? 'entry mix warn' : 'entry mix'} role="status">
      {t(warn ? 'rules.mix' : 'rules.mixWith', {
        one: number(lang, share[0]),
        two: number(lang, share[1]),
        rest: number(lang, share[2]),
      })}
    </p>
  );
}
