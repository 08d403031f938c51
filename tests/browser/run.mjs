// The page in a real browser, against a running Bramble (or the mock of ui/dev/mock.mjs).
//
//   node tests/browser/run.mjs BASE_URL OUTDIR
//
// Opens the page as a person would: waits for graphs that move and panels that are filled, changes the theme,
// narrows the window to a phone, follows links to the other pages, breaks the connection and mends it. Any error
// in the console or in a script fails the run. Screenshots go to OUTDIR. The last line is "N passed, N failed";
// the exit code is 1 when something failed, 2 when the run could not start.
// Needs Debian's `chromium` (or CHROMIUM=/path) and `npm ci` done in ui/.
import { mkdir, mkdtemp, rm } from "node:fs/promises";
import { createRequire } from "node:module";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { checkCorrelations } from "./correlations.mjs";
import { checkLogs } from "./logs.mjs";
import { checkTraces } from "./traces.mjs";

const [base, outdir] = process.argv.slice(2);
if (!base || !outdir) {
  console.error("usage: node tests/browser/run.mjs BASE_URL OUTDIR");
  process.exit(2);
}
const { chromium } = createRequire(new URL("../../ui/package.json", import.meta.url))("playwright-core");

// A machine that is busy building is slow; nothing here judges speed.
const PATIENCE_MS = 60_000;
const FLAGS = [
  "--no-sandbox",
  "--disable-gpu",
  "--disable-quic",
  "--no-first-run",
  "--disable-background-networking",
  "--disable-component-update",
  "--disable-sync",
];

let passed = 0;
let failed = 0;

/** Runs one check; a thrown error is its failure. */
async function check(name, body) {
  try {
    await body();
    passed += 1;
    console.log(`ok    ${name}`);
  } catch (error) {
    failed += 1;
    console.log(`FAIL  ${name}: ${String(error.message ?? error).split("\n").slice(0, 3).join(" | ")}`);
  }
}

function assert(condition, message) {
  if (!condition) throw new Error(message);
}

const profile = await mkdtemp(join(tmpdir(), "bramble-browser-"));
await mkdir(outdir, { recursive: true });
const context = await chromium.launchPersistentContext(profile, {
  executablePath: process.env.CHROMIUM ?? "/usr/bin/chromium",
  headless: true,
  args: FLAGS,
  viewport: { width: 1440, height: 900 },
  colorScheme: "light",
});
const page = await context.newPage();
page.setDefaultTimeout(PATIENCE_MS);

/** Console errors and exceptions, apart from those that a check provokes on purpose. */
const complaints = [];
let expectingTrouble = false;
page.on("console", (message) => {
  if (message.type() === "error" && !expectingTrouble) complaints.push(message.text());
});
page.on("pageerror", (error) => complaints.push(`exception: ${error.message}`));
const foreign = [];
page.on("request", (request) => {
  const url = request.url();
  if (!url.startsWith(new URL(base).origin) && !url.startsWith("data:") && !url.startsWith("blob:")) foreign.push(url);
});

const shot = (name, fullPage = true) => page.screenshot({ path: join(outdir, `${name}.png`), fullPage });
const goto = (hash) => page.goto(new URL(`/${hash}`, base).href, { waitUntil: "load" });

/** A graph that is drawn: its canvas has several colours, not only a background. */
async function drawnGraphs() {
  return page.$$eval(".graph .plot canvas", (canvases) =>
    canvases.map((canvas) => {
      const { width, height } = canvas;
      if (width === 0 || height === 0) return "";
      const pixels = canvas.getContext("2d").getImageData(0, 0, width, height).data;
      let hash = 0;
      const colours = new Set();
      for (let at = 0; at < pixels.length; at += 4) {
        const value = (pixels[at] << 16) ^ (pixels[at + 1] << 8) ^ pixels[at + 2] ^ pixels[at + 3];
        hash = (hash * 31 + value) | 0;
        if (colours.size < 16) colours.add(value);
      }
      return colours.size < 8 ? "" : String(hash);
    }),
  );
}

/** Writes into the first PromQL editor, over what is there. */
async function write(text) {
  await page.waitForSelector(".editor-host .cm-content");
  await page.locator(".editor-host .cm-content").first().click();
  await page.keyboard.press("Control+a");
  await page.keyboard.type(text);
}

async function noSidewaysScroll() {
  const { wide, page: width } = await page.evaluate(() => ({
    wide: document.documentElement.scrollWidth,
    page: document.documentElement.clientWidth,
  }));
  assert(wide <= width, `the page is ${wide} px wide in a window of ${width} px`);
}

/** No panel is blank: each has text beyond its title, and none still waits. */
async function filledPanels() {
  const content = "canvas, svg, li, td, .empty, .trouble";
  // A graph is drawn a frame after its data came, or its width changed.
  const filled = (content) => {
    const panels = [...document.querySelectorAll(".panel")];
    return panels.length > 0 && panels.every((panel) => !panel.querySelector(".wait") && panel.querySelector(content));
  };
  await page.waitForFunction(filled, content).catch(() => {});
  const blank = await page.$$eval(
    ".panel",
    (panels, content) =>
      panels
        .filter((panel) => panel.querySelector(".wait") || !panel.querySelector(content))
        .map((panel) => panel.getAttribute("aria-label")),
    content,
  );
  assert(blank.length === 0, `blank: ${blank.join(", ")}`);
  const broken = await page.$$eval(".panel .trouble", (notes) => notes.map((note) => note.textContent));
  assert(broken.length === 0, `panels with errors: ${broken.join(" / ")}`);
}

/** POSTs JSON; answers with the status, or with why there was none. */
async function send(url, body) {
  try {
    const headers = { "content-type": "application/json" };
    return (await fetch(url, { method: "POST", headers, body: JSON.stringify(body) })).status;
  } catch (error) {
    return String(error.cause?.code ?? error.message);
  }
}

let exemplarTrace = "";

/** Something to look at, in case nothing else sends: lines of three levels, a trace of three spans, a histogram with an exemplar. */
async function seed() {
  const nowMs = Date.now();
  const nanos = (ms) => `${Math.round(ms)}000000`;
  const values = ["info started", "warn slow answer", "error gave up"].map((line, i) => [nanos(nowMs - i * 500), `level=${line}`]);
  const logs = await send(new URL("/loki/loki/api/v1/push", base), {
    streams: [{ stream: { service_name: "browser-test" }, values }],
  });
  const status = await fetch(new URL("/api/v1/status", base)).then((answer) => answer.json(), () => ({}));
  const door = (status.doors ?? []).find((one) => /otlp.?http/i.test(one.name));
  const port = /:(\d+)$/.exec(door?.address ?? "")?.[1] ?? "4318";
  const id = (digits) => Array.from({ length: digits }, () => Math.floor(Math.random() * 16).toString(16)).join("");
  const traceId = id(32);
  const root = id(16);
  const span = (spanId, parentSpanId, name, from, length) => ({
    traceId,
    spanId,
    ...(parentSpanId ? { parentSpanId } : {}),
    name,
    kind: 1,
    startTimeUnixNano: nanos(nowMs - 1000 + from),
    endTimeUnixNano: nanos(nowMs - 1000 + from + length),
    attributes: [{ key: "test.kind", value: { stringValue: "browser" } }],
    status: {},
  });
  const spans = [span(root, "", "look at the page", 0, 400), span(id(16), root, "open", 10, 120), span(id(16), root, "judge", 140, 250)];
  const resource = { attributes: [{ key: "service.name", value: { stringValue: "browser-test" } }] };
  const traces = await send(new URL(`http://${new URL(base).hostname}:${port}/v1/traces`), {
    resourceSpans: [{ resource, scopeSpans: [{ spans }] }],
  });
  exemplarTrace = traceId;
  const exemplars = [{ traceId, spanId: root, asDouble: 0.4, timeUnixNano: nanos(nowMs - 500) }];
  const point = (ageMs, count) => ({
    startTimeUnixNano: nanos(nowMs - 60_000),
    timeUnixNano: nanos(nowMs - ageMs),
    count: String(count),
    sum: count * 0.4,
    explicitBounds: [0.1, 1],
    bucketCounts: ["0", String(count), "0"],
    ...(ageMs === 0 ? { exemplars } : {}),
  });
  const histogram = { aggregationTemporality: 2, dataPoints: [point(30_000, 1), point(15_000, 2), point(0, 3)] };
  const metrics = await send(new URL(`http://${new URL(base).hostname}:${port}/v1/metrics`), {
    resourceMetrics: [{ resource, scopeMetrics: [{ metrics: [{ name: "browser_test_latency", unit: "s", histogram }] }] }],
  });
  console.log(`sent: log lines ${logs}, a trace ${traces}, metrics ${metrics}`);
}

await seed();
await check("the page opens with the host's name and health", async () => {
  await goto("");
  await page.waitForSelector(".health-good, .health-wait");
  await page.waitForFunction(() => (document.querySelector(".hero h1")?.textContent ?? "") !== "");
  assert((await page.title()).includes("Bramble"), "the title does not say Bramble");
});
await check("every panel of the overview is filled", filledPanels);
await check("graphs are drawn and move by themselves", async () => {
  await page.waitForFunction(() => document.querySelectorAll(".graph .plot canvas").length >= 3);
  await page.waitForTimeout(500);
  const before = await drawnGraphs();
  assert(before.filter((one) => one !== "").length >= 3, `only ${before.filter((one) => one !== "").length} graphs are drawn`);
  const deadline = Date.now() + PATIENCE_MS;
  for (;;) {
    await page.waitForTimeout(1000);
    const after = await drawnGraphs();
    const moved = after.filter((one, index) => one !== "" && one !== before[index]).length;
    if (moved >= 3) break;
    assert(Date.now() < deadline, `only ${moved} graphs moved`);
  }
});
await check("log lines and traces are shown", async () => {
  await page.waitForSelector(".newest .line");
  await page.waitForSelector(".newest .trace-row");
});
await check("wide, light", () => shot("overview-light-1440"));
await check("the theme button changes light to dark, and the page remembers", async () => {
  const button = page.locator(".theme");
  const background = () => page.evaluate(() => getComputedStyle(document.documentElement).backgroundColor);
  const light = await background();
  for (let press = 0; press < 3; press += 1) {
    await button.click();
    if ((await page.evaluate(() => document.documentElement.dataset.theme)) === "dark") break;
  }
  assert((await page.evaluate(() => document.documentElement.dataset.theme)) === "dark", "dark was not reached");
  assert((await background()) !== light, "the background stayed the same");
  await page.reload();
  assert((await page.evaluate(() => document.documentElement.dataset.theme)) === "dark", "forgotten on reload");
  await filledPanels();
  await page.waitForTimeout(800);
  await shot("overview-dark-1440");
});
await checkLogs({
  page,
  check,
  assert,
  goto,
  shot,
  base,
  send,
  trouble: (expected) => {
    expectingTrouble = expected;
  },
});
await check("the metrics page: graph and table; a mistake is marked at its place", async () => {
  await goto("#/metrics?q=node_load1");
  await page.waitForSelector(".series tbody tr");
  await page.waitForSelector(".plot canvas");
  await page.waitForTimeout(300);
  await shot("metrics-dark-1440", false);
  expectingTrouble = true;
  await write("rate(node_load1[1m]");
  // The editor closes the bracket that was opened; the mistake is to have none.
  await page.keyboard.press("Delete");
  await page.keyboard.press("Escape");
  await page.keyboard.press("Enter");
  await page.waitForSelector(".mistake");
  assert((await page.textContent(".mistake"))?.trim() !== "", "no message");
  assert(page.url().includes("rate"), "the query is not in the address");
  await page.waitForSelector(".cm-lintRange-error");
  await shot("metrics-mistake-dark-1440", false);
  expectingTrouble = false;
});
await check("the editor completes names of this server", async () => {
  await goto("#/metrics");
  await write("node_loa");
  await page.waitForSelector(".cm-tooltip-autocomplete");
  await page.locator(".cm-tooltip-autocomplete li", { hasText: "node_load1" }).first().click();
  await page.keyboard.press("Enter");
  await page.waitForSelector(".series tbody tr");
  assert(/q=node_load1/.test(page.url()), `the address is ${page.url()}`);
});
await check("several queries, hidden and shown, as lines, stacked and as a table; the address brings them back", async () => {
  await goto("#/metrics?q=node_load1&q=node_load5");
  await page.waitForFunction(() => document.querySelectorAll(".series tbody tr").length >= 2);
  await page.locator(".query-letter").first().click();
  await page.waitForFunction(() => document.querySelectorAll(".series tbody tr").length === 1);
  await page.locator(".query-letter").first().click();
  await page.locator(".segments button", { hasText: "Table" }).click();
  await page.waitForFunction(() => document.querySelectorAll(".values tbody tr").length >= 2);
  await page.reload();
  await page.waitForFunction(() => document.querySelectorAll(".values tbody tr").length >= 2);
  await shot("metrics-table-dark-1440", false);
});
await check("dragging over the graph becomes the time range", async () => {
  await goto("#/metrics?q=node_load1");
  await page.waitForSelector(".series tbody tr");
  const box = await page.locator(".plot .u-over").boundingBox();
  assert(box, "no graph");
  await page.mouse.move(box.x + box.width * 0.5, box.y + box.height / 2);
  await page.mouse.down();
  await page.mouse.move(box.x + box.width * 0.8, box.y + box.height / 2, { steps: 5 });
  await page.mouse.up();
  await page.waitForFunction(() => /from=\d+&to=\d+/.test(location.hash));
});
await check("labels of a metric are found, and a click asks for one value", async () => {
  await goto("#/metrics");
  await page.fill(".names input", "node_cpu_seconds_total");
  await page.locator(".metric-name").first().click();
  await page.locator(".label-name", { hasText: "mode" }).click();
  await page.locator(".label-values button", { hasText: "idle" }).click();
  await page.waitForFunction(() => decodeURIComponent(location.hash).includes('mode="idle"'));
  await page.waitForSelector(".series tbody tr");
});
await check("top offenders of cardinality lead to a query", async () => {
  await goto("#/metrics");
  await page.locator(".offenders button").first().click();
  await page.waitForFunction(() => location.hash.includes("q="));
});
await check("an exemplar on the graph leads to its trace", async () => {
  await goto("#/metrics?q=browser_test_latency_seconds_bucket");
  await page.waitForSelector("a.spot");
  await shot("metrics-exemplar-dark-1440", false);
  await page.locator("a.spot").first().click();
  await page.waitForSelector(".waterfall .span");
  assert(page.url().includes(exemplarTrace), `the address is ${page.url()}`);
});
await checkTraces({ page, check, assert, goto, shot, base, send, trouble: (on) => (expectingTrouble = on) });
const joined = await checkCorrelations({ page, check, assert, goto, shot, base, send, exemplarTrace, trouble: (on) => (expectingTrouble = on) });
const joinedPages = joined ? [`#/correlations/${joined.correlation}`, `#/stories?circuit_id=${joined.circuit}`] : [];
for (const width of [390, 360]) {
  await check(`${width} px wide: nothing scrolls sideways`, async () => {
    await page.setViewportSize({ width, height: 844 });
    for (const hash of ["#/", "#/metrics?q=node_load1", "#/logs", "#/traces", `#/trace/${exemplarTrace}`, "#/services", "#/map", "#/correlations", ...joinedPages]) {
      await goto(hash);
      await filledPanels();
      await noSidewaysScroll();
    }
  });
}
await check("narrow, dark and light", async () => {
  await page.setViewportSize({ width: 390, height: 844 });
  await goto("#/");
  await filledPanels();
  await page.waitForTimeout(800);
  await shot("overview-dark-390");
  await page.emulateMedia({ colorScheme: "light" });
  await page.evaluate(() => localStorage.removeItem("bramble.theme"));
  await page.reload();
  await filledPanels();
  await page.waitForTimeout(800);
  await shot("overview-light-390");
  await goto("#/logs");
  await page.waitForSelector(".entry");
  await shot("logs-light-390", false);
  await page.setViewportSize({ width: 1440, height: 900 });
});
await check("a lost connection is said, the data stays, and it comes back", async () => {
  await goto("#/");
  await filledPanels();
  expectingTrouble = true;
  await context.setOffline(true);
  await page.waitForSelector(".link-lost");
  await page.waitForSelector(".banner");
  assert((await page.locator(".newest .line").count()) > 0, "the lines are gone");
  await shot("overview-lost-light-1440", false);
  await context.setOffline(false);
  // The browser's own "online" event may already have brought it back.
  await page.evaluate(() => document.querySelector("button.link-lost")?.click());
  await page.waitForSelector(".link-live");
  await page.waitForTimeout(300);
  expectingTrouble = false;
});
await check("no errors in the console", () => assert(complaints.length === 0, complaints.slice(0, 5).join(" / ")));
await check("nothing is fetched from elsewhere", () => assert(foreign.length === 0, foreign.slice(0, 3).join(", ")));

await context.close();
await rm(profile, { recursive: true, force: true });
console.log(`${passed} passed, ${failed} failed`);
process.exit(failed === 0 ? 0 : 1);
