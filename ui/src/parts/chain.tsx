// Services in the order in which they called each other.
import type { Participant } from "../api/correlate";

interface ChainProps {
  readonly services: readonly Participant[];
  readonly colourOf: (service: string) => string;
  /** More are left out in the middle. */
  readonly most?: number;
}

function said({ node, logs, spans, errors }: Participant): string {
  const failed = errors > 0 ? `, ${errors} ${errors === 1 ? "error" : "errors"}` : "";
  return `${node === "" ? "" : `on ${node}: `}${spans} spans, ${logs} log lines${failed}`;
}

/** `beorn → palantir → arda`. */
export function Chain({ services, colourOf, most = 6 }: ChainProps) {
  const cut = services.length > most;
  const shown = cut ? [...services.slice(0, most - 2), ...services.slice(-1)] : services;
  return (
    <span class="chain">
      {shown.map((one, index) => (
        <span key={`${one.service} ${one.node} ${index}`} class="chain-part">
          {index > 0 && (
            <span class="chain-arrow" aria-hidden="true">
              →
            </span>
          )}
          {cut && index === most - 2 && (
            <>
              <span class="chain-cut">{services.length - shown.length} more</span>
              <span class="chain-arrow" aria-hidden="true">
                →
              </span>
            </>
          )}
          <span class={`chain-one ${one.errors > 0 ? "is-bad" : ""}`} title={said(one)}>
            <i class="dot" style={{ "--dot": colourOf(one.service) }} />
            {one.service || "unknown"}
          </span>
        </span>
      ))}
    </span>
  );
}
