// How following goes: the rate, a way to hold still, what was left out.
import { count } from "../../format";
import type { TailState } from "./tail";

interface TailBarProps {
  readonly state: TailState;
  /** The newest line is in view. */
  readonly following: boolean;
  readonly onPause: (paused: boolean) => void;
  readonly onFollow: () => void;
}

function said(state: TailState): string {
  if (state.link === "connecting") return "Connecting…";
  if (state.link === "waiting") return `${state.why === "" ? "Connection lost" : state.why}, trying again…`;
  return `${state.rate < 10 ? state.rate.toFixed(1) : count(state.rate)} lines/s`;
}

/** The bar. */
export function TailBar({ state, following, onPause, onFollow }: TailBarProps) {
  return (
    <div class={`tail tail-${state.paused ? "paused" : state.link}`}>
      <span class="tail-state" aria-live="polite">
        {state.paused ? `Paused, ${count(state.waiting)} waiting` : said(state)}
      </span>
      {state.dropped > 0 && (
        <span class="tail-dropped" title="Too many at once: left out by the server, or let go here">
          {count(state.dropped)} dropped
        </span>
      )}
      <button type="button" class="button-quiet" onClick={() => onPause(!state.paused)}>
        {state.paused ? "Resume" : "Pause"}
      </button>
      {!following && (
        <button type="button" class="button-quiet" onClick={onFollow}>
          To the newest
        </button>
      )}
    </div>
  );
}
