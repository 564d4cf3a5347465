/**
 * The server's time. A wall's own clock may be wrong by minutes, and ages are
 * counted against event times the server judged: so they are counted on the
 * server's clock, taken from each heartbeat.
 */
export class Clock {
  #offset = 0;
  #set = false;

  /** Takes what the server's clock said on a message that arrived just now. */
  observe(serverNow: number, localNow = Date.now()): void {
    const offset = serverNow - localNow;
    // Transport only ever delays a heartbeat, so the largest offset is nearest
    // the truth; a slow decay follows a clock that is being corrected, and a
    // jump of more than two seconds is taken as it is.
    if (!this.#set || Math.abs(offset - this.#offset) > 2000) this.#offset = offset;
    else this.#offset = Math.max(offset, this.#offset - 5);
    this.#set = true;
  }

  now(): number {
    return Date.now() + this.#offset;
  }
}
