// Prometheus' `GET /api/v1/targets`: what is scraped, and what rules drop.
import { array, type Labels, labels, number, object, text } from "./decode";
import { getJson } from "./http";

/** How the last scrape went; `unknown` before the first. */
export type Health = "up" | "down" | "unknown";

/** A target that is scraped. */
export interface Target {
  readonly pool: string;
  readonly url: string;
  readonly labels: Labels;
  /** Before relabelling. */
  readonly found: Labels;
  readonly health: Health;
  /** Empty when it went well. */
  readonly error: string;
  /** Unix milliseconds; null before the first scrape. */
  readonly lastMs: number | null;
  readonly seconds: number;
  readonly interval: string;
}

/** The answer. */
export interface Targets {
  readonly active: readonly Target[];
  /** How many targets each pool drops, by its name. */
  readonly dropped: Readonly<Record<string, number>>;
}

function decodeTarget(json: unknown): Target {
  const fields = object(json, "a target");
  const health = text(fields.health);
  const lastMs = Date.parse(text(fields.lastScrape));
  return {
    pool: text(fields.scrapePool),
    url: text(fields.scrapeUrl),
    labels: labels(fields.labels),
    found: labels(fields.discoveredLabels),
    health: health === "up" || health === "down" ? health : "unknown",
    error: text(fields.lastError),
    // Go's zero time is a long time ago.
    lastMs: lastMs > 0 ? lastMs : null,
    seconds: number(fields.lastScrapeDuration),
    interval: text(fields.scrapeInterval),
  };
}

/** Decodes the answer. */
export function decodeTargets(json: unknown): Targets {
  const data = object(object(json, "the answer").data, "data");
  const counts = Object.entries(object(data.droppedTargetCounts ?? {}, "droppedTargetCounts"));
  return {
    active: array(data.activeTargets, "activeTargets").map(decodeTarget),
    dropped: Object.fromEntries(counts.map(([pool, count]) => [pool, number(count) || 0])),
  };
}

/** Asks for them. */
export function getTargets(signal?: AbortSignal): Promise<Targets> {
  return getJson("/prometheus/api/v1/targets", decodeTargets, signal);
}
