//! A bar that shows a fill, and its percentage as text.

/** `value` of at most `max`. A share above `warnAt` is shown as a warning. */
export function Meter({ value, max, label, warnAt = 0.5 }: { value: number; max: number; label: string; warnAt?: number }) {
  const share = max > 0 ? Math.min(1, value / max) : 0;
  const percent = share > 0 && share < 0.01 ? '<1' : String(Math.round(share * 100));
  return (
    <span class="meter">
      <span class={`bar${share >= warnAt ? ' warn' : ''}`} role="meter" aria-label={label} aria-valuemin={0} aria-valuemax={100} aria-valuenow={Math.round(share * 100)}>
        <span class="fill" style={{ width: `${share * 100}%` }} />
      </span>
      <span class="percent">{percent} %</span>
    </span>
  );
}
