import { useVirtualizer } from '@tanstack/react-virtual';
import { useEffect, useRef, useState } from 'react';
import { number } from '../format.ts';
import { useLanguage } from '../i18n/index.ts';
import { type ImportLine, type ImportReport, register } from './api.ts';
import { lineText, why } from './words.ts';

const ROW = 30;

/**
 * Brings in a table: first it is judged line by line and nothing is changed,
 * then the good lines are registered, and their tokens are offered once.
 */
export function ImportDialog({ onDone, onImported }: { onDone: () => void; onImported: () => void }) {
  const { lang, t } = useLanguage();
  const dialog = useRef<HTMLDialogElement>(null);
  const [file, setFile] = useState<File | undefined>(undefined);
  const [report, setReport] = useState<ImportReport | undefined>(undefined);
  const [error, setError] = useState<unknown>(undefined);
  const [busy, setBusy] = useState(false);
  const [kept, setKept] = useState(false);
  useEffect(() => dialog.current?.showModal(), []);

  const run = async (table: File, dryRun: boolean) => {
    setBusy(true);
    setError(undefined);
    try {
      setReport(await register.import(table, dryRun));
      if (!dryRun) onImported();
    } catch (e) {
      setError(e);
    } finally {
      setBusy(false);
    }
  };
  const done = report !== undefined && !report.dryRun;
  const tokens = done && report.added > 0;

  return (
    <dialog
      ref={dialog}
      className="note import"
      aria-labelledby="import-title"
      onClose={onDone}
      onCancel={(e) => {
        if (tokens && !kept) e.preventDefault();
      }}
    >
      <h2 id="import-title">{t('register.import')}</h2>
      <p className="facts">{t('import.columns')}</p>
      {!done && (
        <label className="file">
          {t('import.file')}
          <input
            type="file"
            accept=".csv,text/csv"
            disabled={busy}
            onChange={(e) => {
              const table = e.target.files?.[0];
              setReport(undefined);
              setFile(table);
              if (table) void run(table, true);
            }}
          />
        </label>
      )}
      {error !== undefined && (
        <p className="problem" role="alert">
          {why(t, error)}
        </p>
      )}
      <p role="status" className={done ? 'said' : 'facts'}>
        {busy && t('import.busy')}
        {!busy &&
          report &&
          (done
            ? t('import.done', { added: number(lang, report.added), refused: number(lang, report.refused) })
            : t('import.judged', {
                lines: number(lang, report.lines.length),
                good: number(lang, report.good),
                refused: number(lang, report.refused),
              }))}
      </p>
      {report && report.refused > 0 && <Problems lines={report.lines.filter((l) => l.problem)} />}
      <div className="buttons">
        {tokens && (
          <button
            type="button"
            onClick={() => {
              save('tokens.csv', report.lines);
              setKept(true);
            }}
          >
            {t('import.tokens')}
          </button>
        )}
        <button type="button" disabled={tokens && !kept} onClick={() => dialog.current?.close()}>
          {t(done ? 'device.close' : 'alarms.cancel')}
        </button>
        {!done && (
          <button
            type="button"
            className="main"
            disabled={busy || !file || !report || report.good === 0}
            onClick={() => file && void run(file, false)}
          >
            {report
              ? t(report.refused > 0 ? 'import.runGood' : 'import.run', { good: number(lang, report.good) })
              : t('import.run', { good: '' }).trim()}
          </button>
        )}
      </div>
      {tokens && !kept && <p className="facts">{t('import.tokensOnce')}</p>}
    </dialog>
  );
}

/** The refused lines, however many there are. */
function Problems({ lines }: { lines: readonly ImportLine[] }) {
  const { lang, t } = useLanguage();
  const scroller = useRef<HTMLElement>(null);
  const virtual = useVirtualizer({
    count: lines.length,
    getScrollElement: () => scroller.current,
    estimateSize: () => ROW,
    overscan: 10,
  });
  return (
    // biome-ignore lint/a11y/noNoninteractiveTabindex: a list that scrolls is scrolled by keys
    <section className="problems" ref={scroller} tabIndex={0} aria-label={t('import.refused')}>
      <ol style={{ height: virtual.getTotalSize() }}>
        {virtual.getVirtualItems().map((item) => {
          const l = lines[item.index];
          return (
            <li key={item.key} style={{ transform: `translateY(${item.start}px)`, height: ROW }}>
              <span>{t('import.line', { line: number(lang, l.line) })}</span>
              <code>{l.id}</code>
              <b>{l.problem && lineText(t, l.problem.code, l.problem.value ?? '', l.problem.message)}</b>
            </li>
          );
        })}
      </ol>
    </section>
  );
}

/** Ids and tokens have no character that a table would need to quote. */
function save(name: string, lines: readonly ImportLine[]): void {
  const rows = lines.filter((l) => l.token).map((l) => `${l.id},${l.token}\r\n`);
  const url = URL.createObjectURL(new Blob(['id,token\r\n', ...rows], { type: 'text/csv' }));
  const link = document.createElement('a');
  link.href = url;
  link.download = name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(url), 60_000);
}
