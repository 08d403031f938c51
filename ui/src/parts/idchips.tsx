// Ids as small tags, each a way to its story.
import { type NamedId, shortName } from "../correlate/kinds";
import "../style/chips.css";
import { formatRoute, storyRoute } from "../state/url";

/** Tags; `most` of them, the rest as a number. */
export function IdChips({ ids, most = ids.length }: { ids: readonly NamedId[]; most?: number }) {
  if (ids.length === 0) return null;
  return (
    <span class="id-chips">
      {ids.slice(0, most).map((id) => (
        <a
          key={`${id.kind} ${id.value}`}
          class="id-chip"
          href={formatRoute(storyRoute(id))}
          title={`Everything about ${id.kind} ${id.value}, across traces`}
        >
          <small>{shortName(id.kind)}</small> {id.value}
        </a>
      ))}
      {ids.length > most && <span class="id-more">+{ids.length - most}</span>}
    </span>
  );
}
