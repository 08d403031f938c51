// PromQL for the editor: Prometheus' own language support, completing from this server.
import { PromQLExtension } from "@prometheus-io/codemirror-promql";
import { type Create, createEditor } from "../editor/editor";

/** An editor for PromQL. */
export const create: Create = (host, options) => {
  // The page shows what the server says of a query; the linter beside it would say it twice.
  const language = new PromQLExtension()
    .activateLinter(false)
    .setComplete({
      remote: { url: "/prometheus", httpMethod: "GET", cache: { maxAge: 60_000 } },
      maxMetricsMetadata: 10_000,
    })
    .asExtension();
  return createEditor(host, options, language);
};
