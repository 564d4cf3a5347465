import type { City } from '../live/city.ts';

/** Without diacritics and case, đ as d, as the server folds. */
export function fold(s: string): string {
  return s.normalize('NFD').replace(/\p{M}/gu, '').replace(/[đĐ]/g, 'd').toLowerCase();
}

/** Device names folded once: searching 200,000 of them while somebody types. */
export class DeviceSearch {
  #city: City;
  #shape = -1;
  #texts: string[] = [];

  constructor(city: City) {
    this.#city = city;
  }

  /** Indices of devices by id or name: what begins with the question first. */
  find(q: string, most: number): number[] {
    const want = fold(q).trim().replace(/\s+/g, ' ');
    if (!want) return [];
    const city = this.#city;
    if (this.#shape !== city.shape.get()) {
      this.#shape = city.shape.get();
      this.#texts = Array.from(
        { length: city.devices },
        (_, i) => `${fold(city.id[i])}\n${fold(city.name[i] ?? '')}`,
      );
    }
    const first: number[] = [];
    const rest: number[] = [];
    for (let i = 0; i < this.#texts.length && first.length < most; i++) {
      if (city.hidden[i]) continue;
      const at = this.#texts[i].indexOf(want);
      if (at < 0) continue;
      const before = this.#texts[i][at - 1];
      if (at === 0 || before === '\n' || before === ' ') first.push(i);
      else if (rest.length < most) rest.push(i);
    }
    return [...first, ...rest].slice(0, most);
  }
}
