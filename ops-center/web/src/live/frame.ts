/**
 * Binary frames of vonglau.wall.v1: a 32-byte header, then columns, the wide
 * ones first so that each starts aligned and can be viewed without a copy.
 * Numbers are little endian, as is every machine a browser runs on.
 */
export const PROTOCOL = 'vonglau.wall.v1';
export const HEADER_BYTES = 32;
const MAGIC = 0x314c4756; // "VGL1"
const VERSION = 1;

/** dt of a value whose event is too old to be written as tenths of a second after t0. */
export const DT_OLDER = 0xffff;

/** Bits of a value's quality. */
export const Quality = { ClockSuspect: 1, Late: 2, OutOfRange: 4, Simulated: 8, Silent: 128 } as const;

interface Header {
  count: number;
  /** Epoch of the dictionary the indices belong to. */
  dict: number;
  seq: number;
  /** Milliseconds since 1970; before every event of the frame. */
  t0: number;
}

export interface ValuesFrame extends Header {
  kind: 'snapshot' | 'delta';
  channel: Uint32Array;
  value: Float32Array;
  dt: Uint16Array;
  severity: Uint8Array;
  quality: Uint8Array;
}

export interface PositionsFrame extends Header {
  kind: 'positions';
  device: Uint32Array;
  /** Degrees times 1e7. */
  lon: Int32Array;
  lat: Int32Array;
  dt: Uint16Array;
}

export type Frame = ValuesFrame | PositionsFrame;

export class FrameError extends Error {
  override name = 'FrameError';
}

/**
 * Reads one frame. The columns are views of the buffer: they stay valid as long
 * as it does, which is long enough to copy them into the store.
 */
export function decodeFrame(buffer: ArrayBuffer): Frame {
  if (buffer.byteLength < HEADER_BYTES) {
    throw new FrameError(`frame of ${buffer.byteLength} bytes has no whole header`);
  }
  const head = new DataView(buffer, 0, HEADER_BYTES);
  const magic = head.getUint32(0, true);
  if (magic !== MAGIC) throw new FrameError(`frame starts with 0x${magic.toString(16)}, not with VGL1`);
  const version = head.getUint8(4);
  if (version !== VERSION)
    throw new FrameError(`frame version ${version} is not ${VERSION}: reload the wall`);
  const kind = head.getUint8(5);
  const count = head.getUint32(8, true);
  const header: Header = {
    count,
    dict: head.getUint32(12, true),
    seq: Number(head.getBigUint64(16, true)),
    t0: Number(head.getBigInt64(24, true)),
  };
  // The size is checked before any view is made: a count is a claim.
  const body = buffer.byteLength - HEADER_BYTES;
  const width = kind === 3 ? 14 : 12;
  const need = count * width;
  if (body < need || body > need + 3) {
    throw new FrameError(`frame claims ${count} rows of ${width} bytes but carries ${body} bytes`);
  }
  let at = HEADER_BYTES;
  const column = <T>(make: new (b: ArrayBuffer, o: number, n: number) => T, bytes: number): T => {
    const view = new make(buffer, at, count);
    at += count * bytes;
    return view;
  };
  switch (kind) {
    case 1:
    case 2:
      return {
        ...header,
        kind: kind === 1 ? 'snapshot' : 'delta',
        channel: column(Uint32Array, 4),
        value: column(Float32Array, 4),
        dt: column(Uint16Array, 2),
        severity: column(Uint8Array, 1),
        quality: column(Uint8Array, 1),
      };
    case 3:
      return {
        ...header,
        kind: 'positions',
        device: column(Uint32Array, 4),
        lon: column(Int32Array, 4),
        lat: column(Int32Array, 4),
        dt: column(Uint16Array, 2),
      };
    default:
      throw new FrameError(`frame kind ${kind} is not known`);
  }
}

/** Event time of row i in milliseconds since 1970; 0 when it is too old to say. */
export function eventTime(frame: Frame, i: number): number {
  const dt = frame.dt[i];
  return dt === DT_OLDER ? 0 : frame.t0 + dt * 100;
}
