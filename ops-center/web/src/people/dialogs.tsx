import { type ReactNode, useEffect, useId, useRef, useState } from 'react';
import { Choose } from '../fields/choose.tsx';
import { useLanguage } from '../i18n/index.ts';
import { register, type Ward } from '../register/api.ts';
import { type Account, people, ROLES, type Role } from './api.ts';
import { said } from './password.tsx';

/** A modal box that is open as long as it is there. */
export function Box({
  title,
  onClose,
  keep,
  children,
}: {
  title: string;
  onClose: () => void;
  /** Esc would throw something away. */
  keep?: boolean;
  children: ReactNode;
}) {
  const dialog = useRef<HTMLDialogElement>(null);
  const id = useId();
  useEffect(() => dialog.current?.showModal(), []);
  return (
    <dialog
      ref={dialog}
      className="note person"
      aria-labelledby={id}
      onClose={onClose}
      onCancel={(e) => {
        if (keep) e.preventDefault();
      }}
    >
      <h2 id={id}>{title}</h2>
      {children}
    </dialog>
  );
}

/** Shows what is shown once. */
export function SecretDialog({
  title,
  text,
  secret,
  onClose,
}: {
  title: string;
  text: string;
  secret: string;
  onClose: () => void;
}) {
  const { t } = useLanguage();
  const [copied, setCopied] = useState(false);
  return (
    <Box title={title} onClose={onClose} keep>
      <p>{text}</p>
      <output className="secret">{secret}</output>
      <div className="buttons">
        <button
          type="button"
          onClick={() => {
            // A page that is not served over TLS has no clipboard: the text can be selected.
            navigator.clipboard?.writeText(secret).then(
              () => setCopied(true),
              () => undefined,
            );
          }}
        >
          {t(copied ? 'people.copied' : 'people.copy')}
        </button>
        <button type="button" className="main" onClick={onClose}>
          {t('people.kept')}
        </button>
      </div>
    </Box>
  );
}

/** Adds a person, or changes, disables and resets one. */
export function PersonDialog({
  person,
  own,
  onClose,
  onDone,
}: {
  person: Account | undefined;
  /** Nobody changes the own role or disables the own account. */
  own: boolean;
  onClose: () => void;
  onDone: (made?: { who: string; secret: string }) => void;
}) {
  const { t } = useLanguage();
  const [id, setId] = useState(person?.id ?? '');
  const [name, setName] = useState(person?.name ?? '');
  const [role, setRole] = useState<Role>(person?.role ?? 'operator');
  const [department, setDepartment] = useState(person?.department ?? '');
  const [codes, setCodes] = useState<string[]>(person?.wards ?? []);
  const [lost, setLost] = useState(false);
  const [choices, setChoices] = useState<{ departments: string[]; wards: Ward[] }>({
    departments: [],
    wards: [],
  });
  const [busy, setBusy] = useState(false);
  const [error, setError] = useState<unknown>(undefined);
  const list = useId();
  const wardField = useId();
  const provided = person?.origin === 'oidc';
  useEffect(() => {
    // A list that cannot be had leaves its field to be typed into.
    register.departments().then(
      (d) => setChoices((c) => ({ ...c, departments: d.map((x) => x.name) })),
      () => undefined,
    );
    register.wards().then(
      (wards) => setChoices((c) => ({ ...c, wards })),
      () => undefined,
    );
  }, []);
  const run = (work: Promise<{ who: string; secret: string } | undefined>) => {
    setBusy(true);
    setError(undefined);
    work.then(onDone, setError).finally(() => setBusy(false));
  };
  const save = async () => {
    if (person) {
      await people.change(person.id, {
        ...(provided ? {} : { name: name.trim(), department: department.trim() }),
        ...(provided || own ? {} : { role }),
        wards: codes,
      });
      return undefined;
    }
    const made = await people.add({
      id: id.trim().toLowerCase(),
      name: name.trim(),
      role,
      ...(department.trim() ? { department: department.trim() } : {}),
      ...(codes.length > 0 ? { wards: codes } : {}),
    });
    return { who: made.person.name, secret: made.password };
  };
  return (
    <Box
      title={person ? t('people.editPerson', { who: person.name }) : t('people.add')}
      onClose={onClose}
      keep={!person && (id !== '' || name !== '')}
    >
      <form
        className="fields"
        onSubmit={(e) => {
          e.preventDefault();
          run(save());
        }}
      >
        {provided && <p className="hint">{t('people.providerText')}</p>}
        <label>
          {t('people.id')}
          <input
            value={id}
            disabled={person !== undefined}
            onChange={(e) => setId(e.target.value)}
            pattern="[A-Za-z0-9][A-Za-z0-9._@+\-]{0,63}"
            maxLength={64}
            autoComplete="off"
            autoCapitalize="none"
            spellCheck={false}
            required
          />
          {!person && <small>{t('people.idHint')}</small>}
        </label>
        <label>
          {t('people.name')}
          <input
            value={name}
            disabled={provided}
            onChange={(e) => setName(e.target.value)}
            maxLength={100}
            autoComplete="off"
            required
          />
        </label>
        <label>
          {t('people.role')}
          <select value={role} disabled={provided || own} onChange={(e) => setRole(e.target.value as Role)}>
            {ROLES.map((r) => (
              <option key={r} value={r}>
                {t(`role.${r}`)}
              </option>
            ))}
          </select>
        </label>
        <label>
          {t('people.department')}
          <input
            value={department}
            disabled={provided}
            list={list}
            onChange={(e) => setDepartment(e.target.value)}
            maxLength={100}
            autoComplete="off"
            required={role === 'officer' && codes.length === 0}
          />
          <datalist id={list}>
            {choices.departments.map((d) => (
              <option key={d} value={d} />
            ))}
          </datalist>
        </label>
        {role === 'officer' && (
          <div className="field">
            <label htmlFor={wardField}>{t('people.wards')}</label>
            <Choose
              id={wardField}
              label={t('people.wards')}
              all={choices.wards}
              chosen={codes}
              onChange={setCodes}
            />
            {codes.length === 0 && <small>{t('people.wardsHint')}</small>}
          </div>
        )}
        {person && person.origin === 'local' && !own && (
          <fieldset>
            <legend>{t('people.password')}</legend>
            {person.totp && (
              <label className="tick">
                <input type="checkbox" checked={lost} onChange={(e) => setLost(e.target.checked)} />
                {t('people.lostPhone')}
              </label>
            )}
            <button
              type="button"
              disabled={busy}
              onClick={() =>
                run(people.reset(person.id, lost).then((r) => ({ who: person.name, secret: r.password })))
              }
            >
              {t('people.reset')}
            </button>
          </fieldset>
        )}
        <p className="problem" role="alert">
          {said(t, error)}
        </p>
        <div className="buttons">
          {person && !own && (
            <button
              type="button"
              className={person.disabled ? '' : 'danger'}
              disabled={busy}
              onClick={() =>
                run(people.change(person.id, { disabled: !person.disabled }).then(() => undefined))
              }
            >
              {t(person.disabled ? 'people.enable' : 'people.disable')}
            </button>
          )}
          <span className="space" />
          <button type="button" onClick={onClose}>
            {t('people.cancel')}
          </button>
          <button type="submit" className="main" disabled={busy}>
            {t(person ? 'people.save' : 'people.add')}
          </button>
        </div>
      </form>
    </Box>
  );
}
