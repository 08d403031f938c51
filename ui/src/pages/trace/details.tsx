// All that is known of one span.
import { useState } from "preact/hooks";
import { idOf, kindOf } from "../../correlate/ids";
import { dateTime, duration, percent } from "../../format";
import { ALL_LINES } from "../../logql/edit";
import { quoted } from "../../logql/tokens";
import { copyText, Warnings } from "../../parts/panel";
import {
  formatRoute,
  logsRoute,
  storyRoute,
  type TraceRoute,
  traceRoute,
  tracesRoute,
} from "../../state/url";
import { EMPTY_FORM, formQuery } from "../../traceql/form";
import { attributeName } from "../../traceql/tokens";
import { type Laid, remarksOn } from "../../traces/laid";
import type { Attribute, SpanEvent, SpanLink } from "../../traces/model";
import type { Node } from "../../traces/tree";
import type { TracedLine } from "./logs";
import { TraceLine } from "./logsview";

/** Longer values are folded until they are asked for. */
const LONG = 400;

function Value({ text }: { text: string }) {
  const [whole, setWhole] = useState(false);
  if (/^https?:\/\/\S+$/.test(text))
    return (
      <a href={text} target="_blank" rel="noreferrer">
        {text}
      </a>
    );
  if (text.length <= LONG || whole) return <>{text}</>;
  return (
    <>
      {text.slice(0, LONG)}…{" "}
      <button type="button" class="button-quiet" onClick={() => setWhole(true)}>
        {(text.length / 1000).toFixed(1)} k more
      </button>
    </>
  );
}

/** An id leads to its story. */
function StoryLink({ name, value }: { name: string; value: string }) {
  const kind = kindOf(name);
  const id = kind === null || kind === "trace_id" ? null : idOf(kind, value);
  if (!id) return null;
  return (
    <a class="same to-story" href={formatRoute(storyRoute(id))} title={`Everything about this ${id.kind}`}>
      story
    </a>
  );
}

interface AttributesProps {
  readonly title: string;
  readonly of: readonly Attribute[];
  /** The scope that a search names them by; none for those that cannot be searched by. */
  readonly scope: string;
  readonly folded?: boolean;
}

/** Attributes of one scope; a click searches for traces that share the value. */
function Attributes({ title, of, scope, folded = false }: AttributesProps) {
  if (of.length === 0) return null;
  const sorted = [...of].sort((a, b) => (a.key < b.key ? -1 : 1));
  return (
    <details class="attributes" open={!folded}>
      <summary>
        {title} <small>{of.length}</small>
      </summary>
      <dl>
        {sorted.map((one, index) => {
          const query = formQuery({
            ...EMPTY_FORM,
            tags: [{ tag: attributeName(scope, one.key), op: "=", value: one.value }],
          });
          return (
            <div key={`${one.key} ${index}`}>
              <dt>{one.key}</dt>
              <dd class={one.isText ? "" : "is-number"}>
                <Value text={one.value} />
                <StoryLink name={one.key} value={one.value} />
                {one.value.length < 200 && (
                  <a class="same" href={formatRoute(tracesRoute(query))} title="Traces with this value">
                    find
                  </a>
                )}
              </dd>
            </div>
          );
        })}
      </dl>
    </details>
  );
}

const isStack = (key: string): boolean => key === "exception.stacktrace";

function Event({ event, node }: { event: SpanEvent; node: Node }) {
  const of = (key: string): string => event.attributes.find((one) => one.key === key)?.value ?? "";
  const stack = event.attributes.find((one) => isStack(one.key))?.value;
  const isException = event.name === "exception";
  const rest = event.attributes.filter(
    (one) => !isStack(one.key) && !(isException && ["exception.type", "exception.message"].includes(one.key)),
  );
  return (
    <li class={isException ? "is-bad" : ""}>
      <p>
        <time title="After the span's start">+{duration((event.at - node.span.start) / 1e6)}</time>{" "}
        <b>{isException ? of("exception.type") || "exception" : event.name || "event"}</b>{" "}
        {isException && <span>{of("exception.message")}</span>}
      </p>
      {rest.length > 0 && (
        <dl>
          {rest.map((one, index) => (
            <div key={`${one.key} ${index}`}>
              <dt>{one.key}</dt>
              <dd>
                <Value text={one.value} />
              </dd>
            </div>
          ))}
        </dl>
      )}
      {stack && <pre class="stack">{stack}</pre>}
    </li>
  );
}

function Link({ link, trace }: { link: SpanLink; trace: string }) {
  const inside = link.traceId === trace;
  return (
    <li>
      <a href={formatRoute(traceRoute(link.traceId, link.spanId))}>
        {inside ? "Span of this trace" : "Span of another trace"} <code>{link.spanId || link.traceId}</code>
      </a>
      {link.attributes.map((one) => (
        <span key={one.key}>
          {" "}
          {one.key}: <code>{one.value}</code>
        </span>
      ))}
    </li>
  );
}

function Facts({ node, laid }: { node: Node; laid: Laid }) {
  const { span } = node;
  const [copied, setCopied] = useState(false);
  const length = span.end - span.start;
  const whole = Math.max(1, laid.axis.to - laid.axis.from);
  const onPath = laid.critical.get(node.index) ?? 0;
  const self = laid.self[node.index] ?? 0;
  return (
    <dl class="facts">
      <div>
        <dt>Duration</dt>
        <dd>
          {duration(length / 1e6)} <small>{percent((length / whole) * 100)} of the trace</small>
        </dd>
      </div>
      <div>
        <dt>Own time</dt>
        <dd>
          {duration(self / 1e6)} {length > 0 && <small>{percent((self / length) * 100)}</small>}
        </dd>
      </div>
      <div>
        <dt>Critical path</dt>
        <dd>{onPath > 0 ? duration(onPath / 1e6) : "not on it"}</dd>
      </div>
      <div>
        <dt>Start</dt>
        <dd>
          +{duration(span.start / 1e6)} <small>{dateTime(laid.trace.startMs + span.start / 1e6, true)}</small>
        </dd>
      </div>
      {span.kind !== "" && (
        <div>
          <dt>Kind</dt>
          <dd>{span.kind}</dd>
        </div>
      )}
      {span.status !== "unset" && (
        <div>
          <dt>Status</dt>
          <dd class={span.status === "error" ? "is-bad" : ""}>
            {span.status} {span.message}
          </dd>
        </div>
      )}
      <div>
        <dt>Span id</dt>
        <dd>
          <button
            type="button"
            class="copy-id"
            title="Copy"
            onClick={async () => {
              setCopied(await copyText(span.id));
              setTimeout(() => setCopied(false), 1500);
            }}
          >
            {copied ? "copied" : span.id}
          </button>
        </dd>
      </div>
    </dl>
  );
}

interface DetailsProps {
  readonly node: Node;
  readonly laid: Laid;
  readonly route: TraceRoute;
  readonly lines: readonly TracedLine[];
}

/** The panel. */
export function Details({ node, laid, route, lines }: DetailsProps) {
  const { span } = node;
  const start = laid.trace.startMs / 1000;
  const explore = logsRoute(`${ALL_LINES} | trace_id=${quoted(route.id)} | span_id=${quoted(span.id)}`, {
    from: Math.floor(start + span.start / 1e9) - 60,
    to: Math.ceil(start + span.end / 1e9) + 60,
  });
  const scope: Attribute[] = [
    { key: "name", value: span.scope.name, isText: true },
    { key: "version", value: span.scope.version, isText: true },
  ].filter((one) => one.value !== "");
  return (
    <div class="details span-details">
      <Facts node={node} laid={laid} />
      <Warnings of={remarksOn(laid, node)} />
      {span.dropped > 0 && (
        <p class="hint">Its sender left out {span.dropped} attributes, events or links.</p>
      )}
      <section class="span-logs">
        <h4>
          Logs <small>{lines.length}</small> <a href={formatRoute(explore)}>Explore logs</a>
        </h4>
        {lines.length === 0 ? (
          <p class="hint">No line names this span.</p>
        ) : (
          <ol class="traced-lines">
            {lines.map((one) => (
              <TraceLine key={one.line.id} one={one} where={null} />
            ))}
          </ol>
        )}
      </section>
      {span.events.length > 0 && (
        <section>
          <h4>
            Events <small>{span.events.length}</small>
          </h4>
          <ol class="span-events">
            {span.events.map((event, index) => (
              <Event key={`${event.at} ${index}`} event={event} node={node} />
            ))}
          </ol>
        </section>
      )}
      {span.links.length > 0 && (
        <section>
          <h4>
            Links <small>{span.links.length}</small>
          </h4>
          <ul class="span-links">
            {span.links.map((link, index) => (
              <Link key={`${link.spanId} ${index}`} link={link} trace={route.id} />
            ))}
          </ul>
        </section>
      )}
      <div class="attribute-groups">
        <Attributes title="Attributes" of={span.attributes} scope="span" />
        <Attributes title="Resource" of={span.resource} scope="resource" />
        <Attributes
          title="Library"
          of={[...scope, ...span.scope.attributes]}
          scope="instrumentation"
          folded
        />
      </div>
      {span.traceState !== "" && (
        <p class="hint">
          Trace state <code>{span.traceState}</code>
        </p>
      )}
    </div>
  );
}
