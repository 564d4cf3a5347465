/** The shape of the last minutes of a figure, without axes: the number beside it is the value. */
export function Sparkline({
  values,
  colour = 'var(--spark)',
}: {
  values: readonly number[];
  colour?: string;
}) {
  const w = 92;
  const h = 30;
  if (values.length < 3) return <svg className="sparkline" width={w} height={h} aria-hidden="true" />;
  let min = Math.min(...values);
  let max = Math.max(...values);
  // A flat line is flat: noise in the last digit is not stretched to the full height.
  const least = Math.max(Math.abs(max) * 0.02, 1e-9);
  if (max - min < least) {
    const middle = (max + min) / 2;
    min = middle - least / 2;
    max = middle + least / 2;
  }
  const points = values
    .map((v, i) => {
      const x = (i / (values.length - 1)) * (w - 4) + 1;
      const y = h - 3 - ((v - min) / (max - min)) * (h - 6);
      return `${x.toFixed(1)},${y.toFixed(1)}`;
    })
    .join(' ');
  const end = points.slice(points.lastIndexOf(' ') + 1).split(',');
  return (
    <svg className="sparkline" width={w} height={h} viewBox={`0 0 ${w} ${h}`} aria-hidden="true">
      <polyline
        points={points}
        fill="none"
        style={{ stroke: colour }}
        strokeWidth="1.6"
        strokeLinejoin="round"
      />
      <circle cx={end[0]} cy={end[1]} r="2.2" style={{ fill: colour }} />
    </svg>
  );
}
