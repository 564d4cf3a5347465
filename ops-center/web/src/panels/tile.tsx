import { type ReactNode, useEffect, useState } from 'react';
import { api, type DeviceRecord } from '../api.ts';
import { type Figure, figures } from '../figures/api.ts';
import { aim, shown } from '../figures/words.ts';
import { useLanguage } from '../i18n/index.ts';
import { labelOf } from '../live/dictionary.ts';
import { useModal } from '../shell/modal.ts';
import { useWall } from './context.ts';

/** What the key figures of the wall are called, and which figure of the last day has a target for the same matter. */
const KIN = {
  online: 'availability',
  readings: 'completeness',
  alarms: 'alarms_per_operator',
  river: undefined,
  rain: undefined,
  pm25: undefined,
  flood: undefined,
  silent: 'availability',
} as const;

export type TileName = keyof typeof KIN;

const DAY = 86_400_000;

/** What a key figure is, against what it is held, and who answers for it. */
export function TileDialog({
  name,
  title,
  device,
  onClose,
  children,
}: {
  name: TileName;
  title: string;
  /** Whose value it is, when it is that of one device. */
  device: string | undefined;
  onClose: () => void;
  /** The figure as it stands: value, trace, note. */
  children: ReactNode;
}) {
  const wall = useWall();
  const { lang, t } = useLanguage();
  const dialog = useModal();
  const [record, setRecord] = useState<DeviceRecord | undefined>(undefined);
  const [kin, setKin] = useState<Figure | undefined>(undefined);
  useEffect(() => {
    const abort = new AbortController();
    // A screen or a guest is told of neither; what the figure is they still read.
    if (device) api.device(device, abort.signal).then(setRecord, () => undefined);
    if (KIN[name]) {
      const to = wall.clock.now();
      figures.list({ from: to - DAY, to }, abort.signal).then(
        (list) => setKin(list.find((f) => f.name === KIN[name])),
        () => undefined,
      );
    }
    return () => abort.abort();
  }, [name, device, wall]);
  const owner = record?.owner ?? kin?.owner.department;
  return (
    <dialog ref={dialog} className="note tile-dialog" aria-labelledby="tile-title" onClose={onClose}>
      <h2 id="tile-title">{title}</h2>
      <div className="tile-now">{children}</div>
      <p>{t(`figure.define.${name}`)}</p>
      <dl className="facts">
        {kin && (
          <>
            <dt>{t('figures.target')}</dt>
            <dd>
              {labelOf(kin.title, lang, kin.name)}: {shown(t, lang, kin, kin.value)} · {aim(t, lang, kin)}
            </dd>
          </>
        )}
        <dt>{t('figures.answers')}</dt>
        <dd>{owner || t('figures.nobody')}</dd>
      </dl>
      <div className="buttons">
        {device && (
          <button
            type="button"
            onClick={() => {
              onClose();
              wall.select({ device });
              wall.showOnMap(device);
            }}
          >
            {t('alarms.toMap')}
          </button>
        )}
        <a className="chip" href={device ? `/devices/${encodeURIComponent(device)}` : '/figures'}>
          {t(device ? 'figure.toDevice' : 'figures.title')}
        </a>
        <button type="button" className="main" onClick={() => dialog.current?.close()}>
          {t('device.close')}
        </button>
      </div>
    </dialog>
  );
}
