// The frame around every page: mark, navigation, the connection's state, the theme.
import { useEffect } from "preact/hooks";
import { ago } from "./format";
import { Overview } from "./pages/overview/overview";
import { Account } from "./parts/account";
import { lazily } from "./parts/lazily";
import { Logo } from "./parts/logo";
import { type Pulse, retryNow, useNow, usePulse } from "./state/live";
import { useRoute } from "./state/route";
import { setTheme, type Theme, useTheme } from "./state/theme";
import type { Route } from "./state/url";

// The overview comes with the page; everything else when it is opened.
const MetricsPage = lazily(() => import("./pages/metrics/metrics").then((module) => module.MetricsPage));
const LogsPage = lazily(() => import("./pages/logs/logs").then((module) => module.LogsPage));
const TracesPage = lazily(() => import("./pages/traces/traces").then((module) => module.TracesPage));
const TracePage = lazily(() => import("./pages/trace/trace").then((module) => module.TracePage));
const MapPage = lazily(() => import("./pages/map/map").then((module) => module.MapPage));
const ServicesPage = lazily(() => import("./pages/services/services").then((module) => module.ServicesPage));
const CorrelationsPage = lazily(() =>
  import("./pages/correlations/correlations").then((module) => module.CorrelationsPage),
);
const CorrelationPage = lazily(() =>
  import("./pages/correlation/correlation").then((module) => module.CorrelationPage),
);
const StoriesPage = lazily(() => import("./pages/stories/stories").then((module) => module.StoriesPage));
const TargetsPage = lazily(() => import("./pages/targets/targets").then((module) => module.TargetsPage));
const AccessPage = lazily(() => import("./pages/access/access").then((module) => module.AccessPage));
const SystemPage = lazily(() => import("./pages/system/system").then((module) => module.SystemPage));
const NodesPage = lazily(() => import("./pages/nodes/nodes").then((module) => module.NodesPage));

const PAGES = [
  { page: "overview", href: "#/", name: "Overview" },
  { page: "metrics", href: "#/metrics", name: "Metrics" },
  { page: "logs", href: "#/logs", name: "Logs" },
  { page: "traces", href: "#/traces", name: "Traces" },
  { page: "correlations", href: "#/correlations", name: "Correlations" },
  { page: "targets", href: "#/targets", name: "Targets" },
  { page: "nodes", href: "#/nodes", name: "Nodes" },
] as const;

/** Pages below one of the bar's. */
const SECTIONS: Readonly<Record<string, string>> = {
  trace: "traces",
  map: "traces",
  services: "traces",
  correlation: "correlations",
  stories: "correlations",
};

/** Pages of the menu at the bar's end. */
const ASIDE: Readonly<Record<string, string>> = { access: "Access", system: "System" };

/** Longer than two beats without an answer is worth saying. */
const STALE_MS = 13_000;

function Connection({ pulse }: { pulse: Pulse }) {
  const now = useNow();
  const since = pulse.lastOkMs === null ? null : now - pulse.lastOkMs;
  if (pulse.state === "connecting") return <span class="link link-wait">Connecting</span>;
  if (pulse.state === "lost") {
    const wait = Math.max(0, Math.ceil(((pulse.nextTryMs ?? now) - now) / 1000));
    return (
      <button type="button" class="link link-lost" onClick={retryNow} title="Try again now">
        Disconnected<span class="wide-only"> · retry in {wait} s</span>
      </button>
    );
  }
  const stale = since !== null && since > STALE_MS;
  return (
    <span class={`link ${stale ? "link-wait" : "link-live"}`} title="Refreshes every 5 seconds while visible">
      {stale ? `Stale · ${ago(since)}` : "Live"}
    </span>
  );
}

const NEXT: Readonly<Record<Theme, Theme>> = { system: "light", light: "dark", dark: "system" };
const THEME_NAMES: Readonly<Record<Theme, string>> = { system: "Auto", light: "Light", dark: "Dark" };

function ThemeToggle() {
  const { theme } = useTheme();
  return (
    <button
      type="button"
      class="theme"
      aria-label={`Theme: ${THEME_NAMES[theme]}. Change to ${THEME_NAMES[NEXT[theme]]}`}
      title={`Theme: ${THEME_NAMES[theme]}`}
      onClick={() => setTheme(NEXT[theme])}
    >
      <svg viewBox="0 0 20 20" width="16" height="16" aria-hidden="true">
        <circle cx="10" cy="10" r="7.2" fill="none" stroke="currentColor" stroke-width="1.6" />
        {theme === "system" && <path d="M10 2.8a7.2 7.2 0 0 1 0 14.4Z" fill="currentColor" />}
        {theme === "dark" && <circle cx="10" cy="10" r="7.2" fill="currentColor" />}
        {theme === "light" && <circle cx="10" cy="10" r="2.6" fill="currentColor" />}
      </svg>
      <span class="wide-only">{THEME_NAMES[theme]}</span>
    </button>
  );
}

function Lost({ pulse }: { pulse: Pulse }) {
  if (pulse.state !== "lost") return null;
  return (
    <div class="banner" role="alert">
      <p>
        <strong>Bramble does not answer.</strong> What you see is{" "}
        {pulse.lastOkMs === null ? "not loaded yet" : "the last it said"}; this page keeps trying, ever more
        slowly.
      </p>
      <button type="button" class="button-quiet" onClick={retryNow}>
        Try now
      </button>
    </div>
  );
}

function Page({ route }: { route: Route }) {
  switch (route.page) {
    case "overview":
      return <Overview route={route} />;
    case "metrics":
      return <MetricsPage route={route} />;
    case "logs":
      return <LogsPage route={route} />;
    case "traces":
      return <TracesPage route={route} />;
    case "map":
      return <MapPage route={route} />;
    case "services":
      return <ServicesPage route={route} />;
    case "trace":
      return <TracePage route={route} />;
    case "correlations":
      return <CorrelationsPage route={route} />;
    case "correlation":
      return <CorrelationPage route={route} />;
    case "stories":
      return <StoriesPage route={route} />;
    case "targets":
      return <TargetsPage />;
    case "nodes":
      return <NodesPage />;
    case "access":
      return <AccessPage />;
    case "system":
      return <SystemPage />;
  }
}

/** The whole page. */
export function App() {
  const route = useRoute();
  const pulse = usePulse();
  const section = SECTIONS[route.page] ?? route.page;
  const name = PAGES.find((one) => one.page === section)?.name ?? ASIDE[section] ?? "";
  const host = pulse.status?.hostname ?? "";
  useEffect(() => {
    document.title = [name, host, "Bramble"].filter((part) => part !== "").join(" · ");
  }, [name, host]);
  useEffect(
    () => document.querySelector(".bar [aria-current]")?.scrollIntoView({ block: "nearest" }),
    [section],
  );
  return (
    <div class={`shell shell-${route.page} ${pulse.state === "lost" ? "is-lost" : ""}`}>
      <button type="button" class="skip" onClick={() => document.getElementById("content")?.focus()}>
        Skip to content
      </button>
      <header class="bar">
        <a class="brand" href="#/" aria-label="Bramble, overview">
          <Logo />
          <span>Bramble</span>
        </a>
        <nav aria-label="Pages">
          {PAGES.map((one) => (
            <a key={one.page} href={one.href} aria-current={one.page === section ? "page" : undefined}>
              {one.name}
            </a>
          ))}
        </nav>
        <div class="bar-end">
          <Connection pulse={pulse} />
          <ThemeToggle />
          <Account page={route.page} />
        </div>
      </header>
      <Lost pulse={pulse} />
      <main id="content" tabIndex={-1}>
        <Page route={route} />
      </main>
    </div>
  );
}
