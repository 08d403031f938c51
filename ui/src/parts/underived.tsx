// What is said where nothing was derived from spans.

/** Why there is nothing, and what to do. */
export function Underived({ what }: { what: string }) {
  return (
    <>
      <p>
        <strong>{what} in this range.</strong> Bramble derives requests, errors and durations from spans as
        they arrive, as series named <code>traces_spanmetrics_…</code> and <code>traces_service_graph_…</code>
        .
      </p>
      <p>
        Send spans of at least one service, or choose a longer range: the first figures come within half a
        minute. Where <code>traces.derived_metrics</code> is off, switch it on. Spans sent before are not
        counted afterwards.
      </p>
    </>
  );
}
