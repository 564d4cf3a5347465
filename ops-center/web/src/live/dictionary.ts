import type { Language } from '../i18n/index.ts';

/** What the numbers in frames mean: GET /v1/live/dictionary. */
export interface Dictionary {
  dict: number;
  hub: string;
  quantities: QuantityInfo[];
  profiles: ProfileInfo[];
  devices: {
    id: string[];
    name: string[];
    profile: number[];
    lon: (number | null)[];
    lat: (number | null)[];
    moving: (boolean | number)[];
    simulated: (boolean | number)[];
    /** Of a drill: counts in no figure. */
    exercise?: boolean[];
    /** Seconds between two reports as the profile expects them. */
    interval: number[];
    /** Taken off the wall; the index is not used again. */
    hidden?: boolean[];
  };
  channels: { device: number[]; quantity: number[] };
}

export type Label = Partial<Record<Language, string>>;

export interface QuantityInfo {
  name: string;
  kind: 'gauge' | 'counter' | 'state';
  unit: string;
  min: number;
  max: number;
  digits: number;
  label: Label;
  display: string;
}

export interface ProfileInfo {
  name: string;
  label: Label;
  class: string;
  moving: boolean;
  main: string;
}

export function labelOf(label: Label | undefined, lang: Language, fallback: string): string {
  return label?.[lang] || label?.en || label?.vi || fallback;
}
