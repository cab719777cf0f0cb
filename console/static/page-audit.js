// For administrators: who did what, and when, with filters and as CSV.
import { html, useState } from "./view.js";
import { addressOf, call } from "./api.js";
import { Ago } from "./clock.js";
import { t } from "./language.js";
import { useAction, useLoaded } from "./load.js";
import { Button, Empty, Field, Form, Head, Icon, Loading, plain, Refusal, Table } from "./parts.js";
import { linkTo } from "./router.js";

/** @import { Actions, ActionShown } from "../types/api.js" */

const PAGE = 100;
const NO_FILTER = { actor: "", action: "", object: "" };

export function AuditPage() {
  const [typed, setTyped] = useState(NO_FILTER);
  const [filter, setFilter] = useState(NO_FILTER);
  const [older, setOlder] = useState(/** @type {Actions[]} */ ([]));
  const query = /** @type {any} */ (filter);
  const known = useLoaded((signal) => call("list_actions", { query: { ...query, limit: PAGE }, signal }), [filter]);
  const more = useAction(async (_key, /** @type {string} */ cursor) => {
    const page = await call("list_actions", { query: { ...query, limit: PAGE, cursor } });
    setOlder((before) => [...before, page]);
  });
  const pages = known.data ? [known.data, ...older] : [];
  const actions = pages.flatMap((page) => page.actions);
  const next = pages.at(-1)?.next;
  const set = (/** @type {string} */ field) => (/** @type {string} */ value) => setTyped((before) => ({ ...before, [field]: value }));
  const seen = [...new Set(actions.map((each) => each.action))].sort();
  return html`<${Head} title=${t("audit.title")} name=${t("audit.title")}><span class="spacer"></span><a class="button plain" href=${addressOf("export_actions", {}, filter)} download="audit.csv">${t("audit.csv")}</a><//>
    <${Form} className="form filters" onSubmit=${() => {
      setOlder([]);
      setFilter(typed);
    }} problem=${known.problem}>
      <${Field} name="actor" title=${t("person")} value=${typed.actor} onInput=${set("actor")} problem=${known.problem} />
      <${Field} name="action" title=${t("audit.action")} value=${typed.action} onInput=${set("action")} list=${seen} problem=${known.problem} />
      <${Field} name="object" title=${t("audit.object")} value=${typed.object} onInput=${set("object")} problem=${known.problem} />
      <div class="buttons"><${Button} type="submit">${t("audit.filter")}<//></div>
    <//>
    ${(known.data || !known.problem) && html`<${Loading} of=${known} lines=${8}>
      ${actions.length === 0 ? html`<${Empty} title=${t("audit.none")} />` : html`<${Table} name=${t("audit.title")} columns=${[t("time"), t("person"), t("audit.action"), t("audit.object"), t("team"), t("reason")]} rows=${actions.map((each) => html`<${Act} key=${each.action_id} act=${each} />`)} />`}
      <${Refusal} problem=${more.problem} />
      ${next && html`<div class="buttons"><${Button} busy=${more.isBusy} onClick=${() => more.start(next)}>${t("jobs.more")}<//></div>`}
    <//>`}`;
}

/** @param {{ act: ActionShown }} props */
function Act({ act }) {
  const object = plain(act.object_name ?? act.object_id);
  return html`<tr><td><${Ago} at=${act.at} /></td>
    <td>${plain(act.actor ?? "–")} ${act.channel === "command" && html`<span class="quiet"><${Icon} name="none" />${act.channel}</span>`}</td>
    <td><code>${act.action}</code></td>
    <td><span class="quiet">${act.object_kind}</span> ${act.job_id ? html`<a href=${linkTo("jobs", act.job_id)}>${object}</a>` : object}</td>
    <td>${act.team ?? "–"}</td><td lang="en">${plain(act.reason)}</td></tr>`;
}
