// The logs page in a real browser: lines sent for it, found, filtered, opened, grouped, followed.
//
// Called by run.mjs with its page and tools. Sends its own lines, so it needs a server that takes them.

// Of this run only: a server that was judged before has lines of then.
const SERVICE = `browser-lines-${Date.now().toString(36)}`;
const LINES = 12_000;
const EXAMPLE = "0af7651916cd43dd8448eb211c80319c";
const COLOUR = "\u001b[31mred\u001b[0m";

const nanos = (ms) => `${Math.round(ms)}000000`;

/** Lines of several shapes and levels over the last ten minutes, `LINES` of them. */
function lines(nowMs) {
  return Array.from({ length: LINES }, (_, at) => {
    const time = nanos(nowMs - at * 50);
    if (at % 500 === 1) return [time, `level=error msg="gave up" order=${at} trace_id=${EXAMPLE}`];
    if (at % 10 === 2) return [time, JSON.stringify({ level: "warn", msg: "slow answer", user: { id: at % 7 }, took_ms: at })];
    if (at % 10 === 3) return [time, `level=debug ${COLOUR} cache miss customer=${at}`];
    return [time, `level=info request ${at} answered in ${at % 90} ms`];
  });
}

const queryIn = (address) => new URLSearchParams(new URL(address).hash.split("?")[1]).get("q") ?? "";

/** Runs the checks. */
export async function checkLogs({ page, check, assert, goto, shot, base, send, trouble }) {
  const push = (values, stream = { service_name: SERVICE, env: "test" }) =>
    send(new URL("/loki/loki/api/v1/push", base), { streams: [{ stream, values }] });
  const all = lines(Date.now());
  for (let from = 0; from < all.length; from += 2000) {
    const status = await push(all.slice(from, from + 2000));
    if (status !== 204) return console.log(`the logs page is not judged: this server does not take lines (${status})`);
  }
  const hash = (q, more = "") => `#/logs?q=${encodeURIComponent(q)}&range=15m${more}`;
  const selector = `{service_name="${SERVICE}"}`;
  const entries = ".entries .entry";
  const shown = (text) => page.locator(`${entries} .entry-text`, { hasText: text });
  const asked = (part) => page.waitForFunction((q) => (new URLSearchParams(location.hash.split("?")[1]).get("q") ?? "").includes(q), part);

  await check("logs: lines, their volume by level, their fields", async () => {
    await goto(hash(selector));
    await page.waitForSelector(entries);
    await page.waitForSelector(".volume canvas");
    await page.locator(".fields .field-name", { hasText: "service_name" }).waitFor();
    for (const level of ["error", "warn", "info", "debug"]) await page.locator(".levels button", { hasText: level }).waitFor();
    assert((await page.locator(".ansi-red").count()) > 0, "terminal colours are not shown");
    await shot("logs-dark-1440", false);
  });
  await check("logs: the editor completes this server's services, Ctrl+Enter runs", async () => {
    await goto("#/logs");
    await page.waitForSelector(".editor-host .cm-content");
    await page.locator(".editor-host .cm-content").click();
    await page.keyboard.press("Control+a");
    await page.keyboard.type(`{service_name="${SERVICE.slice(0, -2)}`);
    await page.locator(".cm-tooltip-autocomplete li", { hasText: SERVICE }).first().click();
    await page.keyboard.press("Control+Enter");
    await asked(selector);
    await page.waitForSelector(entries);
  });
  await check("logs: what is wrong with a query is said at its place", async () => {
    trouble(true);
    await goto(hash(`${selector} |= `));
    await page.waitForSelector(".mistake");
    await page.waitForSelector(".cm-lintRange-error");
    await page.waitForTimeout(300);
    trouble(false);
  });
  await check("logs: a level, a field and its value become filters, and go again", async () => {
    await goto(hash(selector));
    await page.locator(".levels button", { hasText: "error" }).click();
    await asked('| detected_level="error"');
    await shown("gave up").first().waitFor();
    assert((await page.locator(`${entries} .entry-level`).allTextContents()).every((level) => level === "error"), "other levels are shown");
    await page.locator(".levels button", { hasText: "error" }).click();
    await page.waitForFunction(() => !location.hash.includes("detected_level"));
    await page.locator(".fields .field-name", { hasText: "env" }).click();
    await page.locator(".stats .filters button").first().click();
    await asked('env="test"');
    await page.waitForSelector(entries);
  });
  await check("logs: ten thousand lines scroll, some dozens are drawn, the place is kept", async () => {
    await goto(hash(selector));
    await page.waitForSelector(entries);
    const at = () =>
      page.evaluate(() => {
        const rows = [...document.querySelectorAll(".entries > li")];
        const first = rows.filter((row) => row.getBoundingClientRect().top >= 110).sort((a, b) => a.getBoundingClientRect().top - b.getBoundingClientRect().top)[0];
        return {
          drawn: rows.length,
          size: Number(rows[0]?.getAttribute("aria-setsize") ?? 0),
          place: Number(first?.getAttribute("aria-posinset") ?? 0),
          text: first?.querySelector(".entry-text")?.textContent ?? "",
          top: first?.getBoundingClientRect().top ?? 0,
        };
      });
    const deadline = Date.now() + 120_000;
    let now = await at();
    while (now.size < 10_000) {
      assert(Date.now() < deadline, `only ${now.size} lines were loaded`);
      await page.mouse.wheel(0, 3000);
      await page.waitForTimeout(40);
      now = await at();
      assert(now.drawn < 300, `${now.drawn} lines are in the document`);
    }
    // A line that is opened above the view grows; what is in view stays where it is.
    await page.waitForTimeout(300);
    const before = await at();
    assert(before.place > 3000, `the view is at line ${before.place} only`);
    await page.waitForTimeout(500);
    const after = await at();
    assert(after.text === before.text && Math.abs(after.top - before.top) < 2, "the view moved by itself");
    const number = Number(/request (\d+)|order=(\d+)|"took_ms":(\d+)|customer=(\d+)/.exec(after.text)?.slice(1).find(Boolean));
    assert(number === after.place - 1, `line ${after.place} is "${after.text}"`);
    await shot("logs-deep-dark-1440", false);
    await page.locator(".to-top").click();
    await page.waitForFunction(() => scrollY === 0);
  });
  await check("logs: a line opens: JSON laid out, filters, context, a link that leads back", async () => {
    await goto(hash(`${selector} |= "slow answer"`));
    assert(queryIn(page.url()).includes("slow"), "no query");
    await page.waitForSelector(".entries mark");
    await page.locator(`${entries} .entry-text`).nth(3).click();
    await page.waitForSelector(".line-details .json-key");
    await page.locator(".line-actions button", { hasText: "Context" }).click();
    await page.waitForFunction(() => document.querySelectorAll(".context li time").length >= 15);
    await shot("logs-open-dark-1440", false);
    await page.evaluate(() => {
      navigator.clipboard.writeText = async (text) => {
        window.copied = text;
      };
    });
    const text = await page.locator(`${entries} .entry-text`).nth(3).textContent();
    await page.locator(".line-actions button", { hasText: "Copy link" }).click();
    const link = await page.waitForFunction(() => window.copied).then((handle) => handle.jsonValue());
    await page.locator('.line-details button[aria-label^="Only user_id ="]').first().click();
    await asked('| json | user_id="');
    await page.waitForSelector(entries);
    await page.goto(link);
    await page.waitForSelector(".entry.is-open.is-selected .line-details");
    assert((await page.locator(".entry.is-open .entry-text").textContent()) === text, "another line is open");
  });
  await check("logs: a line with a trace id leads to the trace", async () => {
    await goto(hash(`${selector} |= "gave up"`));
    await page.locator(`${entries} .entry-text`).first().click();
    assert((await page.locator(".to-trace").getAttribute("href")).includes(EXAMPLE), "the link leads elsewhere");
  });
  await check("logs: by keyboard", async () => {
    await goto(hash(selector));
    await page.waitForSelector(entries);
    await page.waitForSelector(".editor-host .cm-content");
    for (const key of ["j", "j", "k", "j"]) await page.keyboard.press(key);
    await page.keyboard.press("Enter");
    await page.waitForSelector(".entries > li:nth-child(2) .is-selected .line-details");
    await page.keyboard.press("Escape");
    await page.waitForFunction(() => document.querySelector(".line-details") === null);
    await page.keyboard.press("w");
    await page.waitForFunction(() => location.hash.includes("wrap=1"));
    await page.keyboard.press("/");
    await page.waitForFunction(() => document.querySelector(".editor-host")?.shadowRoot?.activeElement !== null);
  });
  await check("logs: patterns with their trend; one of them becomes a filter", async () => {
    await goto(hash(selector, "&view=patterns"));
    await page.waitForSelector(".pattern");
    await page.locator(".pattern-text", { hasText: "request" }).first().click();
    await page.waitForSelector(".examples-of li");
    assert((await page.locator(".pattern .trend rect").count()) > 3, "no trend");
    await shot("logs-patterns-dark-1440", false);
    await page.locator(".pattern-filters button", { hasText: "Hide" }).first().click();
    await asked("!> ");
    await page.waitForFunction(() => document.querySelector(".pattern") && ![...document.querySelectorAll(".pattern-text")].some((one) => one.textContent.includes("request")));
    await page.locator(".levels button", { hasText: "error" }).click();
    await page.waitForSelector(".patterns-note code");
    await page.waitForSelector(".pattern");
    await page.locator(".segments button", { hasText: "Lines" }).click();
    await page.waitForSelector(entries);
  });
  await check("logs: new lines are followed, held while paused, and come after it", async () => {
    await goto(hash(selector, "&live=1"));
    await page.waitForSelector(".tail-open");
    await push([[nanos(Date.now()), "level=info followed one"]]);
    await shown("followed one").waitFor();
    await page.locator(".tail button", { hasText: "Pause" }).click();
    await push([[nanos(Date.now()), "level=info followed two"]]);
    await page.locator(".tail-state", { hasText: "1 waiting" }).waitFor();
    assert((await shown("followed two").count()) === 0, "a paused tail went on");
    await shot("logs-live-dark-1440", false);
    await page.locator(".tail button", { hasText: "Resume" }).click();
    await shown("followed two").waitFor();
  });
  await check("logs: a reader who scrolled away is not moved by new lines", async () => {
    await goto(hash(selector, "&live=1"));
    await page.waitForSelector(".tail-open");
    await page.mouse.wheel(0, 2500);
    await page.locator(".tail button", { hasText: "To the newest" }).waitFor();
    await page.waitForTimeout(300);
    const top = () =>
      page.evaluate(() => {
        const rows = [...document.querySelectorAll(".entries > li")].filter((row) => row.getBoundingClientRect().top >= 110);
        const first = rows.sort((a, b) => a.getBoundingClientRect().top - b.getBoundingClientRect().top)[0];
        return `${first?.dataset.key} ${Math.round(first?.getBoundingClientRect().top ?? 0)}`;
      });
    const before = await top();
    await push(Array.from({ length: 40 }, (_, at) => [nanos(Date.now() + at), `level=info behind the back ${at}`]));
    await page.waitForFunction(() => /[1-9]/.test(document.querySelector(".tail-state")?.textContent ?? ""));
    await page.waitForTimeout(600);
    assert((await top()) === before, "the view moved");
    await page.locator(".tail button", { hasText: "To the newest" }).click();
    await shown("behind the back 39").waitFor();
  });
  await check("logs: a count is drawn and listed", async () => {
    await goto(hash(`sum by (detected_level) (count_over_time(${selector}[1m]))`));
    await page.waitForSelector(".series tbody tr");
    await page.waitForSelector(".plot canvas");
    await shot("logs-count-dark-1440", false);
  });
  await check("logs: nothing found says what to try", async () => {
    await goto(hash(`${selector} |= "nobody says this"`));
    await page.locator(".tries button", { hasText: "without" }).click();
    await page.waitForSelector(entries);
  });
  await check("logs: dragging over the volume becomes the time range", async () => {
    await goto(hash(selector));
    await page.waitForSelector(".volume canvas");
    const box = await page.locator(".volume .u-over").boundingBox();
    assert(box, "no graph");
    await page.mouse.move(box.x + box.width * 0.5, box.y + box.height / 2);
    await page.mouse.down();
    await page.mouse.move(box.x + box.width * 0.8, box.y + box.height / 2, { steps: 5 });
    await page.mouse.up();
    await page.waitForFunction(() => /from=\d+&to=\d+/.test(location.hash));
    await page.waitForSelector(entries);
  });
}
