/** Width of the small picture a screen sends of itself. */
const WIDTH = 384;

/** A small copy, as the address of a picture. */
function copy(canvas: HTMLCanvasElement, width: number): string {
  const small = document.createElement('canvas');
  small.width = Math.max(1, Math.round(width));
  small.height = Math.max(1, Math.round((width * canvas.height) / Math.max(1, canvas.width)));
  small.getContext('2d')?.drawImage(canvas, 0, 0, small.width, small.height);
  return small.toDataURL('image/jpeg', 0.7);
}

/** Canvases that can be read in the frame they were drawn in only, with how a copy of one is had. */
const drawn = new Map<HTMLCanvasElement, () => Promise<HTMLCanvasElement>>();

/** A map says how its canvas is read; undefined when it is gone. */
export function readBy(
  canvas: HTMLCanvasElement,
  read: (() => Promise<HTMLCanvasElement>) | undefined,
): void {
  if (read) drawn.set(canvas, read);
  else drawn.delete(canvas);
}

/** A map that never draws again must not hold the picture up. */
const PATIENCE = 2000;

/** Copies of the page's canvases, as addresses of pictures. */
async function canvases(scale: number): Promise<Map<HTMLCanvasElement, string>> {
  const copies = new Map<HTMLCanvasElement, string>();
  for (const c of document.querySelectorAll<HTMLCanvasElement>('#root canvas')) {
    if (c.width === 0) continue;
    const read = drawn.get(c);
    const late = new Promise<undefined>((done) => setTimeout(done, PATIENCE));
    const source = read ? await Promise.race([read(), late]) : c;
    if (source) copies.set(c, copy(source, c.clientWidth * scale));
  }
  return copies;
}

let styles = '';

/** The page's own style sheets as text. */
function styleText(): string {
  if (styles) return styles;
  const parts: string[] = [];
  for (const sheet of document.styleSheets) {
    try {
      for (const rule of sheet.cssRules) {
        // Faces would have to be fetched, which a picture may not.
        if (!(rule instanceof CSSFontFaceRule)) parts.push(rule.cssText);
      }
    } catch {
      // A style sheet of another origin cannot be read, and there is none.
    }
  }
  styles = parts.join('\n');
  return styles;
}

/**
 * A small JPEG of what this page shows: the page as a picture of SVG, its
 * canvases put in as they are. It needs no permission and nothing from elsewhere.
 */
export async function picture(): Promise<Blob> {
  const width = innerWidth;
  const height = innerHeight;
  const scale = WIDTH / width;
  const copies = await canvases(scale);
  const page = document.getElementById('root');
  if (!page) throw new Error('there is no page');
  const twin = page.cloneNode(true) as HTMLElement;
  const before = page.querySelectorAll('canvas');
  twin.querySelectorAll('canvas').forEach((c, i) => {
    const img = document.createElement('img');
    img.src = copies.get(before[i]) ?? '';
    img.setAttribute(
      'style',
      `${c.getAttribute('style') ?? ''};width:${before[i].clientWidth}px;height:${before[i].clientHeight}px`,
    );
    c.replaceWith(img);
  });
  // Frames of other origins are drawn as their outline.
  for (const frame of twin.querySelectorAll('iframe')) frame.remove();
  twin.setAttribute('style', `width:${width}px;height:${height}px`);
  const html = document.createElement('div');
  html.setAttribute('xmlns', 'http://www.w3.org/1999/xhtml');
  for (const [key, value] of Object.entries(document.documentElement.dataset))
    html.dataset[key] = value ?? '';
  html.setAttribute('style', `width:${width}px;height:${height}px;overflow:hidden`);
  const style = document.createElement('style');
  // What is said of the root holds for the picture's outermost part.
  style.textContent = styleText()
    .replaceAll(':root', '.shot')
    .replace(/\bhtml\[/g, '.shot[');
  html.className = 'shot';
  html.append(style, twin);
  const text = new XMLSerializer().serializeToString(html);
  // As large as the page: what its styles say of narrow screens must not hold here.
  const svg = `<svg xmlns="http://www.w3.org/2000/svg" width="${width}" height="${height}"><foreignObject width="${width}" height="${height}">${text}</foreignObject></svg>`;
  const image = new Image();
  image.src = `data:image/svg+xml;charset=utf-8,${encodeURIComponent(svg)}`;
  await image.decode();
  const canvas = document.createElement('canvas');
  canvas.width = WIDTH;
  canvas.height = Math.round(height * scale);
  const draw = canvas.getContext('2d');
  if (!draw) throw new Error('no canvas to draw on');
  draw.fillStyle = getComputedStyle(document.documentElement).backgroundColor || '#080b0f';
  draw.fillRect(0, 0, canvas.width, canvas.height);
  draw.drawImage(image, 0, 0, canvas.width, canvas.height);
  return await new Promise<Blob>((done, fail) => {
    canvas.toBlob((blob) => (blob ? done(blob) : fail(new Error('no picture came'))), 'image/jpeg', 0.72);
  });
}
