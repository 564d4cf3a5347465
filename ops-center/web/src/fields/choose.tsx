import './fields.css';
import { useEffect, useId, useRef, useState } from 'react';
import { useLanguage } from '../i18n/index.ts';
import { fold } from '../map/search.ts';

export interface Choice {
  code: string;
  name: string;
}

/**
 * Several of many, chosen by name: typed, with or without marks, and added by
 * Enter or from the list. A code that nobody knows the name of is shown as it is;
 * what is typed and not in the list keeps its form from being sent.
 */
export function Choose({
  id,
  label,
  all,
  chosen,
  onChange,
  disabled,
  describedBy,
}: {
  id?: string;
  label: string;
  all: readonly Choice[];
  chosen: readonly string[];
  onChange: (codes: string[]) => void;
  disabled?: boolean;
  describedBy?: string | undefined;
}) {
  const { t } = useLanguage();
  const [typed, setTyped] = useState('');
  const [unknown, setUnknown] = useState('');
  const list = useId();
  const own = useId();
  const input = useRef<HTMLInputElement>(null);
  const fault = unknown && t('fields.unknown', { name: unknown });
  useEffect(() => input.current?.setCustomValidity(fault), [fault]);
  const names = new Map(all.map((c) => [c.code, c.name]));
  const shown = (c: Choice) => (c.name && c.name !== c.code ? `${c.name} (${c.code})` : c.code);
  /** The choice that a text means: its name or code whole, else the only one that begins so. */
  const meant = (text: string): Choice | undefined => {
    const wanted = fold(text.trim());
    if (!wanted) return undefined;
    const whole = all.find(
      (c) => fold(shown(c)) === wanted || fold(c.name) === wanted || fold(c.code) === wanted,
    );
    if (whole) return whole;
    const some = all.filter((c) => fold(c.name).includes(wanted));
    return some.length === 1 ? some[0] : undefined;
  };
  const add = (text: string, strict: boolean) => {
    const one = meant(text);
    if (!one) {
      if (strict) setUnknown(text.trim());
      return;
    }
    setUnknown('');
    setTyped('');
    if (!chosen.includes(one.code)) onChange([...chosen, one.code]);
  };
  return (
    <span className="choose">
      {chosen.length > 0 && (
        <ul aria-label={label}>
          {chosen.map((code) => (
            <li key={code}>
              <button
                type="button"
                disabled={disabled}
                aria-label={t('fields.remove', { name: names.get(code) || code })}
                onClick={() => onChange(chosen.filter((c) => c !== code))}
              >
                {names.get(code) || code} <i aria-hidden="true">×</i>
              </button>
            </li>
          ))}
        </ul>
      )}
      {!disabled && (
        <input
          ref={input}
          id={id ?? own}
          aria-label={id ? undefined : label}
          aria-describedby={describedBy}
          list={list}
          value={typed}
          autoComplete="off"
          spellCheck={false}
          placeholder={t('fields.typeName')}
          onChange={(e) => {
            setTyped(e.target.value);
            setUnknown('');
            // Taken from the list: it is there whole at once.
            if (all.some((c) => shown(c) === e.target.value)) add(e.target.value, false);
          }}
          onKeyDown={(e) => {
            if (e.key !== 'Enter' || !typed.trim()) return;
            e.preventDefault();
            add(typed, true);
          }}
          onBlur={() => (typed.trim() ? add(typed, true) : setUnknown(''))}
        />
      )}
      <datalist id={list}>
        {all
          .filter((c) => !chosen.includes(c.code))
          .map((c) => (
            <option key={c.code} value={shown(c)} />
          ))}
      </datalist>
      <span className="wrong" role="status">
        {fault}
      </span>
    </span>
  );
}
