export function readingOf(
  device: { id: string; interval: number; at: readonly [number, number] | number[] },
  quantity: string,
  t: number,
): number;
