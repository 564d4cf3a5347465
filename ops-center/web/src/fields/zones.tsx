import './fields.css';
import { useEffect, useState } from 'react';
import { get } from '../api.ts';
import { useLanguage } from '../i18n/index.ts';
import { type Choice, Choose } from './choose.tsx';

/** Zones of one layer; none named are all of them. */
export interface ZoneSet {
  layer: string;
  codes: string[];
}

export function layerText(t: ReturnType<typeof useLanguage>['t'], layer: string): string {
  return layer === 'wards' ? t('fields.layer.wards') : layer;
}

/** Zones, chosen by layer and name. */
export function ZonesInput({
  label,
  layers,
  zones,
  onChange,
  disabled = false,
}: {
  label: string;
  layers: readonly string[];
  zones: readonly ZoneSet[];
  onChange: (zones: ZoneSet[]) => void;
  disabled?: boolean;
}) {
  const { t } = useLanguage();
  const [layer, setLayer] = useState('');
  const free = layers.filter((l) => !zones.some((z) => z.layer === l));
  const change = (i: number, z: ZoneSet | undefined) =>
    onChange(zones.flatMap((old, n) => (n === i ? (z ? [z] : []) : [old])));
  return (
    <>
      <span>{label}</span>
      {zones.map((z, i) => (
        <OneLayer key={z.layer} zones={z} disabled={disabled} onChange={(next) => change(i, next)} />
      ))}
      {!disabled && free.length > 0 && (
        <span className="duration">
          <select aria-label={t('fields.layer')} value={layer} onChange={(e) => setLayer(e.target.value)}>
            <option value="">{t('fields.pick')}</option>
            {free.map((l) => (
              <option key={l} value={l}>
                {layerText(t, l)}
              </option>
            ))}
          </select>
          <button
            type="button"
            disabled={!layer}
            onClick={() => {
              onChange([...zones, { layer, codes: [] }]);
              setLayer('');
            }}
          >
            {t('fields.addZones')}
          </button>
        </span>
      )}
    </>
  );
}

function OneLayer({
  zones,
  disabled,
  onChange,
}: {
  zones: ZoneSet;
  disabled: boolean;
  onChange: (z: ZoneSet | undefined) => void;
}) {
  const { t } = useLanguage();
  const [all, setAll] = useState<Choice[]>([]);
  useEffect(() => {
    const abort = new AbortController();
    get<{ zones: Choice[] }>(`/v1/layers/${encodeURIComponent(zones.layer)}/zones`, abort.signal).then(
      (a) => setAll(a.zones),
      () => undefined, // the codes are shown as they are
    );
    return () => abort.abort();
  }, [zones.layer]);
  const name = layerText(t, zones.layer);
  return (
    <div className="zone-set">
      <b>{name}</b> {zones.codes.length === 0 && <small>{t('fields.allZones')}</small>}
      {!disabled && (
        <button type="button" onClick={() => onChange(undefined)}>
          {t('fields.remove', { name })}
        </button>
      )}
      <Choose
        label={t('fields.zonesOf', { name })}
        all={all}
        chosen={zones.codes}
        disabled={disabled}
        onChange={(codes) => onChange({ ...zones, codes })}
      />
    </div>
  );
}
