import { render } from "preact";
import { App } from "./app";
import { lazily } from "./parts/lazily";
import { startPulse } from "./state/live";
import "./style/tokens.css";
import "./style/base.css";
import "./style/overview.css";
import "./style/explore.css";
import "./style/editor.css";
import "./style/metrics.css";

const EntryPage = lazily(() => import("./pages/entry/entry").then((module) => module.EntryPage));

const root = document.getElementById("app");
if (root) {
  // Before somebody is signed in nothing else is asked for.
  const entry = location.pathname === "/setup" || location.pathname === "/login";
  if (!entry) startPulse();
  render(entry ? <EntryPage /> : <App />, root);
}
