import { useEffect, useRef } from 'react';
import { useLanguage } from '../i18n/index.ts';

/** The keys of the map, as it listens to them (panels/mapview.tsx). */
const KEYS = [
  ['N P', 'map.key.alarms'],
  ['← ↑ → ↓', 'map.key.pan'],
  ['+ −', 'map.key.zoom'],
  ['0', 'map.key.home'],
  ['/', 'map.key.search'],
  ['L', 'map.key.layers'],
  ['B', 'map.key.table'],
  ['J K', 'map.key.list'],
  ['A', 'map.key.ack'],
  ['M', 'map.key.toMap'],
  ['Esc', 'map.key.escape'],
  ['?', 'map.key.help'],
] as const;

export function HelpCard({ onClose }: { onClose: () => void }) {
  const { t } = useLanguage();
  const close = useRef<HTMLButtonElement>(null);
  useEffect(() => close.current?.focus(), []);
  return (
    <section className="map-card map-help" role="dialog" aria-label={t('map.help')}>
      <header>
        <h3>{t('map.help')}</h3>
        <button ref={close} type="button" className="icon" aria-label={t('device.close')} onClick={onClose}>
          ×
        </button>
      </header>
      <dl>
        {KEYS.map(([keys, what]) => (
          <div key={keys}>
            <dt>
              {keys.split(' ').map((k) => (
                <kbd key={k}>{k}</kbd>
              ))}
            </dt>
            <dd>{t(what)}</dd>
          </div>
        ))}
      </dl>
    </section>
  );
}
