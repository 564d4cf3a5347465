import './fields.css';
import { useEffect, useId, useRef, useState } from 'react';
import { useLanguage } from '../i18n/index.ts';
import { partsOf, timeOf } from './clock.ts';

/**
 * A date and a time of the city, dd/MM/yyyy and HH:mm in 24 hours whatever the
 * browser's own language is, with the zone beside it. What is no time is said to
 * be none, and is not handed on.
 */
export function MomentInput({
  label,
  value,
  onChange,
  seconds = false,
  max,
  disabled,
  onEnter,
}: {
  label: string;
  /** Milliseconds, or nothing. */
  value: number | undefined;
  /** NaN is what has been typed and is no time. */
  onChange: (ms: number) => void;
  seconds?: boolean;
  /** The latest that is taken. */
  max?: number;
  disabled?: boolean;
  onEnter?: () => void;
}) {
  const { t } = useLanguage();
  const given = partsOf(value, seconds);
  const [day, setDay] = useState(given.day);
  const [time, setTime] = useState(given.time);
  const said = useRef<number | undefined>(value);
  const why = useId();
  // Somebody else has set it: what was typed gives way.
  useEffect(() => {
    if (Object.is(said.current, value)) return;
    said.current = value;
    if (value !== undefined && Number.isNaN(value)) return;
    const p = partsOf(value, seconds);
    setDay(p.day);
    setTime(p.time);
  }, [value, seconds]);
  const take = (d: string, h: string) => {
    setDay(d);
    setTime(h);
    let ms = timeOf(d, h);
    if (max !== undefined && ms > max) ms = Number.NaN;
    said.current = ms;
    onChange(ms);
  };
  const ms = timeOf(day, time);
  const whole = day !== '' && time !== '';
  const late = max !== undefined && ms > max;
  const wrong = (whole && Number.isNaN(ms)) || late;
  const common = {
    disabled,
    autoComplete: 'off',
    inputMode: 'numeric' as const,
    'aria-invalid': wrong || undefined,
    'aria-describedby': why,
    onKeyDown: (e: { key: string; preventDefault: () => void }) => {
      if (e.key !== 'Enter' || !onEnter) return;
      e.preventDefault();
      if (!wrong && whole) onEnter();
    },
  };
  return (
    <fieldset className="moment">
      <legend className="heard">{label}</legend>
      <input
        {...common}
        className="day"
        aria-label={`${label}: ${t('fields.day')}`}
        placeholder={t('fields.dayShape')}
        value={day}
        onChange={(e) => take(e.target.value, time)}
      />
      <input
        {...common}
        className="time"
        aria-label={`${label}: ${t('fields.time')}`}
        placeholder={t(seconds ? 'fields.secondShape' : 'fields.timeShape')}
        value={time}
        onChange={(e) => take(day, e.target.value)}
      />
      <span className="zone" title={t('app.zone')}>
        UTC+7
      </span>
      <span className="wrong" role="status" id={why}>
        {wrong && (late ? t('fields.tooLate') : t('fields.noTime'))}
      </span>
    </fieldset>
  );
}
