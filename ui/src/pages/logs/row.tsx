// One line in the list, and under it all about it when it is opened.
import { type LogLine, lineService } from "../../api/loki";
import type { LogsRoute } from "../../state/url";
import type { Actions } from "./actions";
import { Details } from "./details";
import { LineText } from "./text";
import { timeOf } from "./time";

interface RowProps {
  readonly line: LogLine;
  readonly lines: readonly LogLine[];
  readonly route: LogsRoute;
  readonly actions: Actions;
  readonly sought: readonly RegExp[];
  /** Several services are shown: each line says whose it is. */
  readonly named: boolean;
  readonly open: boolean;
  readonly selected: boolean;
  readonly onToggle: () => void;
}

/** A click opens the line, unless it ends a selection of text or is for something in it. */
function isForRow(event: MouseEvent): boolean {
  const target = event.target as HTMLElement | null;
  return !target?.closest("a, button") && (getSelection()?.toString() ?? "") === "";
}

/** The row. */
export function LineRow({ line, lines, route, actions, sought, named, open, selected, onToggle }: RowProps) {
  const time = timeOf(line.atMs, route.utc);
  const level = line.level === "unknown" ? "" : line.level;
  return (
    <div class={`entry level-${line.level} ${open ? "is-open" : ""} ${selected ? "is-selected" : ""}`}>
      {/* biome-ignore lint/a11y/noStaticElementInteractions: the button in the row does the same for the keyboard */}
      {/* biome-ignore lint/a11y/useKeyWithClickEvents: the button in the row does the same for the keyboard */}
      <div class={`entry-row ${named ? "is-named" : ""}`} onClick={(event) => isForRow(event) && onToggle()}>
        <button
          type="button"
          class="entry-open"
          aria-expanded={open}
          aria-label={`${open ? "Close" : "Open"} the line of ${time}`}
          onClick={onToggle}
        />
        <time>{time}</time>
        <span class="entry-level">{level}</span>
        {named && <span class="entry-service">{lineService(line)}</span>}
        <span class="entry-text">
          <LineText line={line.line} sought={sought} />
        </span>
      </div>
      {open && <Details line={line} lines={lines} route={route} actions={actions} sought={sought} />}
    </div>
  );
}
