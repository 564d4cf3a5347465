import type { ReactElement } from 'react';
import { PRIORITY, PRIORITY_INK, PRIORITY_TEXT } from '../palette.ts';

const SHAPES: ReactElement[] = [
  <path key="1" d="M12 1 23 12 12 23 1 12Z" />,
  <path key="2" d="M12 2 23 21.5H1Z" />,
  <path key="3" d="M2.5 2.5h19v19h-19Z" />,
  <circle key="4" cx="12" cy="12" r="10.5" />,
];

/** A priority as everywhere in the center: its own shape, digit and colour. */
export function PrioritySymbol({
  priority,
  size = 24,
  quiet = false,
}: {
  priority: 1 | 2 | 3 | 4;
  size?: number;
  quiet?: boolean;
}) {
  return (
    <svg
      className={quiet ? 'symbol' : 'symbol full'}
      width={size}
      height={size}
      viewBox="0 0 24 24"
      aria-hidden="true"
    >
      <g
        fill={quiet ? 'none' : PRIORITY[priority]}
        stroke={quiet ? PRIORITY_TEXT[priority] : PRIORITY[priority]}
        strokeWidth={quiet ? 1.8 : 0}
        strokeLinejoin="round"
      >
        {SHAPES[priority - 1]}
      </g>
      <text
        x="12"
        y={priority === 2 ? 18.4 : 16.4}
        textAnchor="middle"
        fontSize="12"
        fontWeight="700"
        fill={quiet ? PRIORITY_TEXT[priority] : PRIORITY_INK[priority]}
      >
        {priority}
      </text>
    </svg>
  );
}
