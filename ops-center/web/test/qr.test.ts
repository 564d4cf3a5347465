import { encode } from 'uqr';
import { expect, test } from 'vitest';
import { codeOf } from '../src/people/qr.tsx';

test('the QR code is the link, dark where it is dark, with four white modules around it', async () => {
  const link =
    'otpauth://totp/V%E1%BB%8Dng%20l%C3%A2u:quan?secret=JBSWY3DPEHPK3PXPJBSWY3DPEHPK3PXP&issuer=V%E1%BB%8Dng%20l%C3%A2u';
  const { size, path } = await codeOf(link);
  const drawn = Array.from({ length: size }, () => new Array<boolean>(size).fill(false));
  for (const [, x, y, w, back] of path.matchAll(/M(\d+) (\d+)h(\d+)v1H(\d+)z/g)) {
    expect(back).toBe(x);
    drawn[Number(y)].fill(true, Number(x), Number(x) + Number(w));
  }
  const want = encode(link, { ecc: 'M', border: 0 });
  expect(size).toBe(want.size + 8);
  expect(drawn.slice(4, -4).map((row) => row.slice(4, -4))).toEqual(want.data);
  const edge = [...drawn.slice(0, 4), ...drawn.slice(-4)].flat();
  for (const row of drawn) edge.push(...row.slice(0, 4), ...row.slice(-4));
  expect(edge.some(Boolean)).toBe(false);
  expect((await codeOf(`${link}x`)).path).not.toBe(path);
});
