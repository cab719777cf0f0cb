// Every page in both schemes and both languages: nothing that axe objects to, and nothing too wide for 360 px.
import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { api, assertClean, axe, followJob, makeApp, member, openBrowser, openPage, visit } from "./support.mjs";

let browser;
let cookies;
/** @type {Record<string, string>} */
const pages = { design: "#/design", home: "#/", new: "#/new", jobs: "#/jobs", account: "#/account", operate: "#/operate", people: "#/people", audit: "#/audit" };
const VISITORS = { login: "#/login", signup: "#/signup", reset: "#/reset" };

before(async () => {
  browser = await openBrowser();
  const opened = await openPage(browser);
  await member(opened.page, process.env.ADMIN ?? "head");
  const appId = await makeApp(opened.page, "pages", `page-shop${process.env.RUN ?? ""}`);
  const build = (await api(opened.page, "POST", `/app/${appId}/builds`, {})).body.job_id;
  await followJob(opened.page, build);
  Object.assign(pages, { app: `#/apps/${appId}`, remove: `#/apps/${appId}/remove`, build: `#/jobs/${build}`, creation: `#/jobs/${(await api(opened.page, "GET", `/jobs?app_id=${appId}&kind=provision`)).body.jobs[0].job_id}` });
  cookies = await opened.context.cookies();
  await opened.context.close();
});
after(() => browser.close());

for (const language of ["en", "ko"]) {
  for (const scheme of /** @type {const} */ (["light", "dark"])) {
    test(`pages in ${language}, ${scheme}`, { timeout: 180_000 }, async () => {
      /** @type {Record<string, string[]>} */
      const found = {};
      for (const [who, places] of [["visitor", VISITORS], ["administrator", pages]]) {
        const opened = await openPage(browser, { scheme, language, cookies: who === "visitor" ? [] : cookies });
        for (const [name, hash] of Object.entries(places)) {
          await opened.page.setViewportSize({ width: 1280, height: 800 });
          await visit(opened.page, hash);
          const violations = await axe(opened.page);
          if (violations.length) found[name] = violations;
          await opened.page.setViewportSize({ width: 360, height: 740 });
          const width = await opened.page.evaluate(() => document.documentElement.scrollWidth);
          if (width > 360) (found[name] ??= []).push(`${width} px wide`);
        }
        await assertClean(opened);
        await opened.context.close();
      }
      assert.deepEqual(found, {});
    });
  }
}
