/** The address of the wall as it was at a time. */
export function replayAddress(at: number, speed = 1): string {
  const asked = new URLSearchParams(location.search);
  asked.set('replay', new Date(at).toISOString());
  asked.set('speed', String(speed));
  for (const name of ['paused', 'follow']) asked.delete(name);
  return `/?${asked}`;
}

/** The address of the present, with everything else as it is. */
export function liveAddress(): string {
  const asked = new URLSearchParams(location.search);
  for (const name of ['replay', 'speed', 'paused', 'follow']) asked.delete(name);
  const rest = asked.toString();
  return rest ? `/?${rest}` : '/';
}
