import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { describe, expect, test } from 'vitest';

const web = fileURLToPath(new URL('..', import.meta.url));
const repository = join(web, '../..');
const text = readFileSync(join(web, 'REQUIREMENTS.md'), 'utf8');
const rows = text
  .split('\n')
  .filter((line) => /^\| *\d+ *\|/.test(line))
  .map((line) => {
    const [n, what, where, by] = line
      .split('|')
      .slice(1, -1)
      .map((cell) => cell.trim());
    return { n: Number(n), what, where, by };
  });
const named = (cell: string) => [...cell.matchAll(/`([^`]+)`/g)].map((m) => m[1]);

/** All Go tests there are, and all that is said in their files. */
function goTests(folder: string, found = { names: new Set<string>(), text: '' }) {
  for (const entry of readdirSync(folder, { withFileTypes: true })) {
    if (/^(node_modules|dist|\..*|testdata|bin|data)$/.test(entry.name)) continue;
    const path = join(folder, entry.name);
    if (entry.isDirectory()) goTests(path, found);
    else if (entry.name.endsWith('_test.go')) {
      const source = readFileSync(path, 'utf8');
      for (const m of source.matchAll(/^func (Test\w+)\(/gm)) found.names.add(m[1]);
      found.text += source;
    }
  }
  return found;
}

describe('the table of requirements', () => {
  const go = goTests(repository);

  test('has each of the 25, once and in order', () => {
    expect(rows.map((r) => r.n)).toEqual(Array.from({ length: 25 }, (_, i) => i + 1));
    for (const r of rows) {
      expect(r.what, `${r.n}`).not.toBe('');
      expect(named(r.by).length, `${r.n} is tested by nothing`).toBeGreaterThan(0);
    }
  });

  test('names only what there is', () => {
    const missing: string[] = [];
    for (const r of rows) {
      for (const name of [...named(r.where), ...named(r.by)]) {
        let there: boolean;
        if (/^Test[A-Z]/.test(name)) there = go.names.has(name);
        else if (name.endsWith('.mjs')) there = existsSync(join(web, 'test/e2e', name));
        else if (name.endsWith('.test.ts')) there = existsSync(join(web, 'test', name));
        else there = existsSync(join(web, name)) || existsSync(join(repository, name));
        if (!there) missing.push(`${r.n}: ${name}`);
      }
    }
    expect(missing).toEqual([]);
  });

  test('a script that is said to run in a Go test does', () => {
    const wrong: string[] = [];
    for (const r of rows) {
      for (const [, script] of r.by.matchAll(/`(\w+\.mjs)` \(`Test/g)) {
        if (!go.text.includes(script)) wrong.push(`${r.n}: ${script}`);
      }
    }
    expect(wrong).toEqual([]);
  });
});

test('nothing flashes: no animation goes on for ever', () => {
  const endless: string[] = [];
  const look = (folder: string) => {
    for (const entry of readdirSync(folder, { withFileTypes: true })) {
      const path = join(folder, entry.name);
      if (entry.isDirectory()) look(path);
      else if (/\.css$/.test(entry.name)) {
        const css = readFileSync(path, 'utf8');
        // Only 'none' may be said of animations: there are none to slow down or to stop.
        for (const m of css.matchAll(/animation(?:-\w+)*\s*:\s*([^;}]+)/g)) {
          if (!/^none\b/.test(m[1])) endless.push(`${entry.name}: ${m[0]}`);
        }
        if (/@keyframes/.test(css)) endless.push(`${entry.name}: @keyframes`);
      }
    }
  };
  look(join(web, 'src'));
  expect(endless).toEqual([]);
});
