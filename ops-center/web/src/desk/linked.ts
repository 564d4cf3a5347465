import { useEffect } from 'react';
import { ApiError, api } from '../api.ts';
import { addressOf, asked } from '../links/linked.tsx';
import { useWall } from '../panels/context.ts';
import { deskApi } from './api.ts';
import { useDesk } from './desk.ts';

/** The address follows what is chosen when nothing was chosen for this long: browsers bear few changes of it. */
const SETTLED = 400;

/**
 * Opens what the desk's address names, /desk?alarm=ID or /desk?device=ID: an
 * alarm that is closed as well, which only the server knows. What is not there
 * is said not to be. From then on the address names what is chosen, so that it
 * can be sent to a colleague and a reload comes back to it.
 */
export function useLinked(): void {
  const wall = useWall();
  const desk = useDesk();
  useEffect(() => {
    const [alarm, device] = [asked('alarm'), asked('device')];
    const abort = new AbortController();
    let timer: ReturnType<typeof setTimeout> | undefined;
    // Somebody who has chosen something else meanwhile is not taken away from it.
    const free = () => !abort.signal.aborted && !wall.selection.get().alarm && !wall.selection.get().device;
    if (alarm) {
      deskApi.detail(alarm, abort.signal).then(
        (d) => {
          if (!free()) return;
          desk.open(d.alarm);
          if (d.alarm.device) wall.showOnMap(d.alarm.device);
        },
        (e: unknown) => {
          if (!free()) return;
          if (e instanceof ApiError && e.status === 404)
            desk.say({ key: 'desk.noAlarm', params: { id: alarm }, bad: true });
          // The alarm's own page says what is wrong, and asks again when the link is back.
          else wall.select({ alarm });
        },
      );
    } else if (device) {
      api.device(device, abort.signal).then(
        () => {
          if (!free()) return;
          wall.select({ device });
          wall.showOnMap(device);
        },
        (e: unknown) => {
          if (!free()) return;
          if (e instanceof ApiError && e.status === 404)
            desk.say({ key: 'shell.noDevice', params: { id: device }, bad: true });
          else wall.select({ device });
        },
      );
    }
    const off = wall.selection.subscribe(() => {
      clearTimeout(timer);
      timer = setTimeout(() => {
        const now = wall.selection.get();
        const address = now.alarm
          ? addressOf(location.href, 'alarm', now.alarm)
          : addressOf(location.href, 'device', now.device);
        history.replaceState(null, '', address);
      }, SETTLED);
    });
    return () => {
      abort.abort();
      clearTimeout(timer);
      off();
    };
  }, [wall, desk]);
}
