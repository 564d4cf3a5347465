import { useEffect, useState } from 'react';
import { get } from '../api.ts';
import type { Label } from '../live/dictionary.ts';
import { type Department, register } from '../register/api.ts';
import { type Rule, rules } from '../rules/api.ts';

/** What a filter can name. */
export interface Known {
  departments: Department[];
  layers: string[];
  quantities: { name: string; label: Label }[];
  rules: Rule[];
}

/** Asked for once; of a list that cannot be had the codes are shown as they are. */
export function useKnown(): Known {
  const [known, setKnown] = useState<Known>({ departments: [], layers: [], quantities: [], rules: [] });
  useEffect(() => {
    const abort = new AbortController();
    const take = (part: Partial<Known>) => {
      if (!abort.signal.aborted) setKnown((k) => ({ ...k, ...part }));
    };
    const quiet = () => undefined;
    register.departments().then((departments) => take({ departments }), quiet);
    register.layers().then((layers) => take({ layers: [...layers].sort() }), quiet);
    get<Pick<Known, 'quantities'>>('/v1/profiles', abort.signal).then(
      ({ quantities }) => take({ quantities }),
      quiet,
    );
    rules.book(abort.signal).then((book) => take({ rules: book.rules }), quiet);
    return () => abort.abort();
  }, []);
  return known;
}
