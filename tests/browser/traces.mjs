// The traces pages in a real browser: found by form and by TraceQL, dots, waterfall, logs of a span, services, their map.
//
// Called by run.mjs with its page and tools. Sends its own spans and lines, so it needs a server that takes them.

// Of this run only: a server that was judged before has spans of then.
const RUN = Date.now().toString(36);
const [WEB, API, DB] = ["web", "api", "store"].map((name) => `${name}-${RUN}`);
const REQUESTS = 40;
const BIG = 5000;
const MS = 1_000_000n;

const hex = (digits) => Array.from({ length: digits }, () => Math.floor(Math.random() * 16).toString(16)).join("");
const text = (key, value) => ({ key, value: typeof value === "number" ? { intValue: String(value) } : { stringValue: value } });

/** A trace under construction: spans by service, times in milliseconds after `startMs`. */
function trace(startMs) {
  const id = hex(32);
  const byService = new Map();
  const base = BigInt(Math.round(startMs)) * MS;
  const at = (ms) => String(base + BigInt(Math.round(ms * 1000)) * 1000n);
  return {
    id,
    byService,
    span(service, name, from, to, parent, more = {}) {
      const spanId = more.spanId ?? hex(16);
      const { failed, attributes = {}, events = [], links = [], kind = 1 } = more;
      const one = {
        traceId: id,
        spanId,
        ...(parent ? { parentSpanId: parent } : {}),
        name,
        kind,
        startTimeUnixNano: at(from),
        endTimeUnixNano: at(to),
        attributes: Object.entries(attributes).map(([key, value]) => text(key, value)),
        events: events.map(({ ms, name, attributes = {} }) => ({
          timeUnixNano: at(ms),
          name,
          attributes: Object.entries(attributes).map(([key, value]) => text(key, value)),
        })),
        links,
        status: failed ? { code: 2, message: failed } : {},
      };
      byService.set(service, [...(byService.get(service) ?? []), one]);
      return spanId;
    },
  };
}

/** A request through three services; what failed has an exception. Returns the trace and the span that logs. */
function request(startMs, { failed = false, length = 60 } = {}) {
  const made = trace(startMs);
  const [server, client] = [{ kind: 2 }, { kind: 3 }];
  const fault = failed ? "gave up" : undefined;
  const root = made.span(WEB, "GET /orders/{id}", 0, length, null, { ...server, failed: fault });
  const call = made.span(WEB, "GET api", 2, length - 3, root, { ...client, failed: fault });
  const inner = made.span(API, "GET /v1/orders", 3, length - 4, call, {
    ...server,
    failed: fault,
    attributes: { "http.route": "/v1/orders", "order.size": 3 },
    events: failed
      ? [{ ms: length - 6, name: "exception", attributes: { "exception.type": "Timeout", "exception.message": "no answer", "exception.stacktrace": "at query\nat handler" } }]
      : [],
  });
  made.span(API, "authorize", 4, length * 0.3, inner);
  const query = made.span(API, "call store", length * 0.35, length - 8, inner, client);
  made.span(DB, "SELECT order", length * 0.4, length - 10, query, server);
  return { made, inner };
}

/** A trace of `BIG` spans: chains of a few below one root. */
function bigOne(startMs) {
  const made = trace(startMs);
  const root = made.span(WEB, "import", 0, BIG, null, { kind: 2 });
  let last = root;
  for (let at = 1; at < BIG; at += 1) {
    const parent = at % 20 === 1 ? root : last;
    const end = at - (at % 20) + 20.5;
    last = made.span([WEB, API, DB][at % 3], `step ${at}`, at, Math.min(BIG, end), parent, { attributes: { row: at } });
  }
  return made;
}

/** An orphan, a circle, a second root, clocks that differ, an end before its start. */
function oddOne(startMs) {
  const made = trace(startMs);
  const root = made.span(WEB, "odd", 100, 200, null, { kind: 3 });
  made.span(API, "other clock", 20, 60, root, { kind: 2 });
  made.span(DB, "orphan", 110, 120, "dead00000000beef");
  const [a, b] = [hex(16), hex(16)];
  made.span(DB, "circle a", 130, 150, b, { spanId: a });
  made.span(DB, "circle b", 131, 140, a, { spanId: b });
  made.span(WEB, "second root", 210, 220, null);
  made.span(WEB, "backwards", 190, 180, root);
  return made;
}

const queryIn = (address) => new URLSearchParams(new URL(address).hash.split("?")[1]).get("q") ?? "";

/** Runs the checks. */
export async function checkTraces({ page, check, assert, goto, shot, base, send, trouble }) {
  const status = await fetch(new URL("/api/v1/status", base)).then((answer) => answer.json(), () => ({}));
  const door = (status.doors ?? []).find((one) => /otlp.?http/i.test(one.name));
  const port = /:(\d+)$/.exec(door?.address ?? "")?.[1] ?? "4318";
  const otlp = new URL(`http://${new URL(base).hostname}:${port}/v1/traces`);
  const push = async (traces) => {
    const all = traces.flatMap((made) => [...made.byService]);
    for (const [service, spans] of all) {
      for (let from = 0; from < spans.length; from += 1000) {
        const resource = { attributes: [text("service.name", service), text("host.name", `host-of-${service}`)] };
        const body = { resourceSpans: [{ resource, scopeSpans: [{ scope: { name: "browser" }, spans: spans.slice(from, from + 1000) }] }] };
        const answer = await send(otlp, body);
        if (answer !== 200) return answer;
      }
    }
    return 200;
  };
  const now = Date.now();
  const requests = Array.from({ length: REQUESTS }, (_, at) =>
    request(now - 600_000 + at * 14_000, { failed: at % 8 === 3, length: 40 + (at % 10) * 30 }),
  );
  const big = bigOne(now - 120_000);
  const odd = oddOne(now - 90_000);
  const taken = await push([...requests.map((one) => one.made), big, odd]);
  if (taken !== 200) return console.log(`the traces pages are not judged: this server does not take spans (${taken})`);
  // Calls of now, so that what is derived from spans has something to count, beat by beat.
  const live = setInterval(() => void push([request(Date.now() - 400).made, request(Date.now() - 300, { failed: true }).made]), 1500);
  const faulty = requests[3];
  const line = (ms, content, span) => [`${Math.round(ms)}000000`, content, { trace_id: faulty.made.id, span_id: span }];
  const logged = now - 600_000 + 3 * 14_000;
  await send(new URL("/loki/loki/api/v1/push", base), {
    streams: [{ stream: { service_name: API }, values: [line(logged + 10, "level=info looking for the order", faulty.inner), line(logged + 90, "level=error no answer from the store", faulty.inner)] }],
  });

  const of = (service) => `{ resource.service.name = "${service}" }`;
  const search = (q, more = "") => `#/traces?q=${encodeURIComponent(q)}&range=15m${more}`;
  const asked = (part) => page.waitForFunction((q) => (new URLSearchParams(location.hash.split("?")[1]).get("q") ?? "").includes(q), part);
  const rows = ".found-list .found";
  const span = (name) => page.locator(".waterfall .span", { hasText: name });

  try {
    await check("traces: dots, numbers over time and a list", async () => {
      await goto(search(of(WEB)));
      await page.waitForSelector(".scatter canvas");
      await page.waitForSelector(rows);
      await page.waitForFunction(() => document.querySelectorAll(".red .plot canvas").length === 3);
      await page.locator(`${rows} .chips .is-bad`).first().waitFor();
      await page.waitForTimeout(400);
      await shot("traces-dark-1440", false);
    });
    await check("traces: the form writes TraceQL, and reads it", async () => {
      await goto("#/traces?range=15m");
      await page.fill("#service", API);
      await page.locator("#service").press("Enter");
      await asked(`resource.service.name = "${API}"`);
      await page.locator(".search-form select").first().selectOption("error");
      await asked("status = error");
      await page.locator(".field-length input").first().fill("50ms");
      await page.locator(".field-length input").first().press("Enter");
      await asked("trace:duration >= 50ms");
      await page.waitForSelector(rows);
      await page.locator(".add-tag").click();
      await page.locator("#tag-0").fill("span.http.route");
      await page.locator("#tag-0").press("Enter");
      await page.locator("#value-0-list option").first().waitFor({ state: "attached" });
      await page.locator("#value-0").fill("/v1/orders");
      await page.locator("#value-0").press("Enter");
      await asked('span.http.route = "/v1/orders"');
      await page.waitForSelector(rows);
      assert((await page.locator(`${rows}:not(.is-failed)`).count()) === 0, "traces without errors are shown");
      await page.reload();
      await page.waitForSelector(rows);
      assert((await page.inputValue("#service")) === API, "the form forgot the service");
      assert((await page.inputValue("#value-0")) === "/v1/orders", "the form forgot the attribute");
    });
    await check("traces: the editor completes this server's attributes and values", async () => {
      await goto("#/traces?range=15m");
      await page.waitForSelector(".editor-host .cm-content");
      await page.locator(".editor-host .cm-content").click();
      await page.keyboard.type("{ resource.serv");
      await page.locator(".cm-tooltip-autocomplete li", { hasText: "resource.service.name" }).first().click();
      await page.keyboard.type('= "api');
      await page.locator(".cm-tooltip-autocomplete li", { hasText: API }).first().click();
      await page.keyboard.press("Control+Enter");
      await asked(`resource.service.name = "${API}"`);
      await page.waitForSelector(rows);
    });
    await check("traces: what is wrong with a query is said at its place", async () => {
      trouble(true);
      await goto(search("{ status = errr }"));
      await page.waitForSelector(".mistake");
      await page.waitForSelector(".cm-lintRange-error");
      await page.locator(".form-away button").waitFor();
      await page.waitForTimeout(300);
      trouble(false);
    });
    await check("traces: a dot opens its trace, dragging narrows time and duration", async () => {
      const [from, to] = [Math.floor(now / 1000) - 300, Math.floor(now / 1000)];
      await goto(`#/traces?q=${encodeURIComponent(`{ name = "odd" && resource.service.name = "${WEB}" }`)}&from=${from}&to=${to}`);
      await page.waitForSelector(rows);
      const box = await page.locator(".scatter canvas").boundingBox();
      assert(box, "no plot");
      // One dot only: half way up, at its time between the axis' edges.
      const share = (now - 90_000 + 20 - from * 1000) / ((to - from) * 1000);
      const hit = { x: box.x + 56 + share * (box.width - 66), y: box.y + 8 + (box.height - 30) / 2 };
      await page.mouse.move(hit.x, hit.y);
      await page.locator(".scatter-tip", { hasText: "odd" }).waitFor();
      await page.mouse.click(hit.x, hit.y);
      await page.waitForFunction((id) => location.hash.includes(id), odd.id);
      await goto(search(of(WEB)));
      await page.waitForSelector(rows);
      const plot = await page.locator(".scatter canvas").boundingBox();
      await page.mouse.move(plot.x + plot.width * 0.4, plot.y + 20);
      await page.mouse.down();
      await page.mouse.move(plot.x + plot.width * 0.8, plot.y + plot.height * 0.6, { steps: 5 });
      await page.mouse.up();
      await page.waitForFunction(() => /from=\d+&to=\d+/.test(location.hash));
      assert(/trace:duration >= .* && trace:duration <= /.test(queryIn(page.url())), `asked is ${queryIn(page.url())}`);
    });
    await check("traces: sorted by duration and by errors", async () => {
      await goto(search(of(WEB), "&sort=longest"));
      await page.waitForSelector(rows);
      assert((await page.locator(`${rows} .found-what`).first().textContent()).includes("import"), "the longest is not first");
      await page.locator(".list-aside button", { hasText: "Most errors" }).click();
      await page.waitForFunction(() => location.hash.includes("sort=errors"));
      await page.waitForFunction((selector) => document.querySelector(selector)?.classList.contains("is-failed"), rows);
    });
    await check("traces: TraceQL that computes is drawn, a distribution as a heat map", async () => {
      await goto(search(`{ resource.service.name =~ ".*${RUN}" } | rate() by (resource.service.name)`));
      await page.waitForSelector(".series tbody tr");
      await goto(search(`${of(WEB)} | histogram_over_time(duration)`));
      await page.waitForSelector(".heatmap canvas");
      await shot("traces-heat-dark-1440", false);
    });
    await check("trace: a waterfall with its critical path, events and exceptions", async () => {
      await goto(search(`{ trace:id = "${faulty.made.id}" }`));
      await page.locator(rows).first().click();
      await page.waitForSelector(".waterfall .span");
      assert((await page.locator(".waterfall .span").count()) === 6, "not all spans are shown");
      assert((await page.locator(".waterfall .span.is-failed").count()) === 3, "failed spans are not marked");
      await page.locator(".waterfall-tools button", { hasText: "Critical path" }).click();
      await page.waitForFunction(() => document.querySelectorAll(".waterfall .span-path path").length >= 5);
      await span("GET /v1/orders").locator(".span-open").click();
      await page.locator(".span-details .stack", { hasText: "at handler" }).waitFor();
      assert(page.url().includes(`span=${faulty.inner}`), "the span is not in the address");
      await shot("trace-dark-1440", false);
    });
    await check("trace: the logs of a span, and the way to them", async () => {
      await goto(`#/trace/${faulty.made.id}?span=${faulty.inner}`);
      await page.locator(".span-logs .traced-text", { hasText: "no answer from the store" }).waitFor();
      assert((await page.locator(".waterfall .span-track u").count()) >= 2, "lines are not on the timeline");
      await page.locator(".span-logs a", { hasText: "Explore logs" }).click();
      await page.locator(".entries .entry-text", { hasText: "no answer from the store" }).waitFor();
      await page.locator(".entries .entry-text").first().click();
      await page.locator(".to-trace").click();
      await page.waitForSelector(".waterfall .span.is-open");
    });
    await check("trace: found in it, filtered by service, walked by keyboard", async () => {
      await goto(`#/trace/${faulty.made.id}`);
      await page.waitForSelector(".waterfall .span");
      await page.keyboard.press("/");
      await page.keyboard.type("route=/v1");
      await page.waitForSelector(".waterfall .span.is-sought");
      await page.keyboard.press("Escape");
      await page.keyboard.press("n");
      await page.waitForSelector(".waterfall .span.is-sought.is-selected");
      await page.keyboard.press("ArrowLeft");
      await page.waitForFunction(() => document.querySelectorAll(".waterfall .span").length === 3);
      await page.keyboard.press("ArrowRight");
      await page.keyboard.press("j");
      await page.keyboard.press("Enter");
      await page.waitForSelector(".waterfall .span.is-selected.is-open");
      await page.keyboard.press("Escape");
      await page.waitForFunction(() => document.querySelector(".span-details") === null);
      await page.locator(".services-of button", { hasText: DB }).click();
      await page.waitForFunction((name) => location.hash.includes(`service=${name}`), DB);
      await page.waitForSelector(".waterfall .span.is-dimmed");
      await page.locator(".segments button", { hasText: "Statistics" }).click();
      await page.waitForSelector(".sums tbody tr");
    });
    await check("trace: orphans, circles, two roots and wrong clocks are shown and said", async () => {
      await goto(`#/trace/${odd.id}`);
      await page.waitForSelector(".waterfall .span");
      assert((await page.locator(".waterfall .span").count()) === 7, "not all spans are shown");
      const said = await page.locator(".warnings").first().textContent();
      for (const word of ["not here", "roots", "own ancestors", "clocks differ"]) assert(said.includes(word), `not said: ${word}`);
    });
    await check(`trace: ${BIG.toLocaleString("en")} spans scroll, some dozens are drawn`, async () => {
      await goto(`#/trace/${big.id}`);
      await page.waitForSelector(".waterfall .span");
      await page.evaluate(() => {
        window.frames_ms = [];
        let last = performance.now();
        const next = (now) => {
          window.frames_ms.push(now - last);
          last = now;
          requestAnimationFrame(next);
        };
        requestAnimationFrame(next);
      });
      let most = 0;
      for (let turn = 0; turn < 80; turn += 1) {
        await page.mouse.wheel(0, 1800);
        await page.waitForTimeout(30);
        most = Math.max(most, await page.locator(".waterfall > li").count());
      }
      const frames = await page.evaluate(() => [...window.frames_ms].sort((a, b) => a - b));
      const at = (share) => (frames[Math.floor(frames.length * share)] ?? 0).toFixed(0);
      // Figures to read, not to judge by: the machine may be busy.
      console.log(`      ${frames.length} frames: median ${at(0.5)} ms, 95th percentile ${at(0.95)} ms, longest ${at(0.9999)} ms; at most ${most} rows drawn`);
      assert(most < 200, `${most} rows are in the document`);
      await page.keyboard.press("f");
      await page.waitForFunction(() => document.querySelectorAll(".waterfall .fold[aria-expanded='false']").length > 3);
      await page.keyboard.press("f");
      await page.fill(".finder input", `row=${BIG - 2}`);
      await page.keyboard.press("Enter");
      await span(`step ${BIG - 2}`).waitFor();
      const box = await page.locator(".minimap-box").boundingBox();
      await page.mouse.move(box.x + box.width * 0.2, box.y + 20);
      await page.mouse.down();
      await page.mouse.move(box.x + box.width * 0.4, box.y + 20, { steps: 4 });
      await page.mouse.up();
      await page.waitForFunction(() => !document.querySelector(".ruler")?.textContent?.startsWith("0"));
      await shot("trace-big-dark-1440", false);
    });
    await check("trace: one that is not there is said, and where it was sought", async () => {
      trouble(true);
      await goto("#/traces");
      await page.fill(".by-id input", "00-0af7651916cd43dd8448eb211c80319d-b7ad6b7169203331-01");
      await page.keyboard.press("Enter");
      await page.locator(".empty", { hasText: "No trace with this id" }).waitFor();
      await page.waitForTimeout(300);
      trouble(false);
    });
    await check("services: rates, errors and durations of operations, with ways to their traces", async () => {
      await goto("#/services?range=5m");
      // What is derived goes out now and then, and a rate needs two of them.
      const deadline = Date.now() + 120_000;
      while ((await page.locator(".operations th a", { hasText: API }).count()) === 0) {
        assert(Date.now() < deadline, "nothing was derived from the spans");
        await page.waitForTimeout(2000);
        await page.reload();
        await page.waitForTimeout(1000);
      }
      await page.locator(".operations th a", { hasText: API }).first().click();
      await page.locator(".operations th a", { hasText: "GET /v1/orders" }).waitFor();
      await page.waitForFunction(() => document.querySelectorAll(".red .plot canvas").length === 3);
      await shot("service-dark-1440", false);
      await page.locator(".operations th a", { hasText: "GET /v1/orders" }).click();
      await asked(`resource.service.name = "${API}" && name = "GET /v1/orders"`);
      await page.waitForSelector(rows);
    });
    await check("map: who calls whom; a service leads to its operations", async () => {
      await goto("#/map?range=5m");
      const deadline = Date.now() + 120_000;
      while ((await page.locator(".map-node", { hasText: DB }).count()) === 0) {
        assert(Date.now() < deadline, "no calls between services");
        await page.waitForTimeout(2000);
        await page.reload();
        await page.waitForTimeout(1000);
      }
      await page.locator(".calls tr", { hasText: `${WEB} → ${API}` }).waitFor();
      await page.locator(".map-node", { hasText: API }).hover();
      await page.waitForSelector(".map-flow");
      await shot("map-dark-1440", false);
      await page.locator("a.map-node", { hasText: API }).click();
      await page.waitForFunction((name) => location.hash.startsWith(`#/services/${name}`), API);
    });
  } finally {
    clearInterval(live);
  }
}
