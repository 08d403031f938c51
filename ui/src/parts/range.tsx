// Choosing a time range: the usual last-so-long, or the fixed one that a graph selection made.
import { dateTime } from "../format";
import { formatSpan, shifted, type TimeRange, widened } from "../state/url";

const CHOICES: readonly number[] = [300, 900, 3600, 6 * 3600, 86_400, 7 * 86_400];
/** For what is kept for long. */
export const LONG_CHOICES: readonly number[] = [900, 3600, 6 * 3600, 86_400, 7 * 86_400, 90 * 86_400];

interface RangePickerProps {
  readonly value: TimeRange;
  readonly choices?: readonly number[];
  readonly onChange: (range: TimeRange) => void;
}

/** Segmented choice; on a phone it scrolls sideways. */
export function RangePicker({ value, choices = CHOICES, onChange }: RangePickerProps) {
  const fixed = "from" in value;
  return (
    <fieldset class="segments" aria-label="Time range">
      {choices.map((last) => (
        <button
          type="button"
          key={last}
          aria-pressed={!fixed && value.last === last}
          onClick={() => onChange({ last })}
        >
          {formatSpan(last)}
        </button>
      ))}
      {!fixed && !choices.some((last) => last === value.last) && (
        <button type="button" aria-pressed={true}>
          {formatSpan(value.last)}
        </button>
      )}
      {fixed && (
        <button type="button" aria-pressed={true} title="Chosen in a graph">
          {dateTime(value.from * 1000).slice(5, 16)} – {dateTime(value.to * 1000).slice(11, 16)}
        </button>
      )}
    </fieldset>
  );
}

/** Earlier, later, wider. */
export function RangeSteps({ value, onChange }: { value: TimeRange; onChange: (range: TimeRange) => void }) {
  return (
    <fieldset class="segments" aria-label="Move the time range">
      <button
        type="button"
        title="Earlier"
        aria-label="Earlier"
        onClick={() => onChange(shifted(value, Date.now(), -1))}
      >
        ‹
      </button>
      <button type="button" title="Zoom out" aria-label="Zoom out" onClick={() => onChange(widened(value))}>
        −
      </button>
      <button
        type="button"
        title="Later"
        aria-label="Later"
        onClick={() => onChange(shifted(value, Date.now(), 1))}
      >
        ›
      </button>
    </fieldset>
  );
}
