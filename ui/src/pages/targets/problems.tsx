// What does not work beside targets: discovery, files, the journal, destinations, nodes, doors.
import { getProblems, type Problem } from "../../api/problems";
import { Panel } from "../../parts/panel";
import { useLive } from "../../state/live";

function Item({ problem }: { problem: Problem }) {
  return (
    <li>
      <b>{problem.part}</b> <span>{problem.what}</span>
      <em>{problem.why}</em>
      {problem.hint !== "" && <small>{problem.hint}</small>}
    </li>
  );
}

/** A panel of problems, or nothing where there are none. Targets that are down are in the tables below it. */
export function ProblemsPanel() {
  const loaded = useLive("problems", (signal) => getProblems(signal));
  const shown = (loaded.data?.problems ?? []).filter(
    (one) => one.part !== "scraping" || !/:\/\//.test(one.what),
  );
  const omitted = loaded.data?.omitted ?? 0;
  if (shown.length === 0) return null;
  return (
    <Panel title="What does not work">
      <ul class="problems">
        {shown.map((problem) => (
          <Item key={`${problem.part} ${problem.what} ${problem.why}`} problem={problem} />
        ))}
        {omitted > 0 && <li>and {omitted} more</li>}
      </ul>
    </Panel>
  );
}
