import './fields.css';
import { useEffect, useId, useRef, useState } from 'react';
import { type Key, useLanguage } from '../i18n/index.ts';
import { clockOf, dayOf, dayText } from './clock.ts';

interface Props {
  label: string;
  /** Empty for none. */
  value: string;
  /** Gets what is a value, or empty; never what is half typed. */
  onChange: (value: string) => void;
  disabled?: boolean;
  /** What is said when it is empty and may not be. */
  needed?: string | undefined;
}

/** A time of day, HH:mm in 24 hours whatever the browser's own language is. */
export function ClockInput(props: Props) {
  return <Written {...props} kind="time" shape="fields.timeShape" wrong="fields.noClock" />;
}

/** A day, written 22/11/2026 whatever the browser's own language is; its value is 2026-11-22. */
export function DayInput(props: Props) {
  return <Written {...props} kind="day" shape="fields.dayShape" wrong="fields.noDay" />;
}

const KINDS = {
  time: { read: clockOf, show: (value: string) => value },
  day: { read: dayOf, show: dayText },
};

/** What is written is read as it is typed; a form is not sent with what cannot be read. */
function Written({
  label,
  value,
  onChange,
  disabled,
  needed,
  kind,
  shape,
  wrong,
}: Props & { kind: keyof typeof KINDS; shape: Key; wrong: Key }) {
  const { t } = useLanguage();
  const { read, show } = KINDS[kind];
  const [text, setText] = useState(() => show(value));
  const said = useRef(value);
  const input = useRef<HTMLInputElement>(null);
  const why = useId();
  // Somebody else has set it: what was typed gives way.
  useEffect(() => {
    if (said.current === value) return;
    said.current = value;
    setText(show(value));
  }, [value, show]);
  const given = text.trim();
  const fault = given === '' ? (needed ?? '') : read(given) === undefined ? t(wrong) : '';
  useEffect(() => input.current?.setCustomValidity(fault), [fault]);
  // Half a time is no mistake while somebody writes it.
  const [left, setLeft] = useState(true);
  const shown = left || given === '' ? fault : '';
  return (
    <span className="written">
      <input
        ref={input}
        className={kind}
        aria-label={label}
        aria-describedby={why}
        aria-invalid={shown !== '' || undefined}
        inputMode="numeric"
        autoComplete="off"
        maxLength={20}
        disabled={disabled}
        placeholder={t(shape)}
        value={text}
        onFocus={() => setLeft(false)}
        onChange={(e) => {
          setText(e.target.value);
          const next = e.target.value.trim() === '' ? '' : read(e.target.value);
          if (next === undefined || next === said.current) return;
          said.current = next;
          onChange(next);
        }}
        onBlur={() => {
          setLeft(true);
          const whole = read(given);
          if (whole !== undefined) setText(show(whole));
        }}
      />
      <span className="wrong" role="status" id={why}>
        {shown}
      </span>
    </span>
  );
}
