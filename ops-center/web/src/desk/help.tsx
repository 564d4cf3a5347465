import { useState } from 'react';
import { useCell } from '../cell.ts';
import { type Key, useLanguage } from '../i18n/index.ts';
import { useDesk } from './desk.ts';
import { Modal } from './dialogs.tsx';
import { ACTIONS, type Action, keyOf, rebind } from './keys.ts';
import { keyWord } from './words.ts';

/** What does not change: lists, dialogs and the map have them by custom. */
const FIXED: readonly [string, Key][] = [
  ['Ctrl K', 'desk.key.palette'],
  ['↑ ↓', 'desk.key.step'],
  ['Shift ↑ ↓', 'desk.key.extend'],
  ['Ctrl A', 'desk.key.all'],
  ['← →', 'desk.key.foldArrows'],
  ['1–6', 'desk.key.tabs'],
  ['Esc', 'map.key.escape'],
  ['/', 'map.key.search'],
  ['N P', 'map.key.alarms'],
  ['+ −', 'map.key.zoom'],
  ['0', 'map.key.home'],
  ['L', 'map.key.layers'],
  ['B', 'map.key.table'],
];

const WHAT: Record<Action, Key> = {
  next: 'desk.key.next',
  previous: 'desk.key.previous',
  fold: 'desk.key.fold',
  mark: 'desk.key.mark',
  claim: 'desk.key.claim',
  acknowledge: 'desk.act.acknowledge',
  shelve: 'desk.act.shelve',
  unshelve: 'desk.act.unshelve',
  assign: 'desk.act.assign',
  comment: 'desk.act.comment',
  false: 'desk.act.false',
  accept: 'desk.act.accept',
  return: 'desk.act.return',
  outOfService: 'desk.act.outOfService',
  returnToService: 'desk.act.returnToService',
  map: 'alarms.toMap',
  push: 'desk.pushTitle',
  warning: 'desk.draft',
  undo: 'desk.undo',
  silence: 'desk.silence',
  shift: 'desk.shift',
  group: 'desk.grouped',
  fresh: 'desk.key.fresh',
  help: 'desk.help',
};

/** The keys, and where each person sets their own. */
export function HelpDialog() {
  const desk = useDesk();
  const { t } = useLanguage();
  const keys = useCell(desk.keys);
  const [asking, setAsking] = useState<Action | undefined>(undefined);
  const [problem, setProblem] = useState('');
  const close = () => desk.dialog.set(undefined);
  return (
    <Modal label={t('desk.help')} className="keys-help" onClose={close}>
      <div className="shift-head">
        <h2>{t('desk.help')}</h2>
        <button type="button" className="icon" aria-label={t('device.close')} onClick={close}>
          ×
        </button>
      </div>
      <label className="tick">
        <input
          type="checkbox"
          checked={keys.off}
          onChange={(e) => desk.keys.set({ ...keys, off: e.target.checked })}
        />
        {t('desk.keysOff')}
      </label>
      <p className="facts">{t('desk.keysHint')}</p>
      <ul className="bindings">
        {ACTIONS.map((a) => (
          <li key={a}>
            <span>{t(WHAT[a])}</span>
            <button
              type="button"
              aria-label={t('desk.rebind', { what: t(WHAT[a]), key: keyWord(keyOf(keys, a)) })}
              className={asking === a ? 'asking' : ''}
              onClick={() => {
                setProblem('');
                setAsking(asking === a ? undefined : a);
              }}
              onBlur={() => setAsking((x) => (x === a ? undefined : x))}
              onKeyDown={(e) => {
                if (asking !== a || e.ctrlKey || e.metaKey || e.altKey) return;
                if (e.key === 'Shift' || e.key === 'Tab') return;
                e.preventDefault();
                e.stopPropagation();
                if (e.key === 'Escape') return setAsking(undefined);
                const next = rebind(keys, a, e.key);
                if (!next) return setProblem(t('desk.keyTaken', { key: keyWord(e.key) }));
                desk.keys.set(next);
                setProblem('');
                setAsking(undefined);
              }}
            >
              {asking === a ? t('desk.pressKey') : <kbd>{keyWord(keyOf(keys, a))}</kbd>}
            </button>
          </li>
        ))}
      </ul>
      <p className="problem" role="status">
        {problem}
      </p>
      <ul className="bindings fixed">
        {FIXED.map(([key, what]) => (
          <li key={key}>
            <span>{t(what)}</span>
            <span>
              {key.split(' ').map((k) => (
                <kbd key={k}>{k}</kbd>
              ))}
            </span>
          </li>
        ))}
      </ul>
      <div className="buttons">
        <button type="button" onClick={() => desk.keys.set({ off: false, own: {} })}>
          {t('desk.keysUsual')}
        </button>
      </div>
    </Modal>
  );
}
