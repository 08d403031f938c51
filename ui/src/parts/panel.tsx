// What panels share: a heading with its figure, and in its body either content, or in its place the reason why not.
import type { ComponentChildren } from "preact";
import { useState } from "preact/hooks";
import type { ApiError } from "../api/http";
import type { Quantity } from "../format";
import { clock } from "../format";
import type { Loaded } from "../state/live";

interface PanelProps {
  readonly title: string;
  readonly id?: string;
  /** Right of the title: a legend, a link. */
  readonly aside?: ComponentChildren;
  readonly class?: string;
  readonly children: ComponentChildren;
}

/** A titled surface. */
export function Panel({ title, aside, children, id, class: extra = "" }: PanelProps) {
  return (
    <section class={`panel ${extra}`} id={id} aria-label={title}>
      <header class="panel-head">
        <h3>{title}</h3>
        {aside !== undefined && <div class="panel-aside">{aside}</div>}
      </header>
      {children}
    </section>
  );
}

/** A number with its unit set smaller. */
export function Figure({ value, suffix = "" }: { value: Quantity; suffix?: string }) {
  return (
    <span class="figure">
      {value.text}
      {(value.unit !== "" || suffix !== "") && (
        <small>
          {value.unit}
          {value.text === "–" ? "" : suffix}
        </small>
      )}
    </span>
  );
}

function heading(error: ApiError): string {
  if (error.kind === "network") return "No connection.";
  return error.status === 404 ? "Not found." : "This could not be answered.";
}

/** An error, said where the data would be. With data still shown, it is one line saying how old that data is. */
export function Trouble({ error, atMs }: { error: ApiError; atMs?: number | null }) {
  const stale = atMs != null;
  return (
    <p class={`trouble ${stale ? "trouble-stale" : ""}`} aria-live="polite">
      <strong>{heading(error)}</strong> <span>{error.message}</span>
      {stale && <em> Shown as of {clock(atMs)}.</em>}
    </p>
  );
}

/** What the server said beside the answer: partial results and the like. */
export function Warnings({ of }: { of: readonly string[] }) {
  if (of.length === 0) return null;
  return (
    <ul class="warnings">
      {of.map((warning) => (
        <li key={warning}>{warning}</li>
      ))}
    </ul>
  );
}

interface BodyProps<T> {
  readonly of: Loaded<T>;
  readonly isEmpty: (data: T) => boolean;
  readonly empty: ComponentChildren;
  readonly height?: number;
  readonly children: (data: T) => ComponentChildren;
}

/** Content, or its placeholder while loading, or the empty state, or the error. Never blank. */
export function Body<T>({ of, isEmpty, empty, height, children }: BodyProps<T>) {
  const { data, error, atMs } = of;
  const style = height === undefined ? {} : { minHeight: `${height}px` };
  if (data === undefined) {
    return (
      <div class="body body-wait" style={style}>
        {error ? <Trouble error={error} /> : <p class="wait">Asking…</p>}
      </div>
    );
  }
  return (
    <div class={`body ${error ? "is-stale" : ""}`} style={style}>
      {error && <Trouble error={error} atMs={atMs} />}
      {isEmpty(data) ? <div class="empty">{empty}</div> : children(data)}
    </div>
  );
}

/** Copies by the clipboard API where the page may (https, localhost), else by a selection, as plain http needs. */
export async function copyText(content: string): Promise<boolean> {
  try {
    await navigator.clipboard.writeText(content);
    return true;
  } catch {
    const area = document.createElement("textarea");
    area.value = content;
    area.style.position = "fixed";
    area.style.opacity = "0";
    document.body.append(area);
    area.select();
    const done = document.execCommand("copy");
    area.remove();
    return done;
  }
}

/** A command to take along. */
export function Snippet({ code }: { code: string }) {
  const [said, setSaid] = useState("Copy");
  const copy = async (): Promise<void> => {
    setSaid((await copyText(code)) ? "Copied" : "Select and copy");
    setTimeout(() => setSaid("Copy"), 2000);
  };
  return (
    <div class="snippet">
      <pre>
        <code>{code}</code>
      </pre>
      <button type="button" class="button-quiet" onClick={copy}>
        {said}
      </button>
    </div>
  );
}
