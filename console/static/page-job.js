// A job: its lanes, what it waits for, what failed and what can be done, its console and its events.
import { html, useMemo, useState } from "./view.js";
import { call } from "./api.js";
import { Ago } from "./clock.js";
import { ConsoleLog } from "./console-log.js";
import { isOver, useJob } from "./follow.js";
import { label, t } from "./language.js";
import { Lanes, TimeLeft } from "./lanes.js";
import { useAction } from "./load.js";
import { Announced, Button, Commit, Confirm, Field, Head, Notice, Out, plain, Refusal, Section, Skeleton, State, Table, upstreamTitle } from "./parts.js";
import { Comparison, Plan, RemovalFound } from "./results.js";
import { go, linkTo, replace } from "./router.js";

/** @import { JobShown, JobEvent, StepShown } from "../types/api.js" */
/** @import { Session } from "./session.js" */
/** @import { Place } from "./router.js" */

/**
 * @param {{ place: Place, session: Session }} props
 */
export function JobPage({ place, session }) {
  const jobId = place.path[1] ?? "";
  const [round, setRound] = useState(0);
  const followed = useJob(jobId, round);
  const { job, problem } = followed;
  if (!job) {
    return html`<${Head} title=${t("job.title")} name=${t("job.title")} />${problem ? html`<${Refusal} problem=${problem} retry=${() => setRound(round + 1)} />` : html`<${Skeleton} lines=${8} />`}`;
  }
  return html`<${Shown} key=${jobId} job=${job} followed=${followed} place=${place} session=${session} again=${() => setRound(round + 1)} />`;
}

/**
 * @param {{ job: JobShown, followed: import("./follow.js").Followed, place: Place, session: Session, again: () => void }} props
 */
function Shown({ job, followed, place, session, again }) {
  const [asked, setAsked] = useState(/** @type {{ what: "retry" | "cancel" | "skip", step?: StepShown } | undefined} */ (undefined));
  const isAdmin = session.person?.is_admin ?? false;
  const mayAct = Boolean(session.person) || job.kind === "signup";
  const above = job.app_id ? html`<a href=${linkTo("apps", job.app_id)}>${t("job.of_app")}</a>` : html`<a href=${linkTo("jobs")}>${t("nav.jobs")}</a>`;
  const close = () => setAsked(undefined);
  const onStep = (/** @type {StepShown} */ step) => (step.state === "failed" && isAdmin ? html`<${Button} icon="skip" onClick=${() => setAsked({ what: "skip", step })}>${t("job.skip")}<//>` : null);
  return html`
    <${Head} name=${`${label("kind", job.kind)} ${plain(job.app)} – ${label("state", job.state)}`} above=${session.person ? above : null}
      title=${html`${label("kind", job.kind)}${job.app && ` ${plain(job.app)}`}${job.image_tag && html` <code>${job.image_tag}</code>`}`}>
      <${State} of=${job.state} />
      <span class="spacer"></span>
      ${mayAct && job.state === "failed" && html`<${Button} kind="primary" onClick=${() => setAsked({ what: "retry" })}>${t("job.retry")}<//>`}
      ${session.person && !isOver(job) && job.state !== "cancelling" && html`<${Button} kind="danger" onClick=${() => setAsked({ what: "cancel" })}>${t("job.cancel")}<//>`}
    <//>
    <p class="facts-line">
      <span>${t("job.started_by", { user: job.user ?? "–" })}</span>
      <span><${Ago} at=${job.created_at} /></span>
      <span><${TimeLeft} job=${job} /></span>
      <span class="number">${t("job.steps", { done: job.progress.done, total: job.progress.total })}</span>
      <${Connection} by=${followed.by} />
    </p>
    <${Progress} job=${job} />
    <${Announced} text=${`${label("kind", job.kind)}: ${label("state", job.state)}. ${job.waiting_on.map((each) => each.reason).join(" ")}`} />
    ${followed.problem && html`<${Refusal} problem=${followed.problem} retry=${again} />`}
    <${Outcome} job=${job} session=${session} />
    <${Section} title=${t("job.lanes")}><${Lanes} job=${job} onStep=${onStep} /><//>
    ${job.kind === "build" && session.person && html`<${Section} title=${t("log.title")}><${ConsoleLog} jobId=${job.job_id} line=${Number(place.query.get("line")) || undefined} onLine=${(/** @type {number} */ line) => replace(`${linkTo("jobs", job.job_id)}?line=${line}`)} /><//>`}
    ${job.links.length > 0 && html`<${Section} title=${t("job.links")}><ul class="plain-list">${job.links.map((link) => html`<li key=${link.url + link.kind}><span class="quiet">${upstreamTitle(link.upstream)}${link.name !== job.job_id && ` ${label("part", link.kind)}`}</span> <${Out} to=${link.url}>${link.name === job.job_id ? label("part", link.kind) : plain(link.name)}<//></li>`)}</ul><//>`}
    <${Interventions} job=${job} />
    <${Events} events=${followed.events} />
    ${asked?.what === "retry" && html`<${Retry} job=${job} onClose=${close} onDone=${again} />`}
    ${asked?.what === "cancel" && html`<${Cancel} job=${job} onClose=${close} onDone=${again} />`}
    ${asked?.what === "skip" && asked.step && html`<${Skip} job=${job} step=${asked.step} onClose=${close} onDone=${again} />`}`;
}

/** @param {{ job: JobShown }} props */
function Progress({ job }) {
  const { done, total } = job.progress;
  return html`<progress class=${`progress state-${job.state}`} value=${done} max=${Math.max(1, total)} aria-label=${t("job.steps", { done, total })}></progress>`;
}

/** @param {{ by: string }} props */
function Connection({ by }) {
  if (by === "over") return null;
  return html`<span class=${`connection connection-${by}`} role="status">${label("connection", by)}</span>`;
}

/** What came of a job, where its kind has more to say than its state. */
function Outcome(/** @type {{ job: JobShown, session: Session }} */ { job, session }) {
  const result = job.result;
  if (job.kind === "signup" && !session.person) {
    if (job.state === "succeeded") return html`<${Notice} tone="ok" icon="ok" live><p><strong>${t("signup.done")}</strong> <a class="button primary" href=${linkTo("login")}>${t("login.title")}</a></p><//>`;
    if (!isOver(job)) return html`<${Notice} tone="info" icon="info"><p>${t("signup.running")}</p><//>`;
  }
  if (!result) return null;
  switch (job.kind) {
    case "build":
      return html`<dl class="facts"><dt>${t("build.commit")}</dt><dd><${Commit} commit=${result.commit} /></dd><dt>${t("build.image")}</dt><dd><code>${plain(result.image ?? "–")}</code></dd></dl>`;
    case "deploy":
      return html`<dl class="facts"><dt>${t("deploy.revision")}</dt><dd><${Commit} commit=${result.revision} /></dd><dt>${t("build.image")}</dt><dd>${(result.images ?? []).map((/** @type {string} */ each) => html`<code key=${each}>${plain(each)}</code> `)}</dd></dl>`;
    case "drift":
      return html`<${Comparison} result=${result} />`;
    case "plan":
      return html`<${Plan} result=${result} />`;
    case "removal_preview":
      return html`<${RemovalFound} result=${result} />`;
    case "deprovision":
      return html`<${Removed} result=${result} />`;
    case "checkup":
      return html`<p class="row"><a href=${linkTo("operate")}>${t("operate.title")}</a></p>`;
    default:
      return null;
  }
}

/** @param {{ result: Record<string, any> }} props */
function Removed({ result }) {
  const remains = /** @type {any[]} */ (result.remains ?? []);
  return html`<dl class="facts"><dt>${t("remove.removed")}</dt><dd>${(result.removed ?? []).map(plain).join(", ") || "–"}</dd>
    <dt>${t("remove.kept")}</dt><dd>${(result.kept ?? []).map(plain).join(", ") || "–"}</dd>
    ${remains.length > 0 && html`<dt>${t("remove.remains")}</dt><dd>${remains.map((each) => html`<div key=${each.name}><${Out} to=${each.url}>${plain(each.name)}<//> ${each.until && html`<span class="quiet">${t("until")} ${each.until}</span>`}</div>`)}</dd>`}</dl>`;
}

/** @param {{ job: JobShown }} props */
function Interventions({ job }) {
  if (!job.interventions.length) return null;
  return html`<${Section} title=${t("job.interventions")}><ul class="plain-list">${job.interventions.map((each) => html`<li key=${each.at}><strong>${plain(each.user ?? each.channel)}</strong> ${label("action", each.action)}${each.step && html` <em>${label("step", each.step)}</em>`} <${Ago} at=${each.at} />${each.reason && html` <q lang="en">${plain(each.reason)}</q>`}</li>`)}</ul><//>`;
}

/** @param {{ events: JobEvent[] }} props */
function Events({ events }) {
  const newest = useMemo(() => [...events].reverse(), [events]);
  return html`<details class="section"><summary><h2>${t("job.events")}</h2> <span class="quiet number">${events.length}</span></summary>
    <${Table} name=${t("job.events")} columns=${["#", t("time"), t("step"), t("state"), t("reason")]} rows=${newest.flatMap((event) => (event.steps.length ? event.steps : [null]).map((step, index) => html`<tr key=${`${event.number}.${index}`} data-event=${index === 0 ? event.number : undefined}>
      <td class="number">${event.number}</td><td><${Ago} at=${event.at} /></td><td>${step ? label("step", step.name) : t("job.title")}</td><td><${State} of=${step ? step.state : event.state} small /></td><td lang="en">${plain(step?.reason)}</td></tr>`))} />
  </details>`;
}

// -- what people can do: each says what it will do before it does it -----------------------------------------------

/**
 * @param {{ job: JobShown, onClose: () => void, onDone: () => void }} props
 */
function Retry({ job, onClose, onDone }) {
  const [password, setPassword] = useState("");
  const failed = job.lanes.flatMap((lane) => lane.steps.filter((step) => step.state === "failed"));
  const action = useAction(async (key, /** @type {string} */ given) => {
    await call("retry_job", { values: { job_id: job.job_id }, body: given ? { password: given } : {}, key });
    onDone();
    onClose();
  });
  const needsPassword = action.problem?.code === "password_needed" || password !== "" || action.problem?.errors.some((each) => each.field === "password");
  return html`<${Confirm} title=${t("job.retry_title")} action=${t("job.retry")} busy=${action.isBusy} problem=${action.problem} onConfirm=${() => action.start(password)} onClose=${onClose}>
    <p>${t("job.retry_what")}</p>
    <ul>${failed.map((step) => html`<li key=${step.name}><strong>${label("step", step.name)}</strong> <span class="quiet">${upstreamTitle(step.upstream)}</span>${step.reason && html`: <span lang="en">${plain(step.reason)}</span>`}</li>`)}</ul>
    ${needsPassword && html`<${Field} name="password" type="password" title=${t("password")} hint=${t("job.retry_password")} value=${password} onInput=${setPassword} required autocomplete="current-password" problem=${action.problem} />`}
  <//>`;
}

/**
 * @param {{ job: JobShown, onClose: () => void, onDone: () => void }} props
 */
function Cancel({ job, onClose, onDone }) {
  const action = useAction(async (key) => {
    await call("cancel_job", { values: { job_id: job.job_id }, body: {}, key });
    onDone();
    onClose();
  });
  const steps = job.lanes.flatMap((lane) => lane.steps);
  const made = steps.filter((step) => step.state === "succeeded");
  const left = steps.filter((step) => ["pending", "ready", "waiting", "retrying"].includes(step.state));
  return html`<${Confirm} title=${t("job.cancel_title")} action=${t("job.cancel")} kind="danger" busy=${action.isBusy} problem=${action.problem} onConfirm=${() => action.start()} onClose=${onClose}>
    <p>${job.kind === "build" ? t("job.cancel_build") : t("job.cancel_what")}</p>
    ${left.length > 0 && html`<p>${t("job.cancel_left")}</p><ul>${left.map((step) => html`<li key=${step.name}>${label("step", step.name)}</li>`)}</ul>`}
    ${made.length > 0 && html`<p class="quiet">${t("job.cancel_made", { steps: made.map((step) => label("step", step.name)).join(", ") })}</p>`}
  <//>`;
}

/**
 * @param {{ job: JobShown, step: StepShown, onClose: () => void, onDone: () => void }} props
 */
function Skip({ job, step, onClose, onDone }) {
  const [reason, setReason] = useState("");
  const action = useAction(async (key, /** @type {string} */ given) => {
    await call("skip_step", { values: { job_id: job.job_id, step: step.name }, body: { reason: given }, key });
    onDone();
    onClose();
  });
  const lane = job.lanes.find((each) => each.steps.some((other) => other.name === step.name));
  const next = lane?.steps[lane.steps.findIndex((each) => each.name === step.name) + 1];
  return html`<${Confirm} title=${t("job.skip_title", { step: label("step", step.name) })} action=${t("job.skip")} busy=${action.isBusy} problem=${action.problem} onConfirm=${() => action.start(reason)} onClose=${onClose}>
    <p>${t("job.skip_what")} ${next ? t("job.skip_next", { step: label("step", next.name) }) : t("job.skip_last")}</p>
    <${Field} name="reason" title=${t("reason")} hint=${t("job.skip_reason")} value=${reason} onInput=${setReason} required minlength=${3} maxlength=${500} area problem=${action.problem} />
  <//>`;
}

/**
 * Go to the job that a call has accepted.
 * @param {{ job_id: string }} accepted
 */
export function followAccepted(accepted) {
  go(linkTo("jobs", accepted.job_id));
}
