// The main path, from the sign-up to the removal: by mouse, and by keyboard alone.
import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { assertClean, jobState, keyboard, mouse, openBrowser, openPage, PASSWORD, visit } from "./support.mjs";

let browser;
before(async () => {
  browser = await openBrowser();
});
after(() => browser.close());

/** Delete the pipeline on Jenkins, as somebody does who thinks that nobody needs it. */
async function deletePipeline(name) {
  const { JENKINS_URL, JENKINS_AUTH_ID, JENKINS_AUTH_TOKEN } = process.env;
  const answer = await fetch(`${JENKINS_URL}/job/dev/job/${name}/doDelete`, { method: "POST", redirect: "manual", headers: { Authorization: `Basic ${btoa(`${JENKINS_AUTH_ID}:${JENKINS_AUTH_TOKEN}`)}` } });
  assert.ok(answer.status < 400, String(answer.status));
}

for (const [how, hands] of [["mouse", mouse], ["keyboard", keyboard]]) {
  test(`the main path by ${how}`, { timeout: 240_000 }, async () => {
    const opened = await openPage(browser);
    const { page } = opened;
    const { press, fill } = hands(page);
    const login = `path${process.env.RUN ?? ""}-${how}`;
    const app = `shop${process.env.RUN ?? ""}-${how}`;

    await visit(page, "#/signup");
    await fill("ID", login);
    await fill("Name", "Ada Lovelace");
    await fill("E-mail", `${login}@example.com`);
    await fill("Password", PASSWORD);
    await press("button", "Sign up");
    await jobState(page, "succeeded");
    await press("link", "Log in");
    await fill("ID", login);
    await fill("Password", PASSWORD);
    await press("button", "Log in");

    await press("link", "New app");
    await fill("Name", app);
    await fill("Project", `project-${how}`);
    await press("button", "Show the plan");
    await page.getByText("All of it can be made.").waitFor({ timeout: 30_000 });
    await press("button", `Create ${app}`);
    await jobState(page, "succeeded");
    await press("link", "The app");

    for (const tag of ["1.0", "2.0"]) {
      await press("button", "Build");
      await fill("Image tag", tag);
      await page.keyboard.press("Enter");
      await jobState(page, "succeeded");
      await press("link", "The app");
      await press("button", "Deploy");
      await page.locator("dialog select").waitFor();
      await page.locator("dialog").getByRole("button", { name: "Deploy" }).press("Enter");
      await jobState(page, "succeeded");
      await press("link", "The app");
    }
    await press("button", "Roll back");
    await page.locator("dialog select").waitFor();
    await page.locator("dialog").getByRole("button", { name: "Roll back" }).press("Enter");
    await jobState(page, "succeeded");
    await press("link", "The app");

    await deletePipeline(`${app}_dev`);
    await press("button", "Compare");
    await page.getByText("A repair restores them.").waitFor({ timeout: 30_000 });
    await page.locator(".diagram").getByText("missing").waitFor();
    await press("button", "Repair");
    await page.locator("dialog").getByRole("button", { name: "Repair" }).press("Enter");
    await jobState(page, "succeeded");
    await press("link", "The app");

    await press("link", "Remove");
    await page.getByText("commits").first().waitFor({ timeout: 20_000 });
    await fill(`Type ${app} to confirm`, app);
    await press("button", "Remove");
    await jobState(page, "succeeded");

    await assertClean(opened);
    await opened.context.close();
  });
}
