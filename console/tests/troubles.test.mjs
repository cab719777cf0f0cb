// What goes wrong outside is shown soon and clearly, and nothing is lost or shown twice.
import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { api, assertClean, clearFaults, fault, followJob, makeApp, member, openBrowser, openPage, URL_OF_API, visit } from "./support.mjs";

let browser;
let appId;
let cookies;
before(async () => {
  browser = await openBrowser();
  const opened = await openPage(browser);
  await member(opened.page, process.env.ADMIN ?? "head");
  appId = await makeApp(opened.page, "troubles", `trouble-shop${process.env.RUN ?? ""}`);
  cookies = await opened.context.cookies();
  await opened.context.close();
});
after(async () => {
  await clearFaults();
  await browser.close();
});

test("while Jenkins is down, home says so and the job counts down, and goes on by itself", { timeout: 120_000 }, async () => {
  const opened = await openPage(browser, { cookies });
  const { page } = opened;
  await visit(page, "#/");
  await fault({ upstream: "jenkins", kind: "reset" });
  const { body } = await api(page, "POST", `/app/${appId}/builds`, {});
  await visit(page, `#/jobs/${body.job_id}`);
  await page.locator(".why-waiting").first().waitFor({ timeout: 20_000 });
  await visit(page, "#/");
  await page.locator(".notice", { hasText: "Jenkins" }).waitFor({ timeout: 30_000 });
  await clearFaults();
  assert.equal((await followJob(page, body.job_id, 60_000)).state, "succeeded");
  await opened.context.close();
});

test("after a lost connection no event is lost or shown twice", { timeout: 120_000 }, async () => {
  const opened = await openPage(browser, { cookies });
  const { page } = opened;
  await visit(page, "#/");
  const { body } = await api(page, "POST", `/app/${appId}/builds`, {});
  await visit(page, `#/jobs/${body.job_id}`);
  for (let round = 0; round < 3; round += 1) {
    await opened.context.setOffline(true);
    await page.waitForTimeout(300);
    await opened.context.setOffline(false);
    await page.waitForTimeout(300);
  }
  const job = await followJob(page, body.job_id);
  await page.locator(".head .state", { hasText: "succeeded" }).waitFor({ timeout: 60_000 });
  await page.locator("details summary", { hasText: "Events" }).click();
  const shown = () => page.locator("tr[data-event]").evaluateAll((rows) => rows.map((row) => Number(row.dataset.event)).reverse());
  await page.waitForFunction((last) => Number(document.querySelector("tr[data-event]")?.dataset.event) === last, job.version, { timeout: 30_000 });
  const stream = await page.evaluate(async (id) => (await fetch(`api/v1/jobs/${id}/events`)).text(), body.job_id);
  const sent = [...stream.matchAll(/^id: ?(\d+)$/gm)].map((match) => Number(match[1]));
  assert.deepEqual(await shown(), sent);
  await opened.context.close();
});

test("a log-out in one tab ends the other", { timeout: 60_000 }, async () => {
  const opened = await openPage(browser);
  await member(opened.page, `two-tabs${process.env.RUN ?? ""}`);
  const other = await opened.context.newPage();
  await visit(opened.page, "#/");
  await visit(other, "#/account");
  await opened.page.getByRole("button", { name: "Log out" }).click();
  await other.getByRole("heading", { name: "Log in" }).waitFor({ timeout: 5_000 });
  await opened.context.close();
});

test("hostile texts are shown and never run", { timeout: 120_000 }, async () => {
  const opened = await openPage(browser, { cookies });
  const { page } = opened;
  const evil = `<img src=x onerror="executed=1"><script>executed=1</script>\u202egnp.exe`;
  const lines = Array.from({ length: 200_000 }, (_, number) => `\u001b[3${number % 8}mline ${number}\u001b[0m ${evil}`);
  lines.splice(3, 0, "x".repeat(1_000_000), "\u001b]8;;javascript:executed=1\u0007link\u001b]8;;\u0007\u001b[2J");
  const text = lines.join("\n");
  await page.goto(`${URL_OF_API}/console`);
  const jobId = (await api(page, "GET", `/jobs?app_id=${appId}&kind=build&limit=1`)).body.jobs[0].job_id;
  await page.route(/\/jobs\/[^/]+\/log/, (route) => route.fulfill({ json: { text, start: 0, next_start: text.length, more: false, truncated: false } }));
  await page.route(/\/jobs\/[^/]+$/, async (route) => {
    const job = await (await route.fetch()).json();
    job.lanes[0].steps[0] = { ...job.lanes[0].steps[0], state: "failed", reason: evil, remedy: [evil], code: evil };
    job.links = [{ upstream: "gitlab", kind: evil, name: evil, url: "javascript:executed=1" }];
    job.user = evil;
    job.image_tag = evil;
    await route.fulfill({ json: job });
  });
  await visit(page, `#/jobs/${jobId}`);
  await page.locator(".log-line").first().waitFor({ timeout: 30_000 });
  await page.getByLabel("Search the console").fill("line 199999");
  await page.getByLabel("Search the console").press("Enter");
  await page.locator(".log-line.found").first().waitFor();
  assert.ok((await page.locator(".log-line").count()) < 200, "only lines in sight are in the page");
  assert.equal(await page.evaluate(() => globalThis.executed), 0);
  assert.equal(await page.locator("main img, main script, main a[href^='javascript']").count(), 0);
  await assertClean(opened);
  await opened.context.close();
});
