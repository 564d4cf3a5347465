// Pictures compared and kept.
import { crc32, deflateSync } from 'node:zlib';

/** In the page: the pixels of a PNG in base64, as width, height and a list of RGB. */
export async function pixels(data) {
  const picture = new Image();
  picture.src = `data:image/png;base64,${data}`;
  await picture.decode();
  const draw = new OffscreenCanvas(picture.width, picture.height).getContext('2d', {
    willReadFrequently: true,
  });
  draw.drawImage(picture, 0, 0);
  const { data: px } = draw.getImageData(0, 0, picture.width, picture.height);
  const rgb = [];
  for (let i = 0; i < px.length; i += 4) rgb.push((px[i] << 16) | (px[i + 1] << 8) | px[i + 2]);
  return { width: picture.width, height: picture.height, rgb };
}

/** In the page: how many fields of four by four pixels differ between two pictures, and where. */
export async function compare([one, two]) {
  const fields = async (data) => {
    const picture = new Image();
    picture.src = `data:image/png;base64,${data}`;
    await picture.decode();
    const { width, height } = picture;
    const draw = new OffscreenCanvas(width, height).getContext('2d', { willReadFrequently: true });
    draw.drawImage(picture, 0, 0);
    const { data: px } = draw.getImageData(0, 0, width, height);
    const [w, h] = [Math.ceil(width / 4), Math.ceil(height / 4)];
    const sums = new Float64Array(w * h * 3);
    for (let y = 0; y < height; y++) {
      for (let x = 0; x < width; x++) {
        const to = ((y >> 2) * w + (x >> 2)) * 3;
        for (let c = 0; c < 3; c++) sums[to + c] += px[(y * width + x) * 4 + c] / 16;
      }
    }
    return { w, h, sums };
  };
  const [a, b] = [await fields(one), await fields(two)];
  if (a.w !== b.w || a.h !== b.h) return { n: 1e9, box: `${a.w}×${a.h} and ${b.w}×${b.h}` };
  const box = [1e9, 1e9, -1, -1];
  let n = 0;
  for (let i = 0; i < a.w * a.h; i++) {
    const most = Math.max(...[0, 1, 2].map((c) => Math.abs(a.sums[3 * i + c] - b.sums[3 * i + c])));
    if (most <= 14) continue;
    n++;
    const [x, y] = [4 * (i % a.w), 4 * Math.floor(i / a.w)];
    box[0] = Math.min(box[0], x);
    box[1] = Math.min(box[1], y);
    box[2] = Math.max(box[2], x + 4);
    box[3] = Math.max(box[3], y + 4);
  }
  return { n, box: n > 0 ? `at ${box.join(' ')}` : '' };
}

/**
 * In the page: how far the foot of a label's middle letter is below that of the
 * H before it. Labels are white on black, three letters wide apart.
 */
export async function feet([data, labels]) {
  const picture = new Image();
  picture.src = `data:image/png;base64,${data}`;
  await picture.decode();
  const draw = new OffscreenCanvas(picture.width, picture.height).getContext('2d', {
    willReadFrequently: true,
  });
  draw.drawImage(picture, 0, 0);
  return labels.map(({ text, face, x, y }) => {
    const [left, top, w, h] = [Math.round(x) - 80, Math.round(y) - 36, 160, 72];
    const { data: px } = draw.getImageData(left, top, w, h);
    const ink = (cx, cy) => px[(cy * w + cx) * 4] > 110;
    // Letters are runs of columns with ink in them.
    const letters = [];
    for (let cx = 0, from = -1; cx <= w; cx++) {
      let any = false;
      for (let cy = 0; cx < w && cy < h; cy++) any ||= ink(cx, cy);
      if (any && from < 0) from = cx;
      if (!any && from >= 0) {
        letters.push([from, cx]);
        from = -1;
      }
    }
    const foot = ([from, to]) => {
      for (let cy = h - 1; cy >= 0; cy--) for (let cx = from; cx < to; cx++) if (ink(cx, cy)) return cy;
      return -1;
    };
    // A wide mark may stand apart from its letter: what lies between the first and the last is the middle.
    const off = letters.length < 3 ? Number.NaN : foot([letters[0][1], letters.at(-1)[0]]) - foot(letters[0]);
    return { text, face, off };
  });
}

/** A PNG of at most 256 colours: the frequent ones, the others by the nearest of those. */
export function indexed({ width, height, rgb }) {
  const seen = new Map();
  for (const c of rgb) seen.set(c, (seen.get(c) ?? 0) + 1);
  const palette = [...seen].toSorted((a, b) => b[1] - a[1]).map(([c]) => c);
  const own = [];
  const far = (a, b) =>
    Math.abs((a >> 16) - (b >> 16)) +
    Math.abs(((a >> 8) & 255) - ((b >> 8) & 255)) +
    Math.abs((a & 255) - (b & 255));
  // Colours that are almost one already there make no place for others.
  for (const least of [10, 0]) {
    for (const c of palette) {
      if (own.length < 256 && !own.includes(c) && own.every((o) => far(o, c) > least)) own.push(c);
    }
  }
  const near = new Map(own.map((c, i) => [c, i]));
  const index = (c) => {
    let at = near.get(c);
    if (at === undefined) {
      at = own.reduce((best, o, i) => (far(o, c) < far(own[best], c) ? i : best), 0);
      near.set(c, at);
    }
    return at;
  };
  const rows = Buffer.alloc((width + 1) * height);
  rgb.forEach((c, i) => {
    rows[Math.floor(i / width) * (width + 1) + 1 + (i % width)] = index(c);
  });
  const chunk = (kind, body) => {
    const whole = Buffer.concat([Buffer.from(kind), body]);
    const b = Buffer.alloc(whole.length + 8);
    b.writeUInt32BE(body.length, 0);
    whole.copy(b, 4);
    b.writeUInt32BE(crc32(whole), whole.length + 4);
    return b;
  };
  const head = Buffer.alloc(13);
  head.writeUInt32BE(width, 0);
  head.writeUInt32BE(height, 4);
  head.set([8, 3, 0, 0, 0], 8);
  return Buffer.concat([
    Buffer.from([137, 80, 78, 71, 13, 10, 26, 10]),
    chunk('IHDR', head),
    chunk('PLTE', Buffer.from(own.flatMap((c) => [c >> 16, (c >> 8) & 255, c & 255]))),
    chunk('IDAT', deflateSync(rows, { level: 9 })),
    chunk('IEND', Buffer.alloc(0)),
  ]);
}
