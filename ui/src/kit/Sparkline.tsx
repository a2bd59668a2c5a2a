/** The last values of one measure; its name for assistive technology carries the numbers. */
export function Sparkline({ values, label, width = 120, height = 28 }: { values: readonly number[]; label: string; width?: number; height?: number }) {
  if (values.length < 2) return <svg width={width} height={height} role="img" aria-label={label} />;
  const top = Math.max(...values);
  const bottom = Math.min(...values);
  const span = Math.max(top - bottom, 1);
  const x = (i: number) => (i / (values.length - 1)) * (width - 2) + 1;
  const y = (value: number) => height - 3 - ((value - bottom) / span) * (height - 6);
  const line = values.map((value, i) => `${i ? "L" : "M"}${x(i).toFixed(1)} ${y(value).toFixed(1)}`).join("");
  return (
    <svg width={width} height={height} viewBox={`0 0 ${width} ${height}`} role="img" aria-label={label} className="sparkline" preserveAspectRatio="none">
      <path d={`${line}L${width - 1} ${height}L1 ${height}Z`} className="sparkline-area" />
      <path d={line} className="sparkline-line" fill="none" />
    </svg>
  );
}
