import './fields.css';
import { useEffect, useState } from 'react';
import { useLanguage } from '../i18n/index.ts';

interface Common {
  id?: string;
  value: string;
  onChange: (value: string) => void;
  disabled?: boolean;
  describedBy?: string | undefined;
  invalid?: boolean;
}

/** A number as people type it, with the decimal comma of Vietnamese; its value has a point. */
export function NumberInput({ id, value, onChange, disabled, describedBy, invalid }: Common) {
  const { lang } = useLanguage();
  return (
    <input
      id={id}
      className="short"
      inputMode="decimal"
      autoComplete="off"
      disabled={disabled}
      aria-describedby={describedBy}
      aria-invalid={invalid || undefined}
      value={lang === 'vi' ? value.replace('.', ',') : value}
      onChange={(e) => onChange(e.target.value.trim().replace(',', '.').replace('−', '-'))}
    />
  );
}

const UNITS = ['s', 'm', 'h'] as const;
type Unit = (typeof UNITS)[number];

/** How long, as a number and its unit; its value is that of rule files, 90s, 5m, 2h, or empty. */
export function DurationInput({
  id,
  value,
  onChange,
  disabled,
  describedBy,
  invalid,
  label,
}: Common & { label: string }) {
  const { lang, t } = useLanguage();
  const given = /^(.*?)(ms|s|m|h)?$/.exec(value);
  const [unit, setUnit] = useState<Unit>('m');
  const said = given?.[2];
  useEffect(() => {
    if (said === 's' || said === 'm' || said === 'h') setUnit(said);
  }, [said]);
  const number = said === 'ms' ? String(Number(given?.[1]) / 1000) : (given?.[1] ?? '');
  const shown: Unit = said === 'ms' ? 's' : said === undefined ? unit : (said as Unit);
  return (
    <span className="duration">
      <input
        id={id}
        className="short"
        inputMode="decimal"
        autoComplete="off"
        disabled={disabled}
        aria-describedby={describedBy}
        aria-invalid={invalid || undefined}
        value={lang === 'vi' ? number.replace('.', ',') : number}
        onChange={(e) => {
          const text = e.target.value.trim().replace(',', '.');
          onChange(text === '' ? '' : `${text}${shown}`);
        }}
      />
      <select
        aria-label={t('fields.unitOf', { name: label })}
        disabled={disabled}
        value={shown}
        onChange={(e) => {
          setUnit(e.target.value as Unit);
          if (number !== '') onChange(`${number}${e.target.value}`);
        }}
      >
        {UNITS.map((u) => (
          <option key={u} value={u}>
            {t(`fields.unit_${u}`)}
          </option>
        ))}
      </select>
    </span>
  );
}
