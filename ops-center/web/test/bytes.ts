/** Bytes as they are written in a document: hex pairs with any white space between. */
export function bytes(hex: string): ArrayBuffer {
  const pairs = hex.replace(/\s+/g, '').match(/../g) ?? [];
  return Uint8Array.from(pairs, (p) => Number.parseInt(p, 16)).buffer;
}
