import type { CustomLayerInterface, CustomRenderMethodInput, Map as MapLibre } from 'maplibre-gl';
import type { City } from '../live/city.ts';
import { PRIORITY, PRIORITY_INK, rgb } from '../palette.ts';
import type { Theme } from '../theme.ts';
import { Grid } from './grid.ts';
import { mercatorX, mercatorY } from './mercator.ts';

/** What a symbol has besides its priority's colour, on either ground. */
const INKS: Record<Theme, { grey: string; edge: string; rim: string; mover: string }> = {
  dark: { grey: PRIORITY[0], edge: '#0b0f14', rim: '#ffffff', mover: '#c7dbed' },
  light: { grey: '#4f6172', edge: '#26323d', rim: '#000000', mover: '#1f3b57' },
};

const PRIORITY_INKS = Float32Array.from(PRIORITY_INK.flatMap((c) => rgb(c)));

/** The same as numbers for the shader. */
const colours = (theme: Theme) => {
  const { grey, edge, rim, mover } = INKS[theme];
  return {
    symbol: Float32Array.from(PRIORITY.flatMap((c, i) => rgb(i === 0 ? grey : c))),
    edge: rgb(edge),
    rim: rgb(rim),
    mover: rgb(mover),
  };
};

/** Bits of a point's fourth state byte. */
const Mark = { Selected: 1, Unacknowledged: 2, Moving: 4 } as const;

const VERTEX = `#version 300 es
uniform mat4 u_matrix;
uniform float u_size;
uniform float u_pixels;
uniform bool u_urgent;
in vec2 a_place;
in uvec4 a_state; // severity, freshness, shown, marks
flat out uvec4 v_state;
flat out float v_size;
void main() {
  v_state = a_state;
  bool urgent = a_state.x != 0u || (a_state.w & 1u) != 0u;
  if (a_state.z == 0u || urgent != u_urgent) {
    gl_Position = vec4(2.0, 2.0, 2.0, 1.0); // outside: nothing is drawn
    gl_PointSize = 1.0;
    v_size = 1.0;
    return;
  }
  gl_Position = u_matrix * vec4(a_place, 0.0, 1.0);
  float size = u_size;
  if (a_state.x != 0u) {
    float scale = clamp(u_size / 7.0, 0.8, 1.5);
    size = (a_state.x == 1u ? 33.0 : a_state.x == 2u ? 29.0 : a_state.x == 3u ? 22.0 : 20.0) * scale;
    if ((a_state.w & 2u) != 0u) size += 4.0;
  } else if ((a_state.w & 4u) != 0u) {
    size = u_size * 1.35;
  }
  if (a_state.x == 0u && a_state.y >= 2u) size += 2.5;
  if ((a_state.w & 1u) != 0u) size = max(size + 18.0, 32.0);
  v_size = size * u_pixels;
  gl_PointSize = v_size;
}`;

// Shapes are signed distances in device pixels, so that they are sharp at any
// size: diamond 1, triangle 2, square 3, circle 4, dot for normal, broken ring
// for silent. Digits come from a small atlas drawn once with the page's font.
const FRAGMENT = `#version 300 es
precision highp float;
precision highp usampler2D;
uniform vec3 u_colour[5];
uniform vec3 u_ink[5];
uniform sampler2D u_digits;
uniform float u_pixels;
uniform vec3 u_edge; // around a symbol
uniform vec3 u_rim; // what nobody has acknowledged, what is chosen
uniform vec3 u_mover;
flat in uvec4 v_state;
flat in float v_size;
out vec4 colour;

float box(vec2 p, float r) { vec2 d = abs(p) - r; return length(max(d, 0.0)) + min(max(d.x, d.y), 0.0); }
float diamond(vec2 p, float r) { return (abs(p.x) + abs(p.y) - r) * 0.70710678; }
float triangle(vec2 p, float r) {
  const float k = 1.7320508;
  p.x = abs(p.x) - r;
  p.y = -p.y + r / k;
  if (p.x + k * p.y > 0.0) p = vec2(p.x - k * p.y, -k * p.x - p.y) / 2.0;
  p.x -= clamp(p.x, -2.0 * r, 0.0);
  return -length(p) * sign(p.y);
}
float shape(uint severity, vec2 p, float r) {
  if (severity == 1u) return diamond(p, r);
  if (severity == 2u) return triangle(p + vec2(0.0, -r * 0.12), r * 0.92);
  if (severity == 3u) return box(p, r * 0.8);
  return length(p) - r * 0.86;
}
void over(inout vec4 under, vec3 c, float a) { under = vec4(mix(under.rgb, c, a), a + under.a * (1.0 - a)); }

void main() {
  vec2 p = (gl_PointCoord - 0.5) * v_size;
  uint severity = v_state.x;
  uint fresh = v_state.y;
  bool selected = (v_state.w & 1u) != 0u;
  bool unacknowledged = (v_state.w & 2u) != 0u;
  bool moving = (v_state.w & 4u) != 0u;
  float r = v_size / 2.0 - u_pixels;
  vec4 c = vec4(0.0);
  if (selected) {
    float ring = abs(length(p) - (r - 1.5 * u_pixels));
    over(c, u_edge, 0.45 * smoothstep(0.5, -0.5, length(p) - r));
    over(c, u_rim, smoothstep(0.5, -0.5, ring - 1.25 * u_pixels));
    r = max(5.0 * u_pixels, r - 9.0 * u_pixels);
  }
  if (severity != 0u) {
    float d = shape(severity, p, r);
    vec3 fill = u_colour[severity];
    vec3 ink = u_ink[severity];
    float edge = unacknowledged ? 1.8 * u_pixels : 1.0 * u_pixels;
    vec3 rim = unacknowledged ? u_rim : u_edge;
    over(c, rim, smoothstep(0.5, -0.5, d));
    float inside = smoothstep(0.5, -0.5, d + edge);
    if (fresh >= 3u || fresh == 0u) {
      // Stale: what the alarm stands on is old. Hatched, with the colour kept.
      float stripe = smoothstep(-0.6, 0.6, sin((p.x + p.y) / u_pixels * 1.1) * 1.6);
      fill = mix(fill * 0.28, fill, stripe);
      ink = vec3(1.0);
    }
    over(c, fill, inside);
    vec2 q = p + (severity == 2u ? vec2(0.0, -r * 0.2) : vec2(0.0));
    vec2 g = q / (r * (severity <= 2u ? 1.5 : 1.85)) + 0.5;
    if (g.x > 0.0 && g.x < 1.0 && g.y > 0.0 && g.y < 1.0) {
      float digit = texture(u_digits, vec2((g.x + float(severity - 1u)) / 4.0, g.y)).r;
      over(c, ink, digit * inside);
    }
  } else {
    float d = length(p);
    vec3 grey = u_colour[0];
    if (fresh == 1u) {
      over(c, u_edge, 0.6 * smoothstep(0.5, -0.5, d - r));
      float body = moving ? smoothstep(0.5, -0.5, box(p, r * 0.7)) : smoothstep(0.5, -0.5, d - r + 0.6 * u_pixels);
      over(c, moving ? u_mover : grey, body * (moving ? 0.95 : 0.78));
    } else if (fresh == 2u) {
      over(c, grey, smoothstep(0.5, -0.5, abs(d - r + 1.2 * u_pixels) - 0.9 * u_pixels));
    } else {
      // Broken ring: silent, or never heard.
      float dash = step(0.0, sin(atan(p.y, p.x) * 4.0 + 0.8));
      float ring = smoothstep(0.5, -0.5, abs(d - r + 1.2 * u_pixels) - 0.8 * u_pixels);
      over(c, grey, ring * dash * (fresh == 0u ? 0.45 : 0.95));
    }
  }
  if (c.a < 0.01) discard;
  colour = vec4(c.rgb * c.a, c.a);
}`;

/**
 * All sensors in one custom WebGL layer: a place and one state word per device
 * in two buffers, of which only the range that changed is uploaded. Changing
 * 20,000 of 200,000 points costs less than a millisecond of the main thread;
 * MapLibre's own sources re-index every tile for each change.
 *
 * Places are 32-bit floats relative to an origin in the middle of the city, and
 * the matrix is moved there in doubles: to the centimetre at any zoom.
 *
 * The arrays outlive the WebGL context. MapLibre drops custom layers when a
 * context is lost; the layer is then added again and uploads everything.
 */
export class SensorLayer implements CustomLayerInterface {
  readonly id = 'sensors';
  readonly type = 'custom' as const;
  readonly renderingMode = '2d' as const;

  #city: City;
  #map: MapLibre | undefined;
  #count = 0;
  #capacity = 0;
  #origin: [number, number] | undefined;
  #place = new Float32Array(0);
  #state = new Uint8Array(0);
  #x = new Float64Array(0);
  #y = new Float64Array(0);
  #hidden = new Uint8Array(0);
  #marks = new Uint8Array(0);
  #grid: Grid | undefined;
  #movers: number[] = [];
  #motion = new Map<
    number,
    { x0: number; y0: number; x1: number; y1: number; start: number; span: number }
  >();

  // Ranges still to be uploaded; empty when lo > hi.
  #stateDirty = { lo: Number.POSITIVE_INFINITY, hi: -1 };
  #placeDirty = { lo: Number.POSITIVE_INFINITY, hi: -1 };
  #uploaded = 0;
  #urgent = new Uint32Array(0);
  #sparse = false;
  #least = 0;
  #ink = colours('dark');
  #urgentStale = true;

  #program: WebGLProgram | undefined;
  #vertexArray: WebGLVertexArrayObject | undefined;
  #placeBuffer: WebGLBuffer | undefined;
  #stateBuffer: WebGLBuffer | undefined;
  #indexBuffer: WebGLBuffer | undefined;
  #digits: WebGLTexture | undefined;
  #uniform: Record<string, WebGLUniformLocation | null> = {};

  constructor(city: City) {
    this.#city = city;
  }

  /** Number of points drawn: placed and not hidden. */
  drawn = 0;

  /** Takes devices and places anew, after the dictionary or the hidden classes changed. */
  rebuild(hiddenClasses: ReadonlySet<string>): void {
    const city = this.#city;
    this.#count = city.devices;
    if (this.#count > this.#capacity) {
      this.#capacity = Math.ceil(this.#count * 1.5);
      this.#place = new Float32Array(this.#capacity * 2);
      this.#state = new Uint8Array(this.#capacity * 4);
      this.#x = new Float64Array(this.#capacity);
      this.#y = new Float64Array(this.#capacity);
      this.#hidden = new Uint8Array(this.#capacity);
      const marks = new Uint8Array(this.#capacity);
      marks.set(this.#marks);
      this.#marks = marks;
      this.#uploaded = 0;
    }
    this.#motion.clear();
    this.#movers = [];
    const still: number[] = [];
    const hiddenProfile = city.profiles.map((p) => hiddenClasses.has(p.class));
    for (let i = 0; i < this.#count; i++) {
      this.#hidden[i] = hiddenProfile[city.profile[i]] ? 1 : 0;
      if (city.placed[i]) {
        this.#x[i] = mercatorX(city.lon[i]);
        this.#y[i] = mercatorY(city.lat[i]);
      }
      if (city.moving[i]) {
        this.#movers.push(i);
        this.#marks[i] |= Mark.Moving;
      } else {
        this.#marks[i] &= ~Mark.Moving;
        if (city.placed[i]) still.push(i);
      }
    }
    if (!this.#origin) {
      const first = city.placed.indexOf(1);
      if (first >= 0 && first < this.#count) this.#origin = [this.#x[first], this.#y[first]];
    }
    for (let i = 0; i < this.#count; i++) this.#write(i);
    this.#grid = new Grid(Uint32Array.from(still), this.#x, this.#y);
    this.refresh(0, this.#count - 1);
  }

  /** Takes the state of devices lo to hi, inclusive, or of those listed, which lie between. */
  refresh(lo: number, hi: number, devices?: Uint32Array): void {
    hi = Math.min(hi, this.#count - 1);
    if (devices) for (const i of devices) this.#look(i);
    else for (let i = lo; i <= hi; i++) this.#look(i);
    widen(this.#stateDirty, lo, hi);
    this.#map?.triggerRepaint();
  }

  #look(i: number): void {
    if (i >= this.#count) return;
    const city = this.#city;
    const state = this.#state;
    const o = i * 4;
    const severity = city.severity[i];
    if (state[o] !== severity) this.#urgentStale = true;
    state[o] = severity;
    state[o + 1] = city.fresh[i];
    const wanted = this.#least === 0 || (severity > 0 && severity <= this.#least);
    state[o + 2] = wanted && city.placed[i] === 1 && this.#hidden[i] === 0 && city.hidden[i] === 0 ? 1 : 0;
    state[o + 3] = this.#marks[i];
  }

  /** Lets moving devices glide to where they are now instead of jumping. */
  moved(devices: Uint32Array, glide: boolean): void {
    const now = performance.now();
    for (const i of devices) {
      if (i >= this.#count) continue;
      const x1 = mercatorX(this.#city.lon[i]);
      const y1 = mercatorY(this.#city.lat[i]);
      this.#origin ??= [x1, y1];
      const before = this.#motion.get(i);
      const known = this.#state[i * 4 + 2] === 1;
      const apart = Math.hypot(x1 - this.#x[i], y1 - this.#y[i]);
      // About 2 km at this latitude: a jump that far is a new fix, not a drive.
      if (!glide || !known || apart > 5e-5) {
        this.#motion.delete(i);
        this.#x[i] = x1;
        this.#y[i] = y1;
      } else {
        const span = before ? Math.min(10_000, Math.max(250, now - before.start)) : 1000;
        this.#motion.set(i, { x0: this.#x[i], y0: this.#y[i], x1, y1, start: now, span });
      }
      this.#write(i);
      this.refresh(i, i);
    }
  }

  /** Moves what is gliding to where it is at this moment; says whether anything still is. */
  glide(): boolean {
    if (this.#motion.size === 0) return false;
    const now = performance.now();
    let moving = false;
    for (const [i, m] of this.#motion) {
      const k = Math.min(1, (now - m.start) / m.span);
      const x = m.x0 + (m.x1 - m.x0) * k;
      const y = m.y0 + (m.y1 - m.y0) * k;
      if (x === this.#x[i] && y === this.#y[i]) continue;
      this.#x[i] = x;
      this.#y[i] = y;
      this.#write(i);
      moving = true;
    }
    if (moving) this.#map?.triggerRepaint();
    return moving;
  }

  /** Marks the selected device and those with an alarm nobody has acknowledged. */
  mark(selected: number | undefined, unacknowledged: ReadonlySet<number>): void {
    for (let i = 0; i < this.#count; i++) {
      let marks = this.#marks[i] & Mark.Moving;
      if (i === selected) marks |= Mark.Selected;
      if (unacknowledged.has(i)) marks |= Mark.Unacknowledged;
      if (marks === this.#marks[i]) continue;
      this.#marks[i] = marks;
      this.#urgentStale = true;
      this.refresh(i, i);
    }
  }

  /** Draws critical and chosen devices only: clusters stand for the others. */
  set sparse(on: boolean) {
    if (this.#sparse === on) return;
    this.#sparse = on;
    this.#urgentStale = true;
    this.#map?.triggerRepaint();
  }

  /** Draws only devices with an open alarm of this priority or worse; 0 draws all. */
  set least(priority: number) {
    if (this.#least === priority) return;
    this.#least = priority;
    this.refresh(0, this.#count - 1);
  }

  /** The greys of a light or a dark map. */
  set theme(theme: Theme) {
    this.#ink = colours(theme);
    this.#map?.triggerRepaint();
  }

  /** Where a device is drawn now, in degrees. */
  placeOf(device: number): [number, number] | undefined {
    if (!this.#city.placed[device]) return undefined;
    return [this.#city.lon[device], this.#city.lat[device]];
  }

  /** The shown device nearest to a place within a reach in mercator units; the worst of several. */
  pick(lon: number, lat: number, reach: number): number | undefined {
    const x = mercatorX(lon);
    const y = mercatorY(lat);
    let best: number | undefined;
    let bestScore = Number.POSITIVE_INFINITY;
    const look = (i: number) => {
      if (!this.#state[i * 4 + 2]) return;
      const d = Math.hypot(this.#x[i] - x, this.#y[i] - y);
      if (d > reach) return;
      // Something with an alarm is meant before what it covers.
      const severity = this.#state[i * 4];
      const score = d / reach + (severity ? severity * 0.2 - 2 : 0);
      if (score < bestScore) {
        bestScore = score;
        best = i;
      }
    };
    this.#grid?.near(x, y, reach, look);
    for (const i of this.#movers) look(i);
    return best;
  }

  /** All shown devices within a reach in mercator units, the worst first, then the nearest. */
  pickAll(lon: number, lat: number, reach: number, most: number): number[] {
    const x = mercatorX(lon);
    const y = mercatorY(lat);
    const found: { device: number; d: number }[] = [];
    const look = (i: number) => {
      if (!this.#state[i * 4 + 2]) return;
      const d = Math.hypot(this.#x[i] - x, this.#y[i] - y);
      if (d <= reach) found.push({ device: i, d });
    };
    this.#grid?.near(x, y, reach, look);
    for (const i of this.#movers) look(i);
    const rank = (i: number) => this.#state[i * 4] || 5;
    return found
      .sort((a, b) => rank(a.device) - rank(b.device) || a.d - b.d)
      .slice(0, most)
      .map((f) => f.device);
  }

  /** Calls visit for every shown device in a box, in degrees. */
  within([w, s, e, n]: readonly [number, number, number, number], visit: (device: number) => void): void {
    const city = this.#city;
    for (let i = 0; i < this.#count; i++) {
      if (!this.#state[i * 4 + 2]) continue;
      const lon = city.lon[i];
      const lat = city.lat[i];
      if (lon >= w && lon <= e && lat >= s && lat <= n) visit(i);
    }
  }

  onAdd(map: MapLibre, gl: WebGL2RenderingContext): void {
    this.#map = map;
    const program = link(gl, VERTEX, FRAGMENT);
    this.#program = program;
    this.#uniform = Object.fromEntries(
      [
        'u_matrix',
        'u_size',
        'u_pixels',
        'u_urgent',
        'u_colour',
        'u_ink',
        'u_digits',
        'u_edge',
        'u_rim',
        'u_mover',
      ].map((name) => [name, gl.getUniformLocation(program, name)]),
    );
    this.#vertexArray = gl.createVertexArray();
    this.#placeBuffer = gl.createBuffer();
    this.#stateBuffer = gl.createBuffer();
    this.#indexBuffer = gl.createBuffer();
    this.#digits = digitAtlas(gl);
    gl.bindVertexArray(this.#vertexArray);
    gl.bindBuffer(gl.ARRAY_BUFFER, this.#placeBuffer);
    const place = gl.getAttribLocation(program, 'a_place');
    gl.enableVertexAttribArray(place);
    gl.vertexAttribPointer(place, 2, gl.FLOAT, false, 0, 0);
    gl.bindBuffer(gl.ARRAY_BUFFER, this.#stateBuffer);
    const state = gl.getAttribLocation(program, 'a_state');
    gl.enableVertexAttribArray(state);
    gl.vertexAttribIPointer(state, 4, gl.UNSIGNED_BYTE, 0, 0);
    gl.bindBuffer(gl.ELEMENT_ARRAY_BUFFER, this.#indexBuffer);
    gl.bindVertexArray(null);
    this.#uploaded = 0;
    this.#urgentStale = true;
  }

  onRemove(_map: MapLibre, gl: WebGL2RenderingContext): void {
    this.#map = undefined;
    gl.deleteProgram(this.#program ?? null);
    gl.deleteVertexArray(this.#vertexArray ?? null);
    for (const buffer of [this.#placeBuffer, this.#stateBuffer, this.#indexBuffer])
      gl.deleteBuffer(buffer ?? null);
    gl.deleteTexture(this.#digits ?? null);
  }

  render(gl: WebGL2RenderingContext | WebGLRenderingContext, input: CustomRenderMethodInput): void {
    if (!(gl instanceof WebGL2RenderingContext) || !this.#program || !this.#map) return;
    if (this.#count === 0 || !this.#origin) return;
    this.#upload(gl);

    const [ox, oy] = this.#origin;
    const m = Float64Array.from(input.defaultProjectionData.mainMatrix);
    for (let row = 0; row < 4; row++) m[12 + row] += m[row] * ox + m[4 + row] * oy;
    const zoom = this.#map.getZoom();
    const u = this.#uniform;
    gl.useProgram(this.#program);
    gl.uniformMatrix4fv(u.u_matrix, false, Float32Array.from(m));
    gl.uniform1f(u.u_size, Math.min(14, Math.max(4, 6 + (zoom - 12) * 1.4)));
    gl.uniform1f(u.u_pixels, this.#map.getPixelRatio());
    gl.uniform3fv(u.u_colour, this.#ink.symbol);
    gl.uniform3fv(u.u_edge, this.#ink.edge);
    gl.uniform3fv(u.u_rim, this.#ink.rim);
    gl.uniform3fv(u.u_mover, this.#ink.mover);
    gl.uniform3fv(u.u_ink, PRIORITY_INKS);
    gl.uniform1i(u.u_digits, 0);
    gl.activeTexture(gl.TEXTURE0);
    gl.bindTexture(gl.TEXTURE_2D, this.#digits ?? null);
    gl.enable(gl.BLEND);
    gl.blendFunc(gl.ONE, gl.ONE_MINUS_SRC_ALPHA);
    gl.disable(gl.DEPTH_TEST);
    gl.disable(gl.STENCIL_TEST);
    gl.bindVertexArray(this.#vertexArray ?? null);
    gl.uniform1i(u.u_urgent, 0);
    if (!this.#sparse) gl.drawArrays(gl.POINTS, 0, this.#count);
    if (this.#urgent.length > 0) {
      // The worst last, so that nothing lies on top of it.
      gl.uniform1i(u.u_urgent, 1);
      gl.drawElements(gl.POINTS, this.#urgent.length, gl.UNSIGNED_INT, 0);
    }
    gl.bindVertexArray(null);
  }

  #upload(gl: WebGL2RenderingContext): void {
    gl.bindBuffer(gl.ARRAY_BUFFER, this.#placeBuffer ?? null);
    if (this.#uploaded < this.#capacity) {
      gl.bufferData(gl.ARRAY_BUFFER, this.#place, gl.DYNAMIC_DRAW);
    } else if (this.#placeDirty.hi >= this.#placeDirty.lo) {
      const { lo, hi } = this.#placeDirty;
      gl.bufferSubData(gl.ARRAY_BUFFER, lo * 8, this.#place, lo * 2, (hi - lo + 1) * 2);
    }
    gl.bindBuffer(gl.ARRAY_BUFFER, this.#stateBuffer ?? null);
    if (this.#uploaded < this.#capacity) {
      gl.bufferData(gl.ARRAY_BUFFER, this.#state, gl.DYNAMIC_DRAW);
    } else if (this.#stateDirty.hi >= this.#stateDirty.lo) {
      const { lo, hi } = this.#stateDirty;
      gl.bufferSubData(gl.ARRAY_BUFFER, lo * 4, this.#state, lo * 4, (hi - lo + 1) * 4);
    }
    this.#uploaded = this.#capacity;
    this.#placeDirty = { lo: Number.POSITIVE_INFINITY, hi: -1 };
    this.#stateDirty = { lo: Number.POSITIVE_INFINITY, hi: -1 };
    if (!this.#urgentStale) return;
    this.#urgentStale = false;
    // The worst last. There are ten ranks: counting them sorts without comparing.
    const state = this.#state;
    const marks = this.#marks;
    const rank = (i: number): number => {
      const severity = state[i * 4];
      // Among clusters only what is critical, and what is chosen, stands for itself.
      if ((marks[i] & Mark.Selected) === 0 && (this.#sparse ? severity !== 1 : severity === 0)) return -1;
      return (5 - (severity || 5)) * 2 + (marks[i] & Mark.Unacknowledged ? 1 : 0);
    };
    const from = new Uint32Array(RANKS + 1);
    for (let i = 0; i < this.#count; i++) {
      const r = rank(i);
      if (r >= 0) from[r + 1]++;
    }
    for (let r = 0; r < RANKS; r++) from[r + 1] += from[r];
    this.#urgent = new Uint32Array(from[RANKS]);
    for (let i = 0; i < this.#count; i++) {
      const r = rank(i);
      if (r >= 0) this.#urgent[from[r]++] = i;
    }
    gl.bindVertexArray(this.#vertexArray ?? null);
    gl.bufferData(gl.ELEMENT_ARRAY_BUFFER, this.#urgent, gl.DYNAMIC_DRAW);
    gl.bindVertexArray(null);
  }

  #write(i: number): void {
    if (!this.#origin) return;
    this.#place[i * 2] = this.#x[i] - this.#origin[0];
    this.#place[i * 2 + 1] = this.#y[i] - this.#origin[1];
    widen(this.#placeDirty, i, i);
  }

  /** Counts the points drawn. */
  recount(): number {
    let n = 0;
    for (let i = 0; i < this.#count; i++) n += this.#state[i * 4 + 2];
    this.drawn = n;
    return n;
  }
}

function widen(range: { lo: number; hi: number }, lo: number, hi: number): void {
  if (lo < range.lo) range.lo = lo;
  if (hi > range.hi) range.hi = hi;
}

function link(gl: WebGL2RenderingContext, vertex: string, fragment: string): WebGLProgram {
  const program = gl.createProgram();
  for (const [kind, source] of [
    [gl.VERTEX_SHADER, vertex],
    [gl.FRAGMENT_SHADER, fragment],
  ] as const) {
    const shader = gl.createShader(kind);
    if (!shader) throw new Error('sensor layer: the WebGL context gives no shader');
    gl.shaderSource(shader, source);
    gl.compileShader(shader);
    gl.attachShader(program, shader);
    gl.deleteShader(shader);
  }
  gl.linkProgram(program);
  if (!gl.getProgramParameter(program, gl.LINK_STATUS) && !gl.isContextLost()) {
    throw new Error(`sensor layer: ${gl.getProgramInfoLog(program)}`);
  }
  return program;
}

/** Four priorities and none, each with and without somebody's word that it was seen. */
const RANKS = 10;

const CELL = 64;

/** The digits 1 to 4 side by side, in the page's own font. */
function digitAtlas(gl: WebGL2RenderingContext): WebGLTexture {
  const canvas = document.createElement('canvas');
  canvas.width = CELL * 4;
  canvas.height = CELL;
  const draw = canvas.getContext('2d', { willReadFrequently: true });
  if (!draw) throw new Error('sensor layer: no 2D canvas for the digits');
  draw.fillStyle = '#fff';
  draw.font = `700 ${CELL * 0.92}px "Be Vietnam Pro", sans-serif`;
  draw.textAlign = 'center';
  draw.textBaseline = 'alphabetic';
  for (let d = 1; d <= 4; d++) {
    const text = String(d);
    const box = draw.measureText(text);
    const middle = (box.actualBoundingBoxAscent - box.actualBoundingBoxDescent) / 2;
    draw.fillText(text, CELL * (d - 0.5), CELL / 2 + middle);
  }
  const texture = gl.createTexture();
  gl.bindTexture(gl.TEXTURE_2D, texture);
  gl.pixelStorei(gl.UNPACK_FLIP_Y_WEBGL, false);
  gl.pixelStorei(gl.UNPACK_PREMULTIPLY_ALPHA_WEBGL, true);
  gl.texImage2D(gl.TEXTURE_2D, 0, gl.RGBA, gl.RGBA, gl.UNSIGNED_BYTE, canvas);
  gl.generateMipmap(gl.TEXTURE_2D);
  gl.texParameteri(gl.TEXTURE_2D, gl.TEXTURE_MIN_FILTER, gl.LINEAR_MIPMAP_LINEAR);
  gl.texParameteri(gl.TEXTURE_2D, gl.TEXTURE_WRAP_S, gl.CLAMP_TO_EDGE);
  gl.texParameteri(gl.TEXTURE_2D, gl.TEXTURE_WRAP_T, gl.CLAMP_TO_EDGE);
  return texture;
}
