import { ApiError } from '../api.ts';
import type { Key, Translate } from '../i18n/index.ts';
import { reason } from '../panels/context.ts';
import type { Problem } from './api.ts';

export const SEVERITIES = ['Extreme', 'Severe', 'Moderate', 'Minor', 'Unknown'] as const;
export const URGENCIES = ['Immediate', 'Expected', 'Future', 'Past', 'Unknown'] as const;
export const CERTAINTIES = ['Observed', 'Likely', 'Possible', 'Unlikely', 'Unknown'] as const;
export const CATEGORIES = [
  'Geo',
  'Met',
  'Safety',
  'Security',
  'Rescue',
  'Fire',
  'Health',
  'Env',
  'Transport',
  'Infra',
  'CBRNE',
  'Other',
] as const;
export const RESPONSES = [
  'Shelter',
  'Evacuate',
  'Prepare',
  'Execute',
  'Avoid',
  'Monitor',
  'Assess',
  'AllClear',
  'None',
] as const;

const RULES: ReadonlySet<string> = new Set([
  'missing',
  'length',
  'character',
  'times',
  'expires',
  'references',
  'place',
  'swapped',
  'outside',
  'ring',
  'open',
  'crossing',
  'languages',
]);

const FIELDS: ReadonlySet<string> = new Set([
  'event',
  'headline',
  'description',
  'instruction',
  'area',
  'expires',
  'onset',
  'areaDesc',
  'category',
]);

/** What is wrong, in the reader's language; the rule's name where there is no phrase for it. */
export function problemText(t: Translate, p: Problem): string {
  const last = p.path?.split('.').find((part) => FIELDS.has(part.replace(/\[\d+\]/, '')));
  const field = last?.replace(/\[\d+\]/, '');
  const where = [
    p.path?.startsWith('info[1]') ? t('warnings.vi') : p.path?.startsWith('info[2]') ? t('warnings.en') : '',
    field ? t(`warnings.${field}` as Key) : '',
  ]
    .filter(Boolean)
    .join(' · ');
  const what = RULES.has(p.rule)
    ? t(`warnings.rule_${p.rule}` as Key)
    : t('warnings.rule_other', { rule: p.rule });
  return where ? `${where}: ${what}` : what;
}

/** Why the server did not do it. */
export function refusal(t: Translate, error: unknown): string {
  if (!(error instanceof ApiError)) return reason(t, error);
  switch (error.status) {
    case 403:
      return t('warnings.samePerson');
    case 409:
      return t('warnings.overtaken');
    case 422:
      return t('warnings.unfit');
  }
  return reason(t, error);
}
