import type { Translate } from '../i18n/index.ts';

/**
 * What a first rule begins with. Whose it is, who answers and on what ground are
 * left empty on purpose: the server refuses the rule, and names the line, until
 * somebody has said so.
 */
export const template = (t: Translate) => `id: pm25-high
name: {vi: Bụi mịn cao, en: High fine dust}
priority: 3
owner: ""   # ${t('rules.template.owner')}
head: ""    # ${t('rules.template.head')}
basis: ""   # ${t('rules.template.basis')}
category: Env
message:
  vi: "{name}: bụi mịn {value} {unit}, quá {threshold} {unit}"
  en: "{name}: fine dust {value} {unit}, over {threshold} {unit}"
response:
  vi: Kiểm tra trạm kế bên, báo đơn vị phụ trách
  en: Check the next station, tell the department
procedure:
  vi: ["Xem trạm kế bên có cùng tăng không", "Báo đơn vị phụ trách, ghi nhật ký ca"]
  en: ["See whether the next station rises too", "Tell the department, note it in the shift log"]
scope: {profiles: [air-quality]}
when: {threshold: {quantity: pm25, above: 150, clear: 130, for: 5m, clear_for: 10m}}
`;

/** The id a rule's source gives it. */
export const idOf = (source: string) => /^id:\s*["']?([^\s"'#]+)/m.exec(source)?.[1] ?? '';
