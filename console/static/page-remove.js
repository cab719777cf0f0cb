// The removal of an app: what goes and what stays, side by side, what people would lose, and the name to confirm.
import { html, useState } from "./view.js";
import { call } from "./api.js";
import { isOver, useJob } from "./follow.js";
import { label, t } from "./language.js";
import { useAction, useLoaded } from "./load.js";
import { Button, Field, Form, Head, Icon, Loading, Notice, Out, plain, Refusal, Section, Skeleton, upstreamTitle } from "./parts.js";
import { RemovalFound } from "./results.js";
import { go, linkTo } from "./router.js";

/** @import { Item, Preview } from "../types/api.js" */
/** @import { Place } from "./router.js" */
/** @import { Session } from "./session.js" */

/** @param {{ place: Place, session: Session }} props */
export function RemovePage({ place, session }) {
  const appId = place.path[1] ?? "";
  const known = useLoaded(async (signal) => {
    const values = { app_id: appId };
    const app = await call("show_app", { values, signal });
    const preview = /** @type {Preview} */ (await call("remove_app", { values, query: { dry_run: true }, signal }));
    return { app, preview };
  }, [appId]);
  const found = useJob(known.data?.preview.job_id);
  const [typed, setTyped] = useState("");
  const [isForGood, setForGood] = useState(false);
  const action = useAction(async (key, /** @type {string} */ confirm, /** @type {boolean} */ purge) => {
    const accepted = await call("remove_app", { values: { app_id: appId }, query: purge ? { confirm, purge } : { confirm }, key });
    go(linkTo("jobs", accepted.job_id));
  });
  const name = known.data?.app.name ?? "";
  const above = html`<a href=${linkTo("apps", appId)}>${plain(name) || t("app")}</a>`;
  return html`<${Head} title=${t("remove.title", { app: plain(name) })} name=${t("remove.start")} above=${above} />
    <${Loading} of=${known} lines=${6}>${known.data && html`
      <div class="columns">
        <${Items} title=${t("remove.goes")} icon="fail" tone="fail" items=${known.data.preview.goes} />
        <${Items} title=${t("remove.stays")} icon="ok" tone="ok" items=${known.data.preview.stays} />
      </div>
      <${Section} title=${t("remove.at_risk")}>
        ${found.problem && html`<${Refusal} problem=${found.problem} />`}
        ${found.job?.result ? html`<${RemovalFound} result=${found.job.result} />` : found.job && isOver(found.job) ? html`<${Notice} tone="wait" icon="warn" live><p>${t("remove.unknown")} <span lang="en">${plain(found.job.errors[0]?.reason)}</span></p><//>` : html`<${Skeleton} lines=${2} />`}
        <p class="hint">${isForGood ? t("remove.purged") : t("remove.kept_a_while")}</p>
      <//>
      <${Form} onSubmit=${() => !action.isBusy && typed === name && action.start(typed, isForGood)} problem=${action.problem}>
        ${session.person?.is_admin && html`<label class="check"><input type="checkbox" checked=${isForGood} onChange=${() => setForGood(!isForGood)} /> ${t("remove.for_good")}</label>`}
        <${Field} name="confirm" title=${t("remove.type", { app: plain(name) })} value=${typed} onInput=${setTyped} required problem=${action.problem} />
        <div class="buttons"><${Button} type="submit" kind="danger" busy=${action.isBusy} disabled=${typed !== name}>${t("remove.start")}<//><a class="button plain" href=${linkTo("apps", appId)}>${t("back")}</a></div>
      <//>`}<//>`;
}

/** @param {{ title: string, icon: string, tone: string, items: Item[] }} props */
function Items({ title, icon, tone, items }) {
  return html`<${Section} title=${`${title} (${items.length})`}>
    ${items.length === 0 ? html`<p class="quiet">${t("nothing")}</p>` : html`<ul class="cards">${items.map((each) => html`<li key=${each.upstream + each.kind + each.name} class=${`card tone-${tone}`}><${Icon} name=${icon} /><div><strong><${Out} to=${each.url}>${plain(each.name)}<//></strong> <span class="quiet">${upstreamTitle(each.upstream)} ${label("part", each.kind)}</span><br /><span lang="en">${plain(each.reason)}</span></div></li>`)}</ul>`}
  <//>`;
}
