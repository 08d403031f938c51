// One correlation in the list: when, who, how long, what went wrong, what it was about.
import type { Correlation } from "../../api/correlate";
import { serviceColour } from "../../correlate/colours";
import { markMeaning, markName } from "../../correlate/marks";
import { clock, count, dateTime, duration } from "../../format";
import { Chain } from "../../parts/chain";
import { IdChips } from "../../parts/idchips";
import { correlationRoute, formatRoute } from "../../state/url";

const CHIPS = 3;

const many = (of: number, one: string): string => `${count(of)} ${one}${of === 1 ? "" : "s"}`;

function Counts({ of }: { of: Correlation }) {
  const { logs, spans, errors, inferredLogs } = of.counts;
  return (
    <span class="corr-counts">
      <span>{many(spans, "span")}</span>
      <span>
        {many(logs, "line")}
        {inferredLogs > 0 && <i title={`${inferredLogs} more by the same request id`}> +{inferredLogs}</i>}
      </span>
      {errors > 0 && <em>{many(errors, "error")}</em>}
    </span>
  );
}

/** Today's need no date. */
function whenOf(ms: number): string {
  const isToday = new Date(ms).toDateString() === new Date().toDateString();
  return isToday ? clock(ms, true) : dateTime(ms, true).slice(5);
}

/** The first failure; else where the time went. */
function What({ of }: { of: Correlation }) {
  const { firstError: error, worstSpan: worst } = of;
  if (error)
    return (
      <span class="corr-what is-bad" title={error.text}>
        <b>{error.service}</b> {error.text}
      </span>
    );
  if (worst)
    return (
      <span class="corr-what">
        most time in <b>{worst.service}</b> {worst.name} <small>{duration(worst.selfMs)}</small>
      </span>
    );
  return <span class="corr-what">lines only, no spans</span>;
}

interface RowProps {
  readonly of: Correlation;
  readonly longest: number;
  readonly selected: boolean;
  readonly fresh: boolean;
}

/** The row. */
export function CorrelationRow({ of, longest, selected, fresh }: RowProps) {
  const share = longest > 0 ? Math.sqrt(of.durationMs / longest) : 0;
  const names = of.services.map((one) => one.service || "unknown").join(", ");
  const classes = [
    "corr",
    of.hasError ? "is-failed" : "",
    selected ? "is-selected" : "",
    fresh ? "is-fresh" : "",
  ];
  return (
    <article class={classes.join(" ")}>
      <a
        class="corr-open"
        href={formatRoute(correlationRoute(of.id))}
        title={`Correlation of ${names} at ${dateTime(of.startMs, true)}`}
      >
        <time>{whenOf(of.startMs)}</time>
      </a>
      <Chain services={of.services} colourOf={serviceColour} />
      <IdChips ids={of.ids} most={CHIPS} />
      <span class="corr-length">
        <b>{duration(of.durationMs)}</b>
        <i class="corr-bar" style={{ width: `${Math.max(2, share * 100)}%` }} />
      </span>
      <Counts of={of} />
      <What of={of} />
      <span class="corr-marks">
        {of.marks.map((mark) => (
          <span key={mark} class="mark" title={markMeaning(mark)}>
            {markName(mark)}
          </span>
        ))}
        {of.revision > 1 && (
          <span class="mark mark-quiet" title="More came after it was published first">
            rev. {of.revision}
          </span>
        )}
      </span>
    </article>
  );
}
