// Results of jobs that look and change nothing: the plan of an app, a comparison, what a removal would lose.
import { html } from "./view.js";
import { Ago } from "./clock.js";
import { label, t } from "./language.js";
import { Badge, Notice, plain, Table, upstreamTitle } from "./parts.js";

/** @type {Record<string, [tone: string, icon: string]>} */
const VERDICTS = {
  ok: ["ok", "ok"],
  create: ["info", "plus"],
  adopt: ["wait", "info"],
  change: ["info", "run"],
  differs: ["wait", "warn"],
  wait: ["idle", "wait"],
  conflict: ["fail", "fail"],
  forbidden: ["fail", "fail"],
  "not reached": ["idle", "none"],
  missing: ["fail", "fail"],
  changed: ["wait", "warn"],
  foreign: ["fail", "warn"],
};

/** @param {{ of: string }} props */
export function Verdict({ of }) {
  const [tone, icon] = VERDICTS[of] ?? ["idle", "none"];
  return html`<${Badge} tone=${tone} icon=${icon}>${label("verdict", of)}<//>`;
}

/** @param {{ result: Record<string, any> }} props */
export function Plan({ result }) {
  const steps = /** @type {any[]} */ (result.steps ?? []);
  return html`<div class="result">
    <${Notice} tone=${result.possible ? "ok" : "fail"} icon=${result.possible ? "ok" : "fail"} live><p><strong>${result.possible ? t("plan.possible") : t("plan.impossible")}</strong></p><//>
    <${Table} name=${t("plan.title")} columns=${[t("step"), t("upstream"), t("plan.verdict"), t("reason")]} rows=${steps.map((each) => html`<tr key=${each.step}><td>${label("step", each.step)}</td><td>${upstreamTitle(each.upstream)}</td><td><${Verdict} of=${each.verdict} /></td><td lang="en">${plain(each.reason)}</td></tr>`)} />
  </div>`;
}

/** @param {{ result: Record<string, any> }} props */
export function Comparison({ result }) {
  const parts = /** @type {any[]} */ (result.parts ?? []);
  if (!parts.length) return html`<${Notice} tone="ok" icon="ok" live><p><strong>${t("drift.none")}</strong></p><//>`;
  return html`<div class="result">
    <${Notice} tone="wait" icon="warn" live><p><strong>${t("drift.some", { n: parts.length })}</strong> ${result.repairable ? t("drift.repairable") : t("drift.unrepairable")}</p><//>
    <${Table} name=${t("drift.title")} columns=${[t("step"), t("upstream"), t("state"), t("reason")]} rows=${parts.map((each) => html`<tr key=${each.step}><td>${label("step", each.step)}</td><td>${upstreamTitle(each.upstream)}</td><td><${Verdict} of=${each.state} /></td><td lang="en">${plain(each.reason)}</td></tr>`)} />
  </div>`;
}

/** @param {{ result: Record<string, any> }} props */
export function RemovalFound({ result }) {
  const repositories = /** @type {any[]} */ (result.repositories ?? []);
  if (!repositories.length) return html`<p class="quiet">${t("remove.no_repositories")}</p>`;
  return html`<ul class="plain-list">${repositories.map((each) => html`<li key=${each.name}>
    <strong>${plain(each.name)}</strong>
    <${Badge} tone=${each.commits ? "wait" : "idle"} icon=${each.commits ? "warn" : "none"}>${t("remove.commits", { n: `${each.commits}${each.has_more ? "+" : ""}` })}<//>
    ${each.pushed_at && html`<span class="quiet">${t("remove.pushed", { user: plain(each.pushed_by ?? "–") })} <${Ago} at=${each.pushed_at} /></span>`}
    ${each.open_merge_requests > 0 && html`<${Badge} tone="wait" icon="warn">${t("remove.requests", { n: each.open_merge_requests })}<//>`}
  </li>`)}</ul>`;
}
