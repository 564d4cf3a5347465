// The table: what was measured, with its median and its spread, as text and as Markdown.
import { writeFileSync } from 'node:fs';

const sorted = (list) => list.toSorted((a, b) => a - b);
/** The value below which a part of them lies. */
export const quantile = (list, q) => {
  const s = sorted(list);
  return s[Math.min(s.length - 1, Math.floor(q * s.length))];
};
export const median = (list) => {
  const s = sorted(list);
  return s.length % 2 ? s[s.length >> 1] : (s[s.length / 2 - 1] + s[s.length / 2]) / 2;
};
const digits = (v) => (Math.abs(v) >= 1000 ? v.toFixed(0) : Math.abs(v) >= 10 ? v.toFixed(1) : v.toFixed(2));
/** "median (least to most)", and how many there were. */
export const spread = (list, unit) =>
  list.length === 0
    ? '–'
    : `${digits(median(list))} ${unit} (${digits(Math.min(...list))} to ${digits(Math.max(...list))}, n = ${list.length})`;
export const kilo = (bytes) => `${(bytes / 1000).toFixed(1)} kB`;

/** Sections of rows; each row is shown as soon as it is known. */
export class Table {
  #sections = [];
  #started = Date.now();

  section(title, head, note = '') {
    this.#sections.push({ title, head, note, rows: [] });
    console.log(`\n${title}${note ? `\n  ${note}` : ''}\n  ${head.join(' | ')}`);
  }

  row(...cells) {
    this.#sections.at(-1).rows.push(cells.map(String));
    console.log(`  ${cells.join(' | ')}`);
  }

  /** What is being done, for whoever waits. */
  progress(what) {
    const s = Math.round((Date.now() - this.#started) / 1000);
    console.log(`  [${Math.floor(s / 60)}:${String(s % 60).padStart(2, '0')}] ${what}`);
  }

  markdown(about) {
    const lines = ['# Budget', '', ...about.flatMap((line) => [line, ''])];
    const cell = (text) => text.replaceAll('|', '\\|');
    for (const { title, head, note, rows } of this.#sections) {
      lines.push(`## ${title}`, '');
      if (note) lines.push(note, '');
      if (rows.length === 0) {
        lines.push('Not measured.', '');
        continue;
      }
      lines.push(`| ${head.join(' | ')} |`, `|${' --- |'.repeat(head.length)}`);
      for (const r of rows) lines.push(`| ${r.map(cell).join(' | ')} |`);
      lines.push('');
    }
    return lines.join('\n');
  }

  write(file, about) {
    writeFileSync(file, this.markdown(about));
  }
}
