// The pages of the owner in a real browser: set-up, tokens, the machine, signing out and in.
//
//   node tests/browser/owner.mjs BASE_URL OUTDIR CODE
//
// BASE_URL is a Bramble without an owner that requires one, CODE its set-up code. Screenshots go to OUTDIR, wide and narrow,
// light and dark. The last line is "N passed, N failed".
import { mkdir } from "node:fs/promises";
import { createRequire } from "node:module";
import { join } from "node:path";

const [base, outdir, code] = process.argv.slice(2);
if (!base || !outdir || !code) {
  console.error("usage: node tests/browser/owner.mjs BASE_URL OUTDIR CODE");
  process.exit(2);
}
const { chromium } = createRequire(new URL("../../ui/package.json", import.meta.url))("playwright-core");

// A machine that is busy building is slow; nothing here judges speed.
const PATIENCE_MS = 60_000;
const PASSWORD = "correct horse battery";
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

await mkdir(outdir, { recursive: true });
const browser = await chromium.launch({
  executablePath: process.env.CHROMIUM ?? "/usr/bin/chromium",
  args: ["--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking", "--disable-sync"],
});
const context = await browser.newContext({ viewport: { width: 1280, height: 900 }, colorScheme: "light" });
const page = await context.newPage();
page.setDefaultTimeout(PATIENCE_MS);
const exceptions = [];
page.on("pageerror", (error) => exceptions.push(error.message));
const field = (label) => page.getByLabel(label, { exact: true });
const button = (name) => page.getByRole("button", { name, exact: true });
const at = (path) => page.waitForURL((url) => url.pathname === path);

async function shots(name) {
  for (const [scheme, width] of [["light", 1280], ["dark", 1280], ["light", 390], ["dark", 390]]) {
    await page.emulateMedia({ colorScheme: scheme });
    await page.setViewportSize({ width, height: 900 });
    await page.waitForTimeout(150);
    const wide = await page.evaluate(() => document.documentElement.scrollWidth - document.documentElement.clientWidth);
    assert(wide <= 0, `${name} is ${wide} px too wide at ${width}`);
    await page.screenshot({ path: join(outdir, `${name}-${scheme}-${width}.png`), fullPage: true });
  }
  await page.emulateMedia({ colorScheme: "light" });
  await page.setViewportSize({ width: 1280, height: 900 });
}

await check("the set-up says what is missing, and takes the code", async () => {
  await page.goto(`${base}/setup`);
  await field("Code of the machine").fill(code === "000000" ? "000001" : "000000");
  await field("Your name").fill("Ada");
  await field("Password").fill("short");
  assert(await button("Make it mine").isDisabled(), "a short password is sent");
  await field("Password").fill(PASSWORD);
  await field("The same again").fill("correct hoarse");
  await page.getByText("Not the same as above").waitFor();
  await field("The same again").fill(PASSWORD);
  await shots("setup");
  await button("Make it mine").click();
  await page.getByText("This is not the code").waitFor();
  await field("Code of the machine").fill(`${code.slice(0, 3)} ${code.slice(3)}`);
  await button("Make it mine").click();
  await at("/");
  await page.getByLabel("Menu of Ada").waitFor();
});

let token = "";
await check("a token is shown once, works, and is taken back", async () => {
  await page.goto(`${base}/#/access`);
  await page.getByText("No tokens yet.").waitFor();
  await field("What it is for").fill("a test");
  await page.getByRole("checkbox", { name: /^read/ }).check();
  await button("Make a token").click();
  token = (await page.locator(".token-made code").first().textContent()) ?? "";
  assert(/^brt_[0-9a-f]{8}_[0-9a-f]{64}$/.test(token), `no token: ${token}`);
  await shots("access-token");
  await button("I have it").click();
  await page.locator(".token-list tbody tr").waitFor();
  assert(!(await page.content()).includes(token), "the token is still in the page");
  const ask = () => fetch(`${base}/metrics`, { headers: { authorization: `Bearer ${token}` } });
  assert((await ask()).status === 200, "the token does not work");
  await shots("access");
  await button("Revoke").click();
  await button("Really revoke").click();
  await page.getByText("No tokens yet.").waitFor();
  assert((await ask()).status === 401, "the token still works");
});

await check("who may send is changed, and stays so", async () => {
  await page.getByRole("radio", { name: /^Only with a token/ }).check();
  await page.waitForResponse((answer) => answer.url().endsWith("/api/v1/owner") && answer.request().method() === "GET");
  await page.reload();
  await page.getByRole("radio", { name: /^Only with a token/, checked: true }).waitFor();
});

await check("the machine says what it is", async () => {
  await page.goto(`${base}/#/system`);
  await page.getByText("This machine", { exact: true }).waitFor();
  await page.locator(".facts dd").first().waitFor();
  await shots("system");
});

await check("who signs out is asked to sign in, and comes back to where a link led", async () => {
  await page.locator(".account summary").click();
  await button("Sign out").click();
  await at("/login");
  await field("Name").fill("ada");
  await field("Password").fill("not this one at all");
  await button("Sign in").click();
  await page.getByText("Name or password are wrong").waitFor();
  await shots("login");
  await page.goto(`${base}/#/nodes`);
  await at("/login");
  assert(page.url().endsWith("/login#/nodes"), page.url());
  await field("Name").fill("ada");
  await field("Password").fill(PASSWORD);
  await button("Sign in").click();
  await at("/");
  await page.getByRole("heading", { name: "Nodes", exact: true }).waitFor();
});

await check("another password ends other sessions, not this one", async () => {
  const other = await browser.newContext();
  const signIn = { data: { name: "Ada", password: PASSWORD } };
  assert((await other.request.post(`${base}/api/v1/session`, signIn)).ok(), "the second session");
  assert((await other.request.get(`${base}/api/v1/status`)).status() === 200, "the second session asks");
  await page.goto(`${base}/#/access`);
  await field("Password so far").fill(PASSWORD);
  await field("New password").fill(`${PASSWORD} staple`);
  await field("The same again").fill(`${PASSWORD} staple`);
  await button("Change the password").click();
  await page.getByText("All other sessions have ended.").waitFor();
  assert((await other.request.get(`${base}/api/v1/status`)).status() === 401, "the second session lives");
  await page.reload();
  await page.getByLabel("Menu of Ada").waitFor();
  await other.close();
});

await check("no script failed", () => assert(exceptions.length === 0, exceptions.slice(0, 3).join(" / ")));

await browser.close();
console.log(`${passed} passed, ${failed} failed`);
process.exit(failed === 0 ? 0 : 1);
