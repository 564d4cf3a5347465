import { useCallback, useEffect, useState } from 'react';
import { useLanguage } from '../i18n/index.ts';
import { why } from '../register/words.ts';
import { rules, type Version } from './api.ts';

/** The rule files that were in force, and the way back to one. */
export function Versions({ may, onRestored }: { may: boolean; onRestored: () => void }) {
  const { lang, t } = useLanguage();
  const [list, setList] = useState<Version[] | undefined>(undefined);
  const [error, setError] = useState<unknown>(undefined);
  const load = useCallback(() => {
    rules.versions().then((a) => setList(a.versions), setError);
  }, []);
  useEffect(load, [load]);
  const restore = async (n: number) => {
    if (!confirm(t('rules.sure', { n }))) return;
    try {
      await rules.restore(n);
      setError(undefined);
      load();
      onRestored();
    } catch (e) {
      setError(e);
    }
  };
  return (
    <section className="thresholds">
      {error !== undefined && (
        <p className="problem" role="alert">
          {why(t, error)}
        </p>
      )}
      {list?.length === 0 && <p className="empty">{t('rules.none')}</p>}
      <table>
        <tbody>
          {list?.map((v, i) => (
            <tr key={v.n}>
              <td>{t('rules.version', { n: v.n })}</td>
              <td>{new Date(v.at).toLocaleString(lang === 'vi' ? 'vi-VN' : 'en-GB')}</td>
              <td>{v.by}</td>
              <td>{t('rules.entries', { n: v.entries })}</td>
              <td>{v.note}</td>
              <td>
                {may && i > 0 && (
                  <button type="button" onClick={() => restore(v.n)}>
                    {t('rules.restore')}
                  </button>
                )}
              </td>
            </tr>
          ))}
        </tbody>
      </table>
    </section>
  );
}
