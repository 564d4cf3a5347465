import { lazy, Suspense, useId } from 'react';
import { useLanguage } from '../i18n/index.ts';
import { labelOf } from '../live/dictionary.ts';
import type { Field } from './api.ts';
import type { Choices } from './page.tsx';

const PlaceMap = lazy(() => import('./placemap.tsx'));

/** What people write into the form of a device. The place is text until it is read. */
export type Draft = Record<Field, string> & { lat: string; lon: string };

export const EMPTY: Draft = {
  name: '',
  profile: '',
  owner: '',
  site: '',
  upstream: '',
  model: '',
  firmware: '',
  lat: '',
  lon: '',
};

/** [lon, lat], null for none, undefined for what is no place. */
export function placeOf(draft: Draft): [number, number] | null | undefined {
  if (!draft.lat.trim() && !draft.lon.trim()) return null;
  const read = (text: string) => (text.trim() ? Number(text.trim().replace(',', '.')) : Number.NaN);
  const lat = read(draft.lat);
  const lon = read(draft.lon);
  if (!(Math.abs(lat) <= 90 && Math.abs(lon) <= 180) || (lat === 0 && lon === 0)) return undefined;
  return [lon, lat];
}

/** The fields of a device, for a new one and for one that is changed. */
export function Fields({
  draft,
  choices,
  disabled,
  onChange,
}: {
  draft: Draft;
  choices: Choices;
  disabled: boolean;
  onChange: (part: Partial<Draft>) => void;
}) {
  const { lang, t } = useLanguage();
  const departments = useId();
  const place = placeOf(draft);
  const moving = choices.profiles.find((p) => p.name === draft.profile)?.moving === true;
  const text = (field: Exclude<keyof Draft, 'profile'>, label: string, list?: string) => (
    <label>
      {label}
      <input
        name={field}
        value={draft[field]}
        disabled={disabled}
        list={list}
        maxLength={200}
        autoComplete="off"
        spellCheck={false}
        inputMode={field === 'lat' || field === 'lon' ? 'decimal' : 'text'}
        aria-invalid={(field === 'lat' || field === 'lon') && place === undefined}
        onChange={(e) => onChange({ [field]: e.target.value })}
      />
    </label>
  );
  return (
    <div className="fields">
      {text('name', t('register.name'))}
      <label>
        {t('register.profile')}
        <select
          name="profile"
          value={draft.profile}
          disabled={disabled}
          required
          onChange={(e) => onChange({ profile: e.target.value })}
        >
          <option value="" />
          {draft.profile && !choices.profiles.some((p) => p.name === draft.profile) && (
            <option value={draft.profile}>{draft.profile}</option>
          )}
          {choices.profiles.map((p) => (
            <option key={p.name} value={p.name}>
              {labelOf(p.label, lang, p.name)}
            </option>
          ))}
        </select>
      </label>
      {text('owner', t('device.owner'), departments)}
      <datalist id={departments}>
        {choices.departments.map((d) => (
          <option key={d.name} value={d.name}>
            {d.head}
          </option>
        ))}
      </datalist>
      {text('site', t('register.site'))}
      {text('upstream', t('device.upstream'))}
      <div className="pair">
        {text('model', t('register.model'))}
        {text('firmware', t('register.firmware'))}
      </div>
      {!moving && (
        <>
          <div className="pair">
            {text('lat', t('register.lat'))}
            {text('lon', t('register.lon'))}
          </div>
          {place === undefined && <p className="problem">{t('register.noPlace')}</p>}
          <Suspense fallback={<div className="placemap" />}>
            <PlaceMap
              place={place ?? null}
              disabled={disabled}
              onPlace={(lon, lat) => onChange({ lon: lon.toFixed(6), lat: lat.toFixed(6) })}
            />
          </Suspense>
          {!disabled && <p className="hint">{t('register.placeHint')}</p>}
        </>
      )}
    </div>
  );
}
