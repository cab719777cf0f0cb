// For administrators: the upstreams, what failed and why, and what does not move.
import { html, useMemo, useState } from "./view.js";
import { call, choicesOf } from "./api.js";
import { Ago, Countdown, now } from "./clock.js";
import { isOver, useJob } from "./follow.js";
import { label, t } from "./language.js";
import { useAction, useLoaded } from "./load.js";
import { Button, Confirm, Field, Head, Icon, Loading, Notice, plain, Refusal, Section, State, Table, upstreamTitle } from "./parts.js";
import { linkTo } from "./router.js";

/** @import { Check, JobSummary, Retries, UpstreamShown } from "../types/api.js" */

const EVERY_MS = 5_000;
const JOBS_EVERY_MS = 20_000;
const AT_MOST = 100; // jobs of a team
const STUCK_MS = 10 * 60_000;

export function OperatePage() {
  const known = useLoaded((signal) => call("list_upstreams", { signal }), [], EVERY_MS);
  const [checkupId, setCheckupId] = useState(/** @type {string | null} */ (null));
  const checkup = useJob(checkupId);
  const start = useAction(async (key) => setCheckupId((await call("check_up", { body: {}, key })).job_id));
  const isChecking = start.isBusy || (checkup.job !== undefined && !isOver(checkup.job));
  return html`<${Head} title=${t("operate.title")} name=${t("operate.title")}><span class="spacer"></span><${Button} busy=${isChecking} onClick=${() => start.start()}>${t("operate.check")}<//><//>
    ${start.problem && html`<${Refusal} problem=${start.problem} />`}
    <${Section} title=${t("operate.upstreams")} aside=${known.data?.checked_at && html`<span class="quiet">${t("operate.checked")} <${Ago} at=${known.data.checked_at} /></span>`}>
      <${Loading} of=${known} lines=${4}><div class="grid">${known.data?.upstreams.map((each) => html`<${Upstream} key=${each.name} upstream=${each} reload=${known.reload} />`)}</div>
        <${Checks} title=${t("operate.own")} checks=${known.data?.others ?? []} />
      <//>
    <//>
    <${Troubles} />`;
}

/** @param {{ upstream: UpstreamShown, reload: () => unknown }} props */
function Upstream({ upstream, reload }) {
  const [asked, setAsked] = useState("");
  const [reason, setReason] = useState("");
  const close = () => setAsked("");
  const values = { upstream: /** @type {any} */ (upstream.name) };
  const pause = useAction(async (key, /** @type {string} */ given) => {
    await call("pause_upstream", { values, body: { reason: given }, key });
    await reload();
    close();
  });
  const resume = useAction(async (key) => {
    await call("resume_upstream", { values, body: {}, key });
    await reload();
    close();
  });
  const isHeld = upstream.state === "paused" || upstream.state === "refused";
  return html`<article class="card upstream" aria-label=${upstream.title}>
    <div class="row"><h3>${upstream.title}</h3><${State} of=${upstream.state} /><span class="spacer"></span>
      ${isHeld ? html`<${Button} onClick=${() => setAsked("resume")} name=${t("operate.resume_named", { name: upstream.title })}>${t("operate.resume")}<//>` : html`<${Button} icon="pause" onClick=${() => setAsked("pause")} name=${t("operate.pause_named", { name: upstream.title })}>${t("operate.pause")}<//>`}</div>
    ${upstream.state !== "open" && html`<p>${upstream.since && html`${t("since")} <${Ago} at=${upstream.since} /> `}${upstream.paused_by && html`(${upstream.paused_by}) `}<span lang="en">${plain(upstream.reason)}</span></p>`}
    ${upstream.remedy && html`<p lang="en"><strong>${plain(upstream.remedy)}</strong></p>`}
    ${upstream.next_look_at && html`<p>${t("job.next_look")} <${Countdown} to=${upstream.next_look_at} /></p>`}
    <dl class="facts"><dt>${t("operate.at_work")}</dt><dd><meter min="0" max=${Math.max(1, upstream.at_once)} value=${upstream.at_work} aria-label=${t("operate.at_work")}></meter> <span class="number">${upstream.at_work} / ${upstream.at_once}</span></dd>
      <dt>${t("operate.rate")}</dt><dd class="number">${upstream.calls_per_second ? t("operate.per_second", { n: upstream.calls_per_second }) : t("operate.no_limit")}</dd>
      <dt>${t("operate.parked")}</dt><dd class="number">${upstream.parked}</dd></dl>
    <${Checks} title=${t("operate.checks")} checks=${upstream.checks} />
    ${asked === "pause" && html`<${Confirm} title=${t("operate.pause_named", { name: upstream.title })} action=${t("operate.pause")} busy=${pause.isBusy} problem=${pause.problem} onConfirm=${() => pause.start(reason)} onClose=${close}>
      <p>${t("operate.pause_what")}</p><${Field} name="reason" title=${t("reason")} hint=${t("operate.pause_reason")} value=${reason} onInput=${setReason} required minlength=${3} maxlength=${500} problem=${pause.problem} /><//>`}
    ${asked === "resume" && html`<${Confirm} title=${t("operate.resume_named", { name: upstream.title })} action=${t("operate.resume")} busy=${resume.isBusy} problem=${resume.problem} onConfirm=${() => resume.start()} onClose=${close}><p>${t("operate.resume_what")}</p><//>`}
  </article>`;
}

/** @param {{ title: string, checks: Check[] }} props */
function Checks({ title, checks }) {
  if (!checks.length) return null;
  const wrong = checks.filter((each) => each.state === "wrong");
  const rows = checks.toSorted((one, other) => Number(other.state === "wrong") - Number(one.state === "wrong"));
  return html`<details open=${wrong.length > 0}><summary>${title} <${State} of=${wrong.length ? "wrong" : "well"} group="check" small /> <span class="quiet number">${checks.length - wrong.length}/${checks.length}</span></summary>
    <ul class="plain-list">${rows.map((each) => html`<li key=${each.check}><${State} of=${each.state} group="check" small /> <span lang="en">${plain(each.question)}</span>${each.state !== "well" && html`<br /><span lang="en">${plain(each.said)}</span>${each.remedy && html` <strong lang="en">${plain(each.remedy)}</strong>`}`}</li>`)}</ul></details>`;
}

// -- failed and stuck jobs ----------------------------------------------------------------------------------------

/** @typedef {{ code: string, upstream: string, reason: string, jobs: JobSummary[] }} Group */

/**
 * @param {AbortSignal} signal
 */
async function readTroubles(signal) {
  const teams = await choicesOf("Signup", "team");
  const of = async (/** @type {"failed" | "running"} */ state) => {
    const pages = await Promise.all(teams.map((team) => call("list_jobs", { query: /** @type {any} */ ({ state, team, limit: AT_MOST }), signal })));
    return pages.flatMap((page) => page.jobs).sort((one, other) => Date.parse(other.created_at) - Date.parse(one.created_at));
  };
  const [failed, running] = await Promise.all([of("failed"), of("running")]);
  const old = running.filter((job) => now() - Date.parse(job.created_at) > STUCK_MS);
  return { failed, stuck: old };
}

function Troubles() {
  const known = useLoaded(readTroubles, [], JOBS_EVERY_MS);
  const [asked, setAsked] = useState(/** @type {Group | undefined} */ (undefined));
  const groups = useMemo(() => grouped(known.data?.failed ?? []), [known.data]);
  const stuck = known.data?.stuck ?? [];
  return html`
    <${Section} title=${t("operate.failed")}><${Loading} of=${known}>
      ${groups.length === 0 ? html`<p class="quiet row"><${Icon} name="ok" /> ${t("operate.none_failed")}</p>` : groups.map((group) => html`<article key=${group.code + group.upstream} class="card group">
        <div class="row"><h3>${upstreamTitle(group.upstream)} <code>${group.code}</code></h3><span class="number quiet">${t("operate.jobs", { n: group.jobs.length })}</span><span class="spacer"></span><${Button} onClick=${() => setAsked(group)} name=${t("operate.retry_named", { code: group.code })}>${t("operate.retry")}<//></div>
        <p lang="en">${plain(group.reason)}</p>
        <ul class="rows">${group.jobs.slice(0, 5).map((job) => html`<li key=${job.job_id}><a href=${linkTo("jobs", job.job_id)}>${label("kind", job.kind)} ${plain(job.app ?? job.subject)}</a><span class="quiet">${job.user ?? "–"}</span><${Ago} at=${job.created_at} /></li>`)}</ul></article>`)}
    <//><//>
    <${Section} title=${t("operate.stuck")}><${Loading} of=${known}>
      ${stuck.length === 0 ? html`<p class="quiet row"><${Icon} name="ok" /> ${t("operate.none_stuck")}</p>` : html`<${Table} name=${t("operate.stuck")} columns=${[t("kind"), t("person"), t("since"), t("operate.waits_for")]} rows=${stuck.map((job) => html`<tr key=${job.job_id}><td><a href=${linkTo("jobs", job.job_id)}>${label("kind", job.kind)} ${plain(job.app ?? job.subject)}</a></td><td>${job.user ?? "–"}</td><td><${Ago} at=${job.created_at} /></td><td lang="en">${job.waiting_on.map((each) => `${upstreamTitle(each.upstream)}: ${plain(each.reason)}`).join(" ") || "–"}</td></tr>`)} />`}
    <//><//>
    ${asked && html`<${RetryAll} group=${asked} onClose=${() => {
      setAsked(undefined);
      void known.reload();
    }} />`}`;
}

/**
 * @param {JobSummary[]} jobs
 * @returns {Group[]}
 */
function grouped(jobs) {
  /** @type {Map<string, Group>} */
  const groups = new Map();
  for (const job of jobs) {
    for (const error of job.errors) {
      const key = `${error.code} ${error.upstream}`;
      const group = groups.get(key) ?? { code: error.code ?? "", upstream: error.upstream, reason: error.reason ?? "", jobs: [] };
      if (!group.jobs.includes(job)) group.jobs.push(job);
      groups.set(key, group);
    }
  }
  return [...groups.values()].sort((one, other) => other.jobs.length - one.jobs.length);
}

/**
 * Retry every failed job with a code: what would be retried comes first.
 * @param {{ group: Group, onClose: () => void }} props
 */
function RetryAll({ group, onClose }) {
  const preview = useLoaded((signal) => call("retry_jobs", { body: { code: group.code, dry_run: true, limit: 100 }, signal }), [group.code]);
  const [done, setDone] = useState(/** @type {Retries | undefined} */ (undefined));
  const action = useAction(async (key) => setDone(await call("retry_jobs", { body: { code: group.code, limit: 100 }, key })));
  const shown = done ?? preview.data;
  const count = shown?.retried.length ?? 0;
  return html`<${Confirm} title=${t("operate.retry_title", { code: group.code })} action=${done ? t("operate.retried") : t("operate.retry_n", { n: count })} busy=${action.isBusy} disabled=${!count || done !== undefined} problem=${action.problem} onConfirm=${() => action.start()} onClose=${onClose}>
    <${Loading} of=${preview} lines=${3}>
      ${done ? html`<${Notice} tone="ok" icon="ok" live><p>${t("operate.retry_done", { n: count })}</p><//>` : html`<p>${t("operate.retry_what", { n: count })}</p>`}
      ${shown && shown.refused.length > 0 && html`<p>${t("operate.refused")}</p><ul class="plain-list">${shown.refused.map((each) => html`<li key=${each.job_id}><a href=${linkTo("jobs", each.job_id)}>${each.job_id.slice(0, 8)}</a> <code>${each.code}</code> <span lang="en">${plain(each.reason)}</span></li>`)}</ul>`}
      ${shown?.more && html`<p class="quiet">${t("operate.more")}</p>`}
    <//>
  <//>`;
}
