import type { Legend } from './overlay.ts';
import { drawSymbol } from './places.ts';

/** A picture of the map with what makes it readable away from the screen. */
export interface Sheet {
  map: HTMLCanvasElement;
  title: string;
  lines: string[];
  scale: { label: string; pixels: number };
  legends: Legend[];
  /** The priorities, by their symbols, with a title. */
  priorities: { title: string; labels: Record<1 | 2 | 3 | 4, string> };
  attribution: string;
}

/**
 * Draws a sheet on one canvas: title and moment above, map, legend, scale and
 * whom the data is of. ratio is the canvas's pixels per pixel of the page.
 */
export function drawSheet(sheet: Sheet, ratio: number): HTMLCanvasElement {
  const pad = 14 * ratio;
  const head = 54 * ratio;
  const foot = 30 * ratio;
  const side = 250 * ratio;
  const canvas = document.createElement('canvas');
  canvas.width = sheet.map.width + side + 3 * pad;
  canvas.height = sheet.map.height + head + foot + 2 * pad;
  const c = canvas.getContext('2d');
  if (!c) throw new Error('no 2D canvas for the sheet');
  const font = (weight: number, size: number) => {
    c.font = `${weight} ${size * ratio}px "Be Vietnam Pro", sans-serif`;
  };
  c.fillStyle = '#ffffff';
  c.fillRect(0, 0, canvas.width, canvas.height);
  c.fillStyle = '#0b0f14';
  c.textBaseline = 'alphabetic';
  font(700, 20);
  c.fillText(sheet.title, pad, pad + 20 * ratio);
  font(400, 13);
  c.fillText(sheet.lines.join('   ·   '), pad, pad + 42 * ratio);
  const top = pad + head;
  c.drawImage(sheet.map, pad, top);
  c.strokeStyle = '#4b5a68';
  c.lineWidth = ratio;
  c.strokeRect(pad, top, sheet.map.width, sheet.map.height);

  const left = sheet.map.width + 2 * pad;
  let y = top + 14 * ratio;
  for (const legend of sheet.legends) {
    font(600, 13);
    c.fillStyle = '#0b0f14';
    for (const line of wrap(c, legend.title, side)) {
      c.fillText(line, left, y);
      y += 17 * ratio;
    }
    font(400, 12.5);
    for (const row of legend.rows) {
      swatch(c, row.kind, row.colour, left, y - 10 * ratio, ratio);
      c.fillStyle = '#0b0f14';
      const indent = row.kind === 'text' ? 0 : 28 * ratio;
      for (const line of wrap(c, row.label, side - indent)) {
        c.fillText(line, left + indent, y);
        y += 18 * ratio;
      }
    }
    if (legend.note) {
      font(400, 11.5);
      c.fillStyle = '#3a4958';
      for (const line of wrap(c, legend.note, side)) {
        c.fillText(line, left, y);
        y += 15 * ratio;
      }
    }
    y += 14 * ratio;
  }
  font(600, 13);
  c.fillStyle = '#0b0f14';
  c.fillText(sheet.priorities.title, left, y);
  y += 20 * ratio;
  for (const p of [1, 2, 3, 4] as const) {
    // Shape and digit say it where the printer has no colours.
    drawSymbol(c, p, left + 9 * ratio, y - 4.5 * ratio, 17 * ratio);
    font(400, 12.5);
    c.fillStyle = '#0b0f14';
    c.fillText(sheet.priorities.labels[p], left + 28 * ratio, y);
    y += 21 * ratio;
  }

  const base = top + sheet.map.height + 20 * ratio;
  c.strokeStyle = '#0b0f14';
  c.lineWidth = 2 * ratio;
  c.beginPath();
  c.moveTo(pad, base - 8 * ratio);
  c.lineTo(pad, base);
  c.lineTo(pad + sheet.scale.pixels * ratio, base);
  c.lineTo(pad + sheet.scale.pixels * ratio, base - 8 * ratio);
  c.stroke();
  font(400, 12.5);
  c.fillStyle = '#0b0f14';
  c.fillText(sheet.scale.label, pad + (sheet.scale.pixels + 8) * ratio, base);
  c.fillStyle = '#3a4958';
  c.textAlign = 'right';
  c.fillText(sheet.attribution, canvas.width - pad, base);
  return canvas;
}

function swatch(
  c: CanvasRenderingContext2D,
  kind: string,
  colour: string | undefined,
  x: number,
  y: number,
  ratio: number,
): void {
  const w = 20 * ratio;
  const h = 12 * ratio;
  c.save();
  c.beginPath();
  if (kind === 'area' || kind === 'dot') {
    c.fillStyle = colour ?? '#888888';
    c.fillRect(x, y, w, h);
    c.strokeStyle = '#4b5a68';
    c.lineWidth = ratio / 2;
    c.strokeRect(x, y, w, h);
  } else if (kind === 'hatch') {
    c.rect(x, y, w, h);
    c.strokeStyle = '#6f8294';
    c.lineWidth = ratio;
    c.stroke();
    c.clip();
    c.beginPath();
    for (let k = -h; k < w; k += 5 * ratio) {
      c.moveTo(x + k, y + h);
      c.lineTo(x + k + h, y);
    }
    c.stroke();
  } else if (kind !== 'text') {
    if (kind === 'dashed') c.setLineDash([4 * ratio, 3 * ratio]);
    c.strokeStyle = colour === '#e3eef8' ? '#0b0f14' : (colour ?? '#0b0f14');
    c.lineWidth = 3 * ratio;
    c.moveTo(x, y + h / 2);
    c.lineTo(x + w, y + h / 2);
    c.stroke();
  }
  c.restore();
}

function wrap(c: CanvasRenderingContext2D, text: string, width: number): string[] {
  const lines: string[] = [];
  let line = '';
  for (const word of text.split(' ')) {
    const longer = line ? `${line} ${word}` : word;
    if (line && c.measureText(longer).width > width) {
      lines.push(line);
      line = word;
    } else line = longer;
  }
  lines.push(line);
  return lines;
}

/** A file name from a title: no diacritics, nothing a file system dislikes. */
export function fileName(title: string, at: Date): string {
  const stamp = at.toISOString().slice(0, 19).replace(/[:T]/g, '-');
  const plain = title
    .normalize('NFD')
    .replace(/\p{M}/gu, '')
    .replace(/[đĐ]/g, 'd')
    .toLowerCase()
    .replace(/[^a-z0-9]+/g, '-')
    .replace(/^-|-$/g, '');
  return `${plain || 'map'}-${stamp}.png`;
}

export async function savePicture(canvas: HTMLCanvasElement, name: string): Promise<void> {
  const blob = await new Promise<Blob | null>((resolve) => canvas.toBlob(resolve, 'image/png'));
  if (!blob) throw new Error('the picture could not be made');
  const url = URL.createObjectURL(blob);
  const link = document.createElement('a');
  link.href = url;
  link.download = name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(url), 10_000);
}

/** Prints a sheet alone on a page of A4, landscape; map.css hides the rest. */
export async function printSheet(canvas: HTMLCanvasElement, title: string): Promise<void> {
  const image = new Image();
  image.alt = title;
  image.src = canvas.toDataURL('image/png');
  await image.decode();
  const holder = document.createElement('div');
  holder.className = 'print-sheet';
  holder.append(image);
  document.body.append(holder);
  document.documentElement.classList.add('printing');
  const end = () => {
    document.documentElement.classList.remove('printing');
    holder.remove();
    window.removeEventListener('afterprint', end);
  };
  window.addEventListener('afterprint', end);
  window.print();
}
