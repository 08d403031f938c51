// Who may get in: tokens of programs, who may send without one, and the owner's own name and password.
import { useEffect } from "preact/hooks";
import { Panel } from "../../parts/panel";
import { askOwner, useOwner } from "../../state/owner";
import "../../style/access.css";
import { OwnerForms } from "./owner";
import { Tokens } from "./tokens";

/** The page. */
export function AccessPage() {
  const owner = useOwner();
  useEffect(() => void askOwner(), []);
  return (
    <div class="explore access-page">
      <div class="section-head">
        <h2>Access</h2>
      </div>
      {owner && !owner.set && (
        <Panel title="No owner">
          <div class="empty">
            <p>
              <strong>This Bramble has no owner{owner.required ? " yet" : ""}.</strong>{" "}
              {owner.required
                ? "Other machines get nothing but the set-up until there is one."
                : "Whoever reaches its doors may ask, send and change. With an owner they need a token or have to sign in."}
            </p>
            <a class="button" href="/setup">
              Set an owner
            </a>
          </div>
        </Panel>
      )}
      {owner?.set && (
        <div class="access-grid">
          <Tokens />
          <OwnerForms owner={owner} />
        </div>
      )}
    </div>
  );
}
