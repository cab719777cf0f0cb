// A real browser on a running stack: people by mouse or by keyboard, and what a page must never do.
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { chromium } from "playwright-core";

export const URL_OF_API = process.env.SLIPWAY_URL ?? "http://localhost:8000";
export const PASSWORD = "engines weave numbers";
const CHROMIUM = process.env.CHROMIUM ?? "/usr/bin/chromium";
const AXE = readFileSync(new URL("../node_modules/axe-core/axe.min.js", import.meta.url), "utf-8");
const JOB_MS = 40_000;

export async function openBrowser() {
  return chromium.launch({ executablePath: CHROMIUM, args: ["--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"] });
}

/**
 * Open a page that remembers what went wrong in it.
 * @param {import("playwright-core").Browser} browser
 * @param {{ scheme?: "light" | "dark", language?: string, width?: number, height?: number, cookies?: any[] }} [options]
 */
export async function openPage(browser, { scheme = "light", language = "en", width = 1280, height = 800, cookies = [] } = {}) {
  const context = await browser.newContext({ viewport: { width, height }, colorScheme: scheme, locale: language, reducedMotion: "reduce" });
  await context.addCookies(cookies);
  const page = await context.newPage();
  /** @type {string[]} */
  const faults = [];
  page.on("pageerror", (error) => faults.push(`error: ${error.message}`));
  page.on("console", (message) => {
    const isRefusal = message.text().startsWith("Failed to load resource"); // the browser says so of every 4xx
    const isReconnect = message.text().includes("net::ERR_");
    if (["error", "warning"].includes(message.type()) && !isRefusal && !isReconnect) faults.push(`${message.type()}: ${message.text()}`);
  });
  page.on("request", (request) => {
    const { origin, protocol } = new URL(request.url());
    if (origin !== new URL(URL_OF_API).origin && !["data:", "blob:"].includes(protocol)) faults.push(`another host: ${request.url()}`);
  });
  await page.addInitScript(() => {
    Object.assign(globalThis, { executed: 0, reports: [] });
    addEventListener("securitypolicyviolation", (event) => globalThis.reports.push(`${event.violatedDirective} ${event.blockedURI}`));
  });
  return { page, context, faults };
}

/** The page has no fault of its own, asked for no other host, and broke no rule of its policy. */
export async function assertClean({ page, faults }) {
  assert.deepEqual(faults, []);
  assert.deepEqual(await page.evaluate(() => globalThis.reports), []);
}

export async function axe(page) {
  await page.evaluate(AXE);
  const found = await page.evaluate(async () => {
    const { violations } = await globalThis.axe.run(document, { runOnly: ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"] });
    return violations.map((each) => `${each.id}: ${each.nodes.slice(0, 3).map((node) => `${node.target} ${node.any[0]?.message ?? node.all[0]?.message ?? node.none[0]?.message ?? ""}`).join(" | ")}`);
  });
  return found;
}

export async function visit(page, hash) {
  await page.goto(`${URL_OF_API}/console${hash}`);
  await page.locator("main h1").first().waitFor();
  await page.locator("main .skeleton").first().waitFor({ state: "detached", timeout: 15_000 }).catch(() => undefined);
}

export async function jobState(page, state, timeout = JOB_MS) {
  await page.waitForURL(/#\/jobs\/./, { timeout });
  await page.locator(".head .state", { hasText: state }).waitFor({ timeout });
}

/** Somebody with a mouse. */
export function mouse(page) {
  return {
    press: (role, name) => page.getByRole(role, { name, exact: true }).first().click(),
    fill: (name, text) => page.getByLabel(name).first().fill(text),
  };
}

/** Somebody without one: Tab leads to everything, Enter and Space do it. */
export function keyboard(page) {
  const reach = async (locator) => {
    await locator.waitFor();
    for (let count = 0; count < 120; count += 1) {
      if (await locator.evaluate((element) => element === document.activeElement)) return;
      await page.keyboard.press("Tab");
    }
    assert.fail(`no Tab leads to ${locator}`);
  };
  return {
    async press(role, name) {
      const target = page.getByRole(role, { name, exact: true }).first();
      await reach(target);
      const outline = await target.evaluate((element) => getComputedStyle(element).outlineStyle);
      assert.notEqual(outline, "none", `no visible focus on ${name}`);
      await page.keyboard.press("Enter");
    },
    async fill(name, text) {
      await reach(page.getByLabel(name).first());
      await page.keyboard.press("ControlOrMeta+A");
      await page.keyboard.type(text);
    },
  };
}

/** Call the API as the person who is logged in there. */
export async function api(page, method, path, body) {
  return page.evaluate(async ([how, where, what]) => {
    const answer = await fetch(`api/v1${where}`, { method: how, headers: { "Content-Type": "application/json" }, body: what && JSON.stringify(what) });
    return { status: answer.status, body: await answer.json().catch(() => null) };
  }, [method, path, body]);
}

export async function followJob(page, jobId, timeout = JOB_MS) {
  const end = Date.now() + timeout;
  while (Date.now() < end) {
    const { body } = await api(page, "GET", `/jobs/${jobId}`);
    if (["succeeded", "failed", "cancelled"].includes(body?.state)) return body;
    await new Promise((resolve) => setTimeout(resolve, 200));
  }
  return assert.fail(`the job ${jobId} is not over`);
}

/** Sign somebody up without the console, and log in. */
export async function member(page, login) {
  await page.goto(`${URL_OF_API}/console`);
  const accepted = await api(page, "POST", "/signup", { id: login, email: `${login}@example.com`, name: `Person ${login}`, password: PASSWORD, team: "dev" });
  if (accepted.status === 202) await followJob(page, accepted.body.job_id);
  const answer = await api(page, "POST", "/login", { id: login, password: PASSWORD });
  assert.equal(answer.status, 201, JSON.stringify(answer.body));
  await page.reload(); // the console asks who is logged in when it starts
}

/** Make an app without the console; returns its id. */
export async function makeApp(page, project, name) {
  const team = (await api(page, "GET", "/me")).body.team;
  const { projects } = (await api(page, "GET", `/project/${team}`)).body;
  const known = projects.find((each) => each.name === project) ?? (await api(page, "POST", "/project", { name: project })).body;
  const accepted = await api(page, "POST", "/app", { project_id: known.project_id, name, type: "Spring" });
  assert.equal(accepted.status, 202, JSON.stringify(accepted.body));
  await followJob(page, accepted.body.job_id);
  return accepted.body.app_id;
}

export async function fault(given) {
  const answer = await fetch(`${process.env.HARBOUR_CONTROL_URL}/faults`, { method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify(given) });
  assert.ok(answer.ok, await answer.text());
}

export async function clearFaults() {
  await fetch(`${process.env.HARBOUR_CONTROL_URL}/faults`, { method: "DELETE" });
}
