// Nothing yet: how correlations come to be.
import { useMemo } from "preact/hooks";
import type { Door } from "../../api/status";
import { Snippet } from "../../parts/panel";
import { usePulse } from "../../state/live";
import { go } from "../../state/route";
import type { CorrelationsRoute } from "../../state/url";
import { KEPT_SECONDS } from "./finder";

/** Where a door stands: its own port, as the server says it. */
function portOf(doors: readonly Door[], name: string, usual: string): string {
  return /:(\d+)$/.exec(doors.find((one) => one.name === name)?.address ?? "")?.[1] ?? usual;
}

function randomTrace(): string {
  const id = crypto.getRandomValues(new Uint8Array(16));
  return [...id].map((byte) => byte.toString(16).padStart(2, "0")).join("");
}

function snippets(
  host: string,
  doors: readonly Door[],
  trace: string,
): readonly { readonly name: string; readonly code: string }[] {
  return [
    {
      name: "Send OpenTelemetry here",
      code: `export OTEL_EXPORTER_OTLP_ENDPOINT=http://${host}:${portOf(doors, "otlp_http", "4318")}\nexport OTEL_SERVICE_NAME=my-service`,
    },
    {
      name: "Or post two lines that share a trace id",
      code: ["beorn", "arda"]
        .map(
          (service) =>
            `curl http://${host}:${portOf(doors, "correlation", "8080")}/api/logs -H 'content-type: application/json' -d '{"resource":{"service":"${service}"},"records":[{"message":"hello from ${service}","trace_id":"${trace}","circuit_id":"demo-1"}]}'`,
        )
        .join("\n"),
    },
  ];
}

/** What to do. */
export function NoneYet({ route, longer }: { route: CorrelationsRoute; longer: boolean }) {
  const doors = usePulse().status?.doors;
  const trace = useMemo(randomTrace, []);
  const how = snippets(location.hostname || "bramble.local", doors ?? [], trace);
  return (
    <>
      <p>
        <strong>No correlations in this range.</strong> Bramble joins logs, spans and exemplars that share a
        trace id, and publishes what it found when the trace's window closes: a minute after its first item. A
        trace with one signal of one service has nothing to be joined with, and is only counted.
      </p>
      <p>
        Point an OpenTelemetry SDK here, and write <code>trace_id</code> (and ids of your own:{" "}
        <code>request_id</code>, <code>circuit_id</code>, <code>product_id</code>, <code>resource_id</code>)
        into your log lines, in any usual spelling.
      </p>
      {how.map(({ name, code }) => (
        <div key={name} class="corr-how">
          <h4>{name}</h4>
          <Snippet code={code} />
        </div>
      ))}
      {longer && (
        <p class="tries">
          <button
            type="button"
            class="button-quiet"
            onClick={() => go({ ...route, range: { last: KEPT_SECONDS } })}
          >
            Look back 90 days
          </button>
        </p>
      )}
    </>
  );
}
