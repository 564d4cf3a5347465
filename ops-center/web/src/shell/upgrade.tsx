import { useCell } from '../cell.ts';
import { useLanguage } from '../i18n/index.ts';
import { useWall } from '../panels/context.ts';

/**
 * Says that the server has other files than this page was made of. A desk is
 * never loaded anew by itself: somebody may be writing. A wall is, by its
 * keeper, when nobody would miss it.
 */
export function UpgradeChip() {
  const wall = useWall();
  const { t } = useLanguage();
  const upgraded = useCell(wall.upgraded);
  if (!upgraded) return null;
  return (
    <button
      type="button"
      className="chip warn upgraded"
      title={t('shell.upgradedHint')}
      onClick={() => location.reload()}
    >
      <b>{t('shell.upgraded')}</b> {t('shell.reload')}
    </button>
  );
}
