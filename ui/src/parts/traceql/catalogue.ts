// What completion offers, asked from this server for the page's time range and kept for a minute.
import { tagNames, tagValues } from "../../api/tempo";
import { Kept } from "../logql/catalogue";
import type { Catalogue } from "./complete";

/** A catalogue of what is there within `window` (milliseconds). */
export function catalogueOf(window: () => { startMs: number; endMs: number }): Catalogue {
  const kept = new Kept();
  return {
    tags: () => kept.get("tags", () => tagNames(window())),
    values: (tag, conditions) =>
      kept.get(`values ${tag} ${conditions}`, () => tagValues(tag, conditions, window())),
  };
}
