// The correlation pages in a real browser: the list live and found by any id, one correlation as a timeline, a story, and
// the ways to them from lines, traces and exemplars.
//
// Called by run.mjs with its page and tools. Sends its own spans and lines, so it needs a server that takes them, and one
// whose windows are short (serve-and-run sets two seconds): nothing is published before a window has closed.

// Of this run only: a server that was judged before has correlations of then.
const RUN = Date.now().toString(36);
const [BEORN, PALANTIR, ARDA, PROXY] = ["beorn", "palantir", "arda", "proxy"].map((name) => `${name}-${RUN}`);
const CIRCUIT = `C-${RUN}`;
/** By how much arda's clock is ahead. */
const AHEAD_MS = 1200;

const hex = (digits) => Array.from({ length: digits }, () => Math.floor(Math.random() * 16).toString(16)).join("");
const text = (key, value) => ({ key, value: { stringValue: value } });
const nanos = (ms) => `${Math.round(ms * 1000)}000`;

/** A call through three services with lines of each; the last one's clock is ahead, and it may fail. */
function call(startMs, { failed = false, request = `r-${hex(8)}` } = {}) {
  const trace = hex(32);
  const spans = [];
  const lines = [];
  const span = (service, name, from, to, parent, kind, fault) => {
    const off = service === ARDA ? AHEAD_MS : 0;
    const id = hex(16);
    spans.push({
      service,
      span: {
        traceId: trace,
        spanId: id,
        ...(parent ? { parentSpanId: parent } : {}),
        name,
        kind,
        startTimeUnixNano: nanos(startMs + from + off),
        endTimeUnixNano: nanos(startMs + to + off),
        attributes: [text("circuit.id", CIRCUIT)],
        status: fault ? { code: 2, message: fault } : {},
      },
    });
    return id;
  };
  const line = (service, at, severity, message, more) => {
    const off = service === ARDA ? AHEAD_MS : 0;
    lines.push({ service, record: { timestamp: new Date(startMs + at + off).toISOString(), severity, message, ...more } });
  };
  const root = span(BEORN, "POST /circuits", 0, 400, "", 2);
  const out = span(BEORN, "GET palantir", 20, 380, root, 3);
  const middle = span(PALANTIR, "GET /route", 30, 370, out, 2);
  const further = span(PALANTIR, "GET arda", 60, 340, middle, 3);
  const inner = span(ARDA, "store circuit", 70, 330, further, 2, failed ? "database is locked" : "");
  line(BEORN, 5, "INFO", `circuit asked for`, { trace_id: trace, span_id: root, circuit_id: CIRCUIT, request_id: request });
  line(PALANTIR, 40, "INFO", `looking for a route circuitId=${CIRCUIT}`, { trace_id: trace, span_id: middle });
  line(ARDA, 300, failed ? "ERROR" : "INFO", failed ? "could not store the circuit" : "circuit stored", {
    trace_id: trace,
    span_id: inner,
    circuit_id: CIRCUIT,
  });
  // A proxy that knows no traces, but the request.
  line(PROXY, 390, "INFO", `POST /circuits 200 request_id=${request}`, {});
  return { trace, root, request, spans, lines };
}

/** Runs the checks. */
export async function checkCorrelations({ page, check, assert, goto, shot, base, send, trouble, exemplarTrace }) {
  const status = await fetch(new URL("/api/v1/status", base)).then((answer) => answer.json(), () => ({}));
  const door = (status.doors ?? []).find((one) => /otlp.?http/i.test(one.name));
  const port = /:(\d+)$/.exec(door?.address ?? "")?.[1] ?? "4318";
  const otlp = new URL(`http://${new URL(base).hostname}:${port}/v1/traces`);
  const push = async (made) => {
    for (const service of [BEORN, PALANTIR, ARDA]) {
      const resource = { attributes: [text("service.name", service), text("host.name", `host-of-${service}`)] };
      const spans = made.spans.filter((one) => one.service === service).map((one) => one.span);
      const answer = await send(otlp, { resourceSpans: [{ resource, scopeSpans: [{ scope: { name: "browser" }, spans }] }] });
      if (answer !== 200) return answer;
    }
    for (const service of [BEORN, PALANTIR, ARDA, PROXY]) {
      const records = made.lines.filter((one) => one.service === service).map((one) => one.record);
      const body = { resource: { service, host: `host-of-${service}`, env: "test" }, records };
      const answer = await send(new URL("/api/logs", base), body);
      if (answer < 200 || answer > 299 || typeof answer === "string") return answer;
    }
    return 200;
  };
  const found = async (query) => {
    const answer = await fetch(new URL(`/api/correlations?${query}`, base));
    return answer.ok ? (await answer.json()).correlations : [];
  };
  const published = async (trace, patienceMs = 60_000) => {
    const deadline = Date.now() + patienceMs;
    for (;;) {
      const [one] = await found(`trace_id=${trace}&limit=1`);
      if (one) return one;
      assert(Date.now() < deadline, `trace ${trace} was not published`);
      await new Promise((done) => setTimeout(done, 300));
    }
  };

  const now = Date.now();
  const failing = call(now - 20_000, { failed: true });
  const fine = call(now - 8000);
  for (const one of [failing, fine]) {
    const taken = await push(one);
    if (taken !== 200) return console.log(`the correlation pages are not judged: this server does not take lines (${taken})`);
  }
  const row = (trace) => page.locator(`.corr:has(a[href*="${trace}"])`);
  /** Exemplars of what is derived from spans may come and go with the beat that derives it. */
  const own = ".events .event:not(.event-exemplar)";
  const event = (content) => page.locator(".events .event", { hasText: content });
  const idParameter = (kind) => new URLSearchParams(new URL(page.url()).hash.split("?")[1] ?? "").get(kind);

  await check("correlations: services as a chain, ids, the first error", async () => {
    await published(failing.trace);
    await published(fine.trace);
    await goto(`#/correlations?circuit_id=${CIRCUIT}`);
    await row(failing.trace).waitFor();
    const said = await row(failing.trace).textContent();
    for (const word of [BEORN, PALANTIR, ARDA, CIRCUIT, "could not store the circuit"]) assert(said.includes(word), `the row does not say ${word}`);
    assert(await row(failing.trace).evaluate((one) => one.classList.contains("is-failed")), "the failed one is not marked");
    assert(!(await row(fine.trace).evaluate((one) => one.classList.contains("is-failed"))), "a good one is marked");
    await shot("correlations-dark-1440", false);
  });
  await check("correlations: new ones come by themselves, wait while paused, and are let in", async () => {
    await goto("#/correlations");
    await page.locator(".follow-open").waitFor();
    const live = call(Date.now() - 500);
    await push(live);
    await row(live.trace).waitFor();
    await page.locator(".follow button", { hasText: "Pause" }).click();
    const late = call(Date.now() - 500);
    await push(late);
    await page.locator(".follow-state", { hasText: "waiting" }).waitFor();
    assert((await row(late.trace).count()) === 0, "a paused list has grown");
    await page.locator(".follow button", { hasText: "Resume" }).click();
    await row(late.trace).waitFor();
  });
  await check("correlations: one field finds by any id, in any spelling", async () => {
    await goto("#/correlations");
    const field = page.locator(".id-field input");
    const ask = async (what) => {
      await field.fill(what);
      await field.press("Enter");
    };
    await ask(CIRCUIT);
    await page.waitForFunction((value) => location.hash.includes(`circuit_id=${value}`), CIRCUIT);
    await row(failing.trace).waitFor();
    await ask(`"requestId": "${failing.request}",`);
    await page.waitForFunction((value) => location.hash.includes(`request_id=${value}`), failing.request);
    await page.waitForFunction(() => document.querySelectorAll(".corr").length === 1);
    await page.locator(".id-filters button").first().click();
    await page.locator(".id-filters button").first().click();
    await page.waitForFunction(() => !location.hash.includes("_id="));
    await ask(failing.trace);
    await row(failing.trace).waitFor();
    assert(idParameter("trace_id") === failing.trace, `the address is ${page.url()}`);
    await ask(`nothing-${RUN}`);
    await page.locator(".id-said", { hasText: "No correlation has" }).waitFor();
    await goto(`#/correlations?service=${ARDA}&errors=1`);
    await row(failing.trace).waitFor();
    assert((await row(fine.trace).count()) === 0, "one without errors is shown");
  });
  await check("correlations: nothing found says what to do, a refusal says why", async () => {
    await goto(`#/correlations?circuit_id=none-${RUN}`);
    await page.locator(".empty", { hasText: "No correlation is like that" }).waitFor();
    await page.locator(".empty button", { hasText: "Without filters" }).click();
    await row(fine.trace).waitFor();
    trouble(true);
    const broken = (route) => route.fulfill({ status: 503, contentType: "application/json", body: '{"error":"out of memory for now"}' });
    await page.route(/\/api\/correlations/, broken);
    await goto(`#/correlations?service=${BEORN}`);
    await page.locator(".trouble", { hasText: "out of memory for now" }).waitFor();
    await page.unroute(/\/api\/correlations/, broken);
    await row(fine.trace).waitFor();
    await page.waitForTimeout(300);
    trouble(false);
  });
  await check("correlation: lanes and rows of spans and lines, the error marked, what was inferred told apart", async () => {
    await goto(`#/correlations?trace_id=${failing.trace}`);
    await row(failing.trace).locator(".corr-open").click();
    await event("could not store the circuit").first().waitFor();
    const lanes = await page.locator(".lanes .lane-name b").allTextContents();
    assert([BEORN, PALANTIR, ARDA].every((name, at) => lanes[at] === name), `lanes are ${lanes.join(", ")}`);
    assert((await page.locator(".lane-bar").count()) >= 5, "spans are not in the lanes");
    assert((await page.locator(".lane-bar.is-failed").count()) === 1, "the failed span is not marked");
    assert((await page.locator(".lane-tick").count()) >= 3, "lines are not in the lanes");
    const inferred = event("POST /circuits 200").first();
    await inferred.waitFor();
    const joined = await inferred.locator(".mark-inferred").textContent();
    assert(/inferred, \d+\s%, same request id/.test(joined), `it says ${joined}`);
    await page.locator(".corr-point", { hasText: "First error" }).click();
    await page.locator(".event.is-selected .event-row time").click();
    await page.locator(".event-details").waitFor();
    await shot("correlation-dark-1440", false);
  });
  await check("correlation: a clock that is ahead is said, corrected, and shown as sent on demand", async () => {
    const { id } = await published(failing.trace);
    await goto(`#/correlations/${id}`);
    await page.locator(".corr-skew", { hasText: ARDA }).waitFor();
    assert(/1\.[12]\d*\s?s ahead/.test(await page.locator(".corr-skew").textContent()), "the skew is not said");
    const last = async () => (await page.locator(`${own} time`).last().textContent()) ?? "";
    assert(/\dms|\d\sms|\d\u202fms/.test(await last()), `the last event is at ${await last()}`);
    await page.keyboard.press("t");
    await page.waitForFunction(() => location.hash.includes("sent=1"));
    await page.waitForFunction(() => /1\.\d+\u202fs/.test([...document.querySelectorAll(".events .event:not(.event-exemplar) time")].at(-1)?.textContent ?? ""));
  });
  await check("correlation: filtered by service and kind, walked by keyboard, zoomed by dragging", async () => {
    const { id } = await published(failing.trace);
    await goto(`#/correlations/${id}`);
    await page.waitForSelector(".events .event");
    await page.locator(".lane-name", { hasText: PALANTIR }).click();
    await page.waitForFunction((name) => location.hash.includes(`service=${name}`), PALANTIR);
    await page.waitForFunction(() => document.querySelectorAll(".events .event:not(.event-exemplar)").length === 3);
    await page.locator(".lane-name", { hasText: PALANTIR }).click();
    await page.locator(".corr-tools button", { hasText: "Errors" }).click();
    await page.waitForFunction(() => document.querySelectorAll(".events .event").length === 2);
    await page.locator(".corr-tools button", { hasText: "All" }).click();
    await page.keyboard.press("j");
    await page.keyboard.press("j");
    await page.waitForSelector(".event.is-selected");
    await page.evaluate(() => window.scrollTo(0, 0));
    await page.waitForTimeout(200);
    const box = await page.locator(".lane-ruler").boundingBox();
    await page.mouse.move(box.x + box.width * 0.1, box.y + 10);
    await page.mouse.down();
    await page.mouse.move(box.x + box.width * 0.3, box.y + 10, { steps: 4 });
    await page.mouse.up();
    await page.locator(".lane-head button", { hasText: "Whole time" }).click();
    await page.waitForFunction(() => document.querySelector(".lane-head button") === null);
  });
  await check("correlation: found by its trace's id; one that is not there is said", async () => {
    const { id } = await published(fine.trace);
    await goto(`#/correlations/${fine.trace}`);
    await page.waitForFunction((wanted) => location.hash.includes(wanted), id);
    trouble(true);
    await goto(`#/correlations/${"ab".repeat(16)}-1700000000000`);
    await page.locator(".empty", { hasText: "No correlation with this id" }).waitFor();
    await page.waitForTimeout(300);
    trouble(false);
  });
  await check("story: everything about one id, trace by trace, with the time between", async () => {
    await goto(`#/correlations?trace_id=${fine.trace}`);
    await row(fine.trace).locator(".id-chip", { hasText: CIRCUIT }).click();
    await page.waitForFunction((value) => location.hash.startsWith(`#/stories?circuit_id=${value}`), CIRCUIT);
    await page.waitForSelector(".chapter");
    const chapters = await page.locator(".chapter").count();
    assert(chapters >= 2, `${chapters} chapters`);
    await page.locator(".story-gap", { hasText: "later" }).first().waitFor();
    await page.locator(".story .event", { hasText: "could not store the circuit" }).first().waitFor();
    await shot("story-dark-1440", false);
    await page.locator(".chapter .fold").first().click();
    await page.waitForSelector(".chapter.is-folded");
    await page.keyboard.press("f");
    await page.waitForFunction(() => document.querySelector(".chapter.is-folded") === null);
    await page.locator(".chapter-links a", { hasText: "Correlation" }).first().click();
    await page.waitForSelector(".lanes .lane-bar");
  });
  await check("logs: a line leads to its trace, correlation and story, whatever its ids are called", async () => {
    const query = encodeURIComponent(`{service_name="${PALANTIR}"} |= "circuitId="`);
    await goto(`#/logs?q=${query}&range=15m`);
    await page.locator(".entries .entry-text", { hasText: "looking for a route" }).first().click();
    await page.locator(".line-actions .to-trace").waitFor();
    await page.locator(".line-actions .id-chip", { hasText: CIRCUIT }).waitFor();
    await page.locator(".line-actions .to-correlation").click();
    await page.waitForSelector(".lanes .lane-bar");
  });
  await check("trace: leads to its correlation and story, without the span that Bramble wrote", async () => {
    await goto(`#/trace/${failing.trace}`);
    await page.waitForSelector(".waterfall .span");
    assert((await page.locator(".waterfall .span").count()) === 5, "what is shown are not the trace's own spans");
    await page.locator(".trace-head-line .id-chip", { hasText: CIRCUIT }).waitFor();
    await page.locator(".to-correlation").click();
    await page.waitForSelector(".lanes .lane-bar");
  });
  await check("metrics: an exemplar leads to its trace and its correlation", async () => {
    await goto("#/metrics?q=browser_test_latency_seconds_bucket");
    await page.locator("a.spot").first().hover();
    await page.locator(".spot-card a", { hasText: "Open trace" }).first().waitFor();
    await page.locator(".spot-card a", { hasText: "Correlation" }).first().click();
    await page.waitForFunction((trace) => location.hash.includes(`correlations/${trace}`), exemplarTrace);
  });
  return { correlation: (await published(failing.trace)).id, circuit: CIRCUIT };
}
