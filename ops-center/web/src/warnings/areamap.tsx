import 'maplibre-gl/dist/maplibre-gl.css';
import { type GeoJSONSource, LngLatBounds, Map as MapLibre, setWorkerUrl } from 'maplibre-gl';
import workerUrl from 'maplibre-gl/dist/maplibre-gl-worker.mjs?worker&url';
import { useEffect, useRef, useState } from 'react';
import { useLanguage } from '../i18n/index.ts';
import { baseStyle, SHOWN_AT_FIRST } from '../map/style.ts';
import { register } from '../register/api.ts';
import type { Point } from './api.ts';

setWorkerUrl(workerUrl);

const CENTRE: [number, number] = [106.168, 20.434];

const position = (p: Point): [number, number] => [p.lon, p.lat];

/**
 * The area of a message on the map, and a polygon in the making: each click adds
 * a corner. Who has no mouse chooses zones from the list beside it.
 */
export default function AreaMap({
  area,
  corners,
  onCorner,
}: {
  area: Point[][];
  corners: Point[];
  onCorner?: (p: Point) => void;
}) {
  const { t } = useLanguage();
  const host = useRef<HTMLDivElement>(null);
  const tell = useRef(onCorner);
  tell.current = onCorner;
  const [map, setMap] = useState<MapLibre | undefined>(undefined);
  const [failed, setFailed] = useState(false);

  useEffect(() => {
    let made: MapLibre | undefined;
    let gone = false;
    register
      .layers()
      .catch(() => new Set<string>())
      .then((layers) => {
        if (gone || !host.current) return;
        try {
          const m = new MapLibre({
            container: host.current,
            style: baseStyle(layers, new Set(SHOWN_AT_FIRST), location.origin),
            center: CENTRE,
            zoom: 11.5,
            attributionControl: false,
            dragRotate: false,
            pitchWithRotate: false,
            touchPitch: false,
            fadeDuration: 0,
          });
          made = m;
          m.touchZoomRotate.disableRotation();
          m.on('load', () => {
            const empty = { type: 'FeatureCollection', features: [] } as const;
            m.addSource('warning-area', { type: 'geojson', data: { ...empty, features: [] } });
            m.addSource('warning-corners', { type: 'geojson', data: { ...empty, features: [] } });
            m.addLayer({
              id: 'warning-fill',
              type: 'fill',
              source: 'warning-area',
              paint: { 'fill-color': '#ff9f40', 'fill-opacity': 0.28 },
            });
            m.addLayer({
              id: 'warning-edge',
              type: 'line',
              source: 'warning-area',
              paint: { 'line-color': '#ff9f40', 'line-width': 2 },
            });
            m.addLayer({
              id: 'warning-line',
              type: 'line',
              source: 'warning-corners',
              paint: { 'line-color': '#9fd0ff', 'line-width': 2, 'line-dasharray': [2, 1] },
            });
            m.addLayer({
              id: 'warning-dots',
              type: 'circle',
              source: 'warning-corners',
              filter: ['==', ['geometry-type'], 'Point'],
              paint: { 'circle-radius': 5, 'circle-color': '#9fd0ff' },
            });
            setMap(m);
          });
          m.on('click', (e) => tell.current?.({ lat: e.lngLat.lat, lon: e.lngLat.lng }));
        } catch (error) {
          console.warn('the area cannot be shown on a map', error);
          setFailed(true);
        }
      });
    return () => {
      gone = true;
      made?.remove();
    };
  }, []);

  useEffect(() => {
    map?.getCanvas().setAttribute('aria-label', t('warnings.map'));
  }, [map, t]);

  useEffect(() => {
    if (!map) return;
    (map.getSource('warning-area') as GeoJSONSource).setData({
      type: 'FeatureCollection',
      features: area.map((ring) => ({
        type: 'Feature',
        properties: {},
        geometry: { type: 'Polygon', coordinates: [ring.map(position)] },
      })),
    });
    const points = area.flat();
    if (points.length === 0) return;
    const bounds = new LngLatBounds();
    for (const p of points) bounds.extend(position(p));
    map.fitBounds(bounds, { padding: 40, maxZoom: 15, animate: false });
  }, [map, area]);

  useEffect(() => {
    if (!map) return;
    const line = corners.map(position);
    (map.getSource('warning-corners') as GeoJSONSource).setData({
      type: 'FeatureCollection',
      features: [
        ...corners.map((p) => ({
          type: 'Feature' as const,
          properties: {},
          geometry: { type: 'Point' as const, coordinates: position(p) },
        })),
        ...(line.length > 1
          ? [
              {
                type: 'Feature' as const,
                properties: {},
                geometry: { type: 'LineString' as const, coordinates: line },
              },
            ]
          : []),
      ],
    });
  }, [map, corners]);

  if (failed) return <p className="hint">{t('map.failed')}</p>;
  return <div className={onCorner ? 'areamap drawing' : 'areamap'} ref={host} />;
}
