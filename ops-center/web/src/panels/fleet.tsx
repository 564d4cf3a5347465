import { useCell } from '../cell.ts';
import { number } from '../format.ts';
import { useLanguage } from '../i18n/index.ts';
import { labelOf } from '../live/dictionary.ts';
import { CELLS } from '../live/figures.ts';
import { useWall } from './context.ts';

/** Every device of the city in one look: a row per kind, a cell per few devices. */
export function Fleet() {
  const wall = useWall();
  const { lang, t } = useLanguage();
  const figures = useCell(wall.figures);
  const rows = figures?.fleet ?? [];
  return (
    <section className="panel fleet" aria-labelledby="fleet-title">
      <div className="panel-head">
        <h2 id="fleet-title">{t('fleet.title')}</h2>
        {figures && <span>{t('fleet.note', { count: number(lang, figures.cellSize) })}</span>}
      </div>
      {/* biome-ignore lint/a11y/noNoninteractiveTabindex: it scrolls where it is low, by key as well */}
      <ul tabIndex={0} aria-labelledby="fleet-title">
        {rows.map((row) => {
          const profile = wall.city.profiles[row.profile];
          const name = labelOf(profile.label, lang, profile.name);
          return (
            <li
              key={profile.name}
              title={t('fleet.row', {
                name,
                online: number(lang, row.online),
                total: number(lang, row.total),
                alarms: number(lang, row.alarms),
              })}
            >
              <span className="kind">{name}</span>
              <span
                className="cells"
                style={{ gridTemplateColumns: `repeat(${CELLS}, 1fr)` }}
                aria-hidden="true"
              >
                {Array.from(row.cells, (cell, i) => (
                  // biome-ignore lint/suspicious/noArrayIndexKey: a cell is its place
                  <i key={i} className={`c${cell}`} />
                ))}
              </span>
              <span className="count">
                {number(lang, row.online)}
                <small>/{number(lang, row.total)}</small>
              </span>
            </li>
          );
        })}
      </ul>
    </section>
  );
}
