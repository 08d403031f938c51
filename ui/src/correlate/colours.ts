// A colour for each service, the same for as long as the page is open: lists, timelines and stories agree.
import { seriesColour } from "../chart/colours";

const known = new Map<string, string>();
/** Beyond this, colours have long repeated. */
const KNOWN_MAX = 500;

/** The colour of a service. */
export function serviceColour(service: string): string {
  const old = known.get(service);
  if (old !== undefined) return old;
  const colour = seriesColour(known.size);
  if (known.size < KNOWN_MAX) known.set(service, colour);
  return colour;
}
