import { render } from "preact";
import { App } from "./app";
import { startPulse } from "./state/live";
import "./style/tokens.css";
import "./style/base.css";
import "./style/overview.css";
import "./style/explore.css";
import "./style/editor.css";
import "./style/metrics.css";

const root = document.getElementById("app");
if (root) {
  startPulse();
  render(<App />, root);
}
