// What must be true of whatever a page shows: run in the page, by page.evaluate.
// Each returns a list of what is wrong, empty when nothing is.

/** Everything that is text and can be seen, with where it is; put into the page once. */
export function install() {
  const seen = (e) => {
    if (!e.checkVisibility({ opacityProperty: true, visibilityProperty: true })) return false;
    if (e.closest('.skip') || getComputedStyle(e).fontSize === '0px') return false; // there when it has the focus
    // Said to screen readers alone: one pixel, or clipped away.
    for (let up = e; up && up !== document.body; up = up.parentElement) {
      const s = getComputedStyle(up);
      if (s.clipPath === 'inset(50%)' || (s.position === 'absolute' && s.clip !== 'auto')) return false;
      if (s.overflow !== 'visible' && up.clientWidth <= 1 && up.clientHeight <= 1) return false;
    }
    return true;
  };
  const name = (e) => {
    const parts = [];
    for (let up = e; up && up !== document.body && parts.length < 3; up = up.parentElement) {
      const kind = typeof up.className === 'string' ? up.className.trim().split(/\s+/)[0] : '';
      parts.unshift(up.localName + (kind ? `.${kind}` : ''));
    }
    return parts.join(' > ');
  };
  const texts = () => {
    const walk = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
    const found = [];
    for (let n = walk.nextNode(); n; n = walk.nextNode()) {
      const text = n.data.trim();
      const e = n.parentElement;
      if (!text || /^(SCRIPT|STYLE|NOSCRIPT|OPTION)$/.test(e.tagName) || !seen(e)) continue;
      const range = document.createRange();
      range.selectNodeContents(n);
      const boxes = [...range.getClientRects()].filter((r) => r.width > 0.5 && r.height > 0.5);
      if (boxes.length > 0) found.push({ e, text, boxes });
    }
    return found;
  };
  /** The boxes that cut an element off, from the inside out, up to the first that can be scrolled. */
  const cuts = (e) => {
    const list = [];
    let fixed = false;
    for (let up = e; up && up !== document.documentElement; up = up.parentElement) {
      const s = getComputedStyle(up);
      const [x, y] = [s.overflowX, s.overflowY];
      if (!fixed && (x !== 'visible' || y !== 'visible') && s.display !== 'inline') {
        const r = up.getBoundingClientRect();
        const scrolls = { x: /auto|scroll/.test(x), y: /auto|scroll/.test(y) };
        list.push({
          up,
          r,
          scrolls,
          ellipsis: s.textOverflow === 'ellipsis' || s.webkitLineClamp !== 'none',
        });
        if (scrolls.x && scrolls.y) return list;
      }
      if (s.position === 'fixed' || up.localName === 'dialog') fixed = true;
    }
    list.push({
      up: document.documentElement,
      r: { left: 0, top: 0, right: innerWidth, bottom: innerHeight },
      scrolls: { x: false, y: false },
      ellipsis: false,
    });
    return list;
  };
  window.probe = { texts, cuts, name, seen };
}

/**
 * Text that is cut off or hangs out of the screen. A box that can be scrolled
 * may hold more than it shows. An ellipsis is a choice where the whole text can
 * be had: from a title, or by opening the thing.
 */
export function clipped({ lenient }) {
  const { texts, cuts, name } = window.probe;
  const wrong = [];
  for (const { e, text, boxes } of texts()) {
    if (e.closest('.maplibregl-ctrl')) continue;
    const free = { x: false, y: false };
    for (const { up, r, scrolls, ellipsis } of cuts(e)) {
      const out = boxes.reduce(
        (most, b) => ({
          x: Math.max(most.x, r.left - b.left, b.right - r.right),
          y: Math.max(most.y, r.top - b.top, b.bottom - r.bottom),
        }),
        { x: 0, y: 0 },
      );
      // A line is taller than its letters: a fifth of it may be cut.
      const most = { x: 1.5, y: Math.max(2, boxes[0].height * 0.2) };
      const over = (free.x ? false : out.x > most.x) || (free.y ? false : out.y > most.y);
      free.x ||= scrolls.x;
      free.y ||= scrolls.y;
      if (scrolls.x && scrolls.y) break;
      if (
        !over ||
        (out.x > most.x && scrolls.x && out.y <= most.y) ||
        (out.y > most.y && scrolls.y && out.x <= most.x)
      )
        continue;
      if (ellipsis && (lenient || e.closest('[title], button, a, option, [role="option"]'))) break;
      wrong.push(
        `"${text.slice(0, 40)}" in ${name(e)} is cut by ${name(up)} (${Math.round(out.x)}, ${Math.round(out.y)} px)`,
      );
      break;
    }
  }
  return wrong;
}

/** Boxes that are too small for what is in them and neither cut it nor scroll it. */
export function spilling() {
  const { seen, name } = window.probe;
  const wrong = [];
  for (const e of document.querySelectorAll('body *')) {
    if (e.clientWidth === 0 || e.scrollWidth <= e.clientWidth + 1) continue;
    const s = getComputedStyle(e);
    if (s.overflowX !== 'visible' || !seen(e)) continue;
    // What is drawn, hung or shifted on purpose: text is looked at by the other probe.
    if (e instanceof SVGElement || e.closest('.maplibregl-map, .uplot, svg')) continue;
    if (!/^(P|H1|H2|H3|LI|TD|TH|BUTTON|A|LABEL|DT|DD|SPAN|SMALL|B)$/.test(e.tagName)) continue;
    if (!e.textContent.trim() || e.querySelector('.heard, .aside')) continue;
    wrong.push(
      `${name(e)} "${e.textContent.trim().slice(0, 40)}" needs ${e.scrollWidth} of ${e.clientWidth} px`,
    );
  }
  return wrong;
}

/** Texts that lie on each other with nothing opaque between them. */
export function overlapping() {
  const { texts, name } = window.probe;
  const opaque = (e) => {
    const s = getComputedStyle(e);
    const alpha = /rgba\(.*,\s*([\d.]+)\)/.exec(s.backgroundColor);
    return s.backgroundColor !== 'transparent' && (!alpha || Number(alpha[1]) > 0.6);
  };
  const all = texts().flatMap(({ e, text, boxes }) => boxes.map((b) => ({ e, text, b })));
  all.sort((p, q) => p.b.top - q.b.top);
  const wrong = [];
  for (let i = 0; i < all.length; i++) {
    for (let j = i + 1; j < all.length && all[j].b.top < all[i].b.bottom - 4; j++) {
      const [p, q] = [all[i], all[j]];
      if (p.e === q.e || p.e.contains(q.e) || q.e.contains(p.e)) continue;
      const w = Math.min(p.b.right, q.b.right) - Math.max(p.b.left, q.b.left);
      const h = Math.min(p.b.bottom, q.b.bottom) - Math.max(p.b.top, q.b.top);
      if (w < 3 || h < Math.min(p.b.height, q.b.height) * 0.45) continue;
      const x = Math.max(p.b.left, q.b.left) + w / 2;
      const y = Math.max(p.b.top, q.b.top) + h / 2;
      const stack = document.elementsFromPoint(x, y);
      const [a, b] = [stack.indexOf(p.e), stack.indexOf(q.e)];
      if (a < 0 || b < 0) continue; // one of them is under what cuts it off, or takes no pointer
      const [top, under] = a < b ? [a, b] : [b, a];
      if (stack.slice(top, under).some(opaque)) continue;
      wrong.push(`"${p.text.slice(0, 30)}" (${name(p.e)}) lies on "${q.text.slice(0, 30)}" (${name(q.e)})`);
    }
  }
  return wrong;
}

/** Text smaller than can be read from a desk. */
export function tiny({ least }) {
  const { texts, name } = window.probe;
  return texts()
    .filter(({ e }) => !e.closest('svg') && Number.parseFloat(getComputedStyle(e).fontSize) < least - 0.01)
    .map(({ e, text }) => `"${text.slice(0, 30)}" in ${name(e)} has ${getComputedStyle(e).fontSize}`);
}

/** Letters that are not of the page's face, and signs that no face of the machine has. */
export function strange() {
  const { texts } = window.probe;
  const canvas = new OffscreenCanvas(64, 64);
  const draw = canvas.getContext('2d', { willReadFrequently: true });
  const width = (font, c) => {
    draw.font = font;
    return draw.measureText(c).width;
  };
  const picture = (c) => {
    draw.clearRect(0, 0, 64, 64);
    draw.font = '40px "Be Vietnam Pro", sans-serif';
    draw.fillText(c, 8, 48);
    return draw.getImageData(0, 0, 64, 64).data.join();
  };
  const nothing = picture('\u{10fffe}');
  const wrong = new Map();
  for (const { text } of texts()) {
    for (const c of text) {
      if (wrong.has(c) || /\s/.test(c)) continue;
      if (/[\p{L}\p{N}]/u.test(c)) {
        const own = '40px "Be Vietnam Pro"';
        const same = width(`${own}, monospace`, c) === width(`${own}, serif`, c);
        wrong.set(
          c,
          same || /[①-⑳]/u.test(c)
            ? ''
            : `${c} (U+${c.codePointAt(0).toString(16)}) in "${text.slice(0, 30)}" is not of Be Vietnam Pro`,
        );
      } else if (!/\p{M}|\p{C}/u.test(c)) {
        wrong.set(c, picture(c) === nothing ? `${c} (U+${c.codePointAt(0).toString(16)}) has no glyph` : '');
      }
    }
  }
  return [...wrong.values()].filter(Boolean);
}

/** All visible texts, for a comparison of languages. */
export function words() {
  const titles = [...document.querySelectorAll('[title], [aria-label], [placeholder]')]
    .filter((e) => window.probe.seen(e))
    .flatMap((e) => ['title', 'aria-label', 'placeholder'].map((a) => e.getAttribute(a)).filter(Boolean));
  return [...new Set([...window.probe.texts().map((t) => t.text), ...titles])];
}

/**
 * Texts that are the same in both languages and come neither from a phrase that
 * is, nor from the server; keys and parameters that were not replaced.
 */
export function untranslated({ vi, en }) {
  const { phrases, said } = window.story;
  const both = phrases();
  const data = said();
  const shared = new Set(vi.filter((t) => en.includes(t)));
  const wrong = [];
  // The same in every language: formats, keys, protocols, time zones, commands.
  const neutral = /^(UTC|PNG|CSV|Esc|Ctrl|Enter|Shift|Tab|MQTT|CoAP|HTTP|GeoJSON|vonglau)\b/;
  const keys = new Set(Object.keys(both.vi));
  // A phrase with parameters is known by what stands around them.
  const parts = (catalogue) =>
    Object.values(catalogue)
      .flatMap((p) => p.split(/\{\w+\}/))
      .map((p) => p.trim());
  const viParts = new Set(parts(both.vi));
  const same = new Set(parts(both.en).filter((p) => viParts.has(p)));
  for (const text of new Set([...vi, ...en])) {
    if (keys.has(text)) wrong.push(`a key: ${text}`);
    if (/\{[a-z]\w*\}/i.test(text)) wrong.push(`a parameter: ${text}`);
  }
  for (const text of shared) {
    if (
      !/\p{L}{3}/u.test(text) ||
      neutral.test(text) ||
      same.has(text) ||
      data.includes(JSON.stringify(text).slice(1, -1))
    )
      continue;
    // What is put together of names and phrases: each part for itself.
    const left = text
      .split(/[\s·,:()]+/)
      .filter(
        (w) =>
          /\p{L}{3}/u.test(w) &&
          !data.includes(w) &&
          !neutral.test(w) &&
          ![...same].some((p) => p.split(/\s+/).includes(w)),
      );
    if (left.length > 0) wrong.push(`in both languages: "${text.slice(0, 60)}"`);
  }
  return wrong;
}
