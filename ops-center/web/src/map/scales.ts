import type { Theme } from '../theme.ts';

/** Classes of a value: below breaks[0] is colours[0], and so on; one colour more than breaks. */
export interface Scale {
  breaks: number[];
  colours: string[];
  /** The classes are those of VN_AQI, with its names. */
  aqi: boolean;
}

/** Colours of VN_AQI as QĐ 1459/QĐ-TCMT (12/11/2019) gives them in RGB. */
export const AQI = ['#00e400', '#ffff00', '#ff7e00', '#ff0000', '#8f3f97', '#7e0023'] as const;

// Concentrations in µg/m³ at which the classes of VN_AQI end, same decision;
// the United States' breakpoints differ.
const AQI_BREAKS: Record<string, number[]> = {
  pm25: [25, 50, 80, 150, 250],
  pm10: [50, 150, 250, 350, 420],
};

// One hue from far to near the ground, told apart by lightness alone, so that
// no colour vision deficiency mixes two of them.
const STEPS: Record<Theme, readonly string[]> = {
  dark: ['#1c3d57', '#2a648f', '#4791c4', '#86bde3', '#d3e8f8'],
  light: ['#d6e6f2', '#9cc4e0', '#5a9bc9', '#2b6da0', '#123f66'],
};

/** The scale of a quantity. Air has the law's, all else five even steps over what there is. */
export function scaleOf(quantity: string, values: readonly number[], theme: Theme): Scale {
  const law = AQI_BREAKS[quantity];
  if (law) return { breaks: law, colours: [...AQI], aqi: true };
  const colours = [...STEPS[theme]];
  let lo = Math.min(...values);
  let hi = Math.max(...values);
  if (!Number.isFinite(lo)) return { breaks: [], colours: [colours[2]], aqi: false };
  if (hi - lo < 1e-9) return { breaks: [], colours: [colours[2]], aqi: false };
  const step = nice((hi - lo) / colours.length);
  lo = Math.floor(lo / step) * step;
  hi = Math.ceil(hi / step - 1e-9) * step;
  // The step may have been rounded down: no more breaks than colours.
  const width = Math.ceil((hi - lo) / step / colours.length) * step;
  const breaks: number[] = [];
  for (let i = 1; i < colours.length; i++) {
    const at = Number((lo + i * width).toPrecision(10));
    if (at < hi) breaks.push(at);
  }
  return { breaks, colours: spread(colours, breaks.length + 1), aqi: false };
}

/** n of the colours, the first and the last among them. */
function spread(colours: string[], n: number): string[] {
  if (n >= colours.length) return colours;
  if (n === 1) return [colours[2]];
  return Array.from({ length: n }, (_, i) => colours[Math.round((i * (colours.length - 1)) / (n - 1))]);
}

/** 1, 2 or 5 times a power of ten, at or below v times a little. */
export function nice(v: number): number {
  const power = 10 ** Math.floor(Math.log10(v));
  const m = v / power;
  return power * (m < 1.5 ? 1 : m < 3.5 ? 2 : m < 7.5 ? 5 : 10);
}

export function classOf(scale: Scale, value: number): number {
  let i = 0;
  while (i < scale.breaks.length && value >= scale.breaks[i]) i++;
  return Math.min(i, scale.colours.length - 1);
}
