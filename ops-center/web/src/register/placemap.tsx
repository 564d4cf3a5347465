import 'maplibre-gl/dist/maplibre-gl.css';
import { Map as MapLibre, Marker, setWorkerUrl } from 'maplibre-gl';
import workerUrl from 'maplibre-gl/dist/maplibre-gl-worker.mjs?worker&url';
import { useEffect, useRef, useState } from 'react';
import { useLanguage } from '../i18n/index.ts';
import { baseStyle, SHOWN_AT_FIRST } from '../map/style.ts';
import { register } from './api.ts';

setWorkerUrl(workerUrl);

/** Where the city is when a device has no place yet. */
const CENTRE: [number, number] = [106.168, 20.434];

/** A small map on which a device is put by a click, and moved by dragging its mark. */
export default function PlaceMap({
  place,
  disabled,
  onPlace,
}: {
  place: [number, number] | null;
  disabled: boolean;
  onPlace: (lon: number, lat: number) => void;
}) {
  const { t } = useLanguage();
  const host = useRef<HTMLDivElement>(null);
  const tell = useRef(onPlace);
  tell.current = onPlace;
  const [map, setMap] = useState<MapLibre | undefined>(undefined);
  const [failed, setFailed] = useState(false);
  const start = useRef(place);

  useEffect(() => {
    let made: MapLibre | undefined;
    let gone = false;
    register
      .layers()
      .catch(() => new Set<string>())
      .then((layers) => {
        if (gone || !host.current) return;
        try {
          made = new MapLibre({
            container: host.current,
            style: baseStyle(layers, new Set(SHOWN_AT_FIRST), location.origin),
            center: start.current ?? CENTRE,
            zoom: start.current ? 15 : 12,
            attributionControl: false,
            dragRotate: false,
            pitchWithRotate: false,
            touchPitch: false,
            fadeDuration: 0,
          });
          made.touchZoomRotate.disableRotation();
          setMap(made);
        } catch (error) {
          console.warn('the place cannot be shown on a map', error);
          setFailed(true);
        }
      });
    return () => {
      gone = true;
      made?.remove();
    };
  }, []);

  useEffect(() => {
    map?.getCanvas().setAttribute('aria-label', t('register.placeMap'));
  }, [map, t]);

  useEffect(() => {
    if (!map || disabled) return;
    const click = (e: { lngLat: { lng: number; lat: number } }) => tell.current(e.lngLat.lng, e.lngLat.lat);
    map.on('click', click);
    return () => {
      map.off('click', click);
    };
  }, [map, disabled]);

  const lon = place?.[0];
  const lat = place?.[1];
  useEffect(() => {
    if (!map || lon === undefined || lat === undefined) return;
    const mark = document.createElement('div');
    mark.className = 'place-mark';
    const marker = new Marker({ element: mark, draggable: !disabled }).setLngLat([lon, lat]).addTo(map);
    mark.removeAttribute('aria-label');
    mark.setAttribute('aria-hidden', 'true');
    mark.tabIndex = -1;
    marker.on('dragend', () => {
      const to = marker.getLngLat();
      tell.current(to.lng, to.lat);
    });
    if (!map.getBounds().contains([lon, lat])) map.jumpTo({ center: [lon, lat], zoom: 15 });
    return () => {
      marker.remove();
    };
  }, [map, lon, lat, disabled]);

  if (failed) return <p className="hint">{t('map.failed')}</p>;
  return <div className="placemap" ref={host} />;
}
