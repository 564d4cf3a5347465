import './links.css';
import { useEffect, useState } from 'react';
import { ApiError, api } from '../api.ts';
import { useLanguage } from '../i18n/index.ts';
import { reason, useWall } from '../panels/context.ts';

/** What the address of a page asks to be shown. */
export function asked(name: 'alarm' | 'device' | 'message'): string {
  return new URLSearchParams(location.search).get(name)?.trim() ?? '';
}

/** The page's own address, with one thing to show or none; what else is asked for stays. */
export function addressOf(here: string, name: string, id: string | undefined): string {
  const url = new URL(here);
  for (const other of ['alarm', 'device']) url.searchParams.delete(other);
  if (id) url.searchParams.set(name, id);
  return url.pathname + url.search + url.hash;
}

/**
 * Opens the device that the wall's address names: chosen, and in the middle of
 * the map when it has a place. One that is not there is said not to be.
 */
export function Linked() {
  const wall = useWall();
  const { t } = useLanguage();
  const [id] = useState(() => asked('device'));
  const [error, setError] = useState<unknown>(undefined);
  useEffect(() => {
    if (!id) return;
    const abort = new AbortController();
    let done = false;
    // The devices are known by the dictionary, which comes after the page.
    const open = () => {
      if (done || wall.city.dict < 0) return;
      done = true;
      if (wall.city.index(id) !== undefined) {
        wall.select({ device: id });
        wall.showOnMap(id);
        return;
      }
      api.device(id, abort.signal).then(
        () => wall.select({ device: id }),
        (e: unknown) => {
          if (!abort.signal.aborted) setError(e);
        },
      );
    };
    const off = wall.city.shape.subscribe(open);
    open();
    return () => {
      off();
      abort.abort();
    };
  }, [wall, id]);
  if (error === undefined) return null;
  const gone = error instanceof ApiError && error.status === 404;
  return (
    <div className="link-notice" role="alert">
      <p>{gone ? t('shell.noDevice', { id }) : reason(t, error)}</p>
      <button type="button" onClick={() => setError(undefined)}>
        {t('shell.close')}
      </button>
    </div>
  );
}
