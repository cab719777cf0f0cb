// The jobs of the team, newest first.
import { html, useState } from "./view.js";
import { call } from "./api.js";
import { Ago, duration, secondsBetween } from "./clock.js";
import { isOver } from "./follow.js";
import { label, t } from "./language.js";
import { useAction, useLoaded } from "./load.js";
import { Button, Choices, Empty, Head, Loading, plain, Refusal, State } from "./parts.js";
import { go, linkTo } from "./router.js";

/** @import { JobSummary } from "../types/api.js" */
/** @import { Place } from "./router.js" */

const PAGE = 100;
const EVERY_MS = 10_000;
const STATES = ["", "running", "failed", "succeeded", "cancelled"];

/** @param {{ place: Place }} props */
export function JobsPage({ place }) {
  const state = place.query.get("state") ?? "";
  const [older, setOlder] = useState(/** @type {{ jobs: JobSummary[], next: string | null } | undefined} */ (undefined));
  const newest = useLoaded((signal) => call("list_jobs", { query: /** @type {any} */ ({ limit: PAGE, state }), signal }), [state], EVERY_MS);
  const more = useAction(async (_key, /** @type {string} */ cursor) => {
    const page = await call("list_jobs", { query: /** @type {any} */ ({ limit: PAGE, state, cursor }) });
    setOlder((before) => ({ jobs: [...(before?.jobs ?? []), ...page.jobs], next: page.next }));
  });
  const known = new Set((newest.data?.jobs ?? []).map((job) => job.job_id));
  const jobs = [...(newest.data?.jobs ?? []), ...(older?.jobs ?? []).filter((job) => !known.has(job.job_id))];
  const next = older ? older.next : newest.data?.next;
  return html`<${Head} title=${t("nav.jobs")} name=${t("nav.jobs")} />
    <${Choices} title=${t("state")} name="state" value=${state} options=${STATES.map((value) => ({ value, title: value ? label("state", value) : t("any") }))} onChange=${(/** @type {string} */ value) => {
      setOlder(undefined);
      go(value ? `${linkTo("jobs")}?state=${value}` : linkTo("jobs"));
    }} />
    <${Loading} of=${newest} lines=${10}>
      ${jobs.length === 0
        ? html`<${Empty} title=${t("jobs.none")} />`
        : html`<ul class="rows job-rows">${jobs.map((job) => html`<li key=${job.job_id}><${State} of=${job.state} small /><a href=${linkTo("jobs", job.job_id)}>${label("kind", job.kind)}</a><span>${plain(job.app ?? job.subject)} <span class="quiet">${job.user ?? ""}</span></span><span class="number">${job.started_at && isOver(job) ? duration(secondsBetween(job.created_at, job.finished_at)) : ""}</span><${Ago} at=${job.created_at} /></li>`)}</ul>`}
      ${more.problem && html`<${Refusal} problem=${more.problem} />`}
      ${next && html`<div class="buttons"><${Button} busy=${more.isBusy} onClick=${() => more.start(next)}>${t("jobs.more")}<//></div>`}
    <//>`;
}
