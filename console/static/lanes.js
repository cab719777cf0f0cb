// The lanes of a job as bars on one time axis: attempts are segments, waits are hatched and say why and how long.
import { html, useMemo } from "./view.js";
import { absolute, Ago, Countdown, duration, secondsBetween, useNow } from "./clock.js";
import { isOver } from "./follow.js";
import { label, t } from "./language.js";
import { Icon, plain, State, toneOf, upstreamTitle } from "./parts.js";

/** @import { JobShown, LaneShown, StepShown, WaitingOn } from "../types/api.js" */

/** @typedef {{ from: number, to: number, tone: string, kind: "work" | "wait" | "hope", text: string }} Segment */
/** @typedef {{ from: number, to: number, at: (moment: number) => number }} Axis */

const NICE_S = [1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1_800, 3_600, 7_200, 14_400, 28_800, 86_400];
const TICKS = 5;
const LAST_TICK = 0.94; // further right, its text would be cut
const REFRESH_MS = 250; // bars of what runs grow
const LEAST_MS = 3_000; // the axis of a job that has just begun

/**
 * @param {{ job: JobShown, onStep?: (step: StepShown) => any }} props `onStep` returns actions for a failed step
 */
export function Lanes({ job, onStep }) {
  const current = useNow(isOver(job) ? 0 : REFRESH_MS);
  const axis = axisOf(job, current);
  return html`<div class="lanes">
    <${Ruler} axis=${axis} />
    ${job.lanes.map((lane) => html`<${Lane} key=${lane.name} lane=${lane} job=${job} axis=${axis} current=${current} onStep=${onStep} />`)}
  </div>`;
}

/**
 * @param {{ lane: LaneShown, job: JobShown, axis: Axis, current: number, onStep?: (step: StepShown) => any }} props
 */
function Lane({ lane, job, axis, current, onStep }) {
  const done = lane.steps.filter((step) => step.state === "succeeded" || step.state === "skipped").length;
  const names = new Set(lane.steps.map((step) => step.name));
  const waits = job.waiting_on.filter((wait) => names.has(wait.step));
  return html`<section class="lane" aria-label=${t("job.lane", { name: label("lane", lane.name) })}>
    <div class="lane-head">
      <h3>${label("lane", lane.name)}</h3>
      <${State} of=${waits.length ? "waiting" : stateOf(lane)} small />
      <span class="quiet number">${done}/${lane.steps.length}</span>
      ${waits.map((wait) => html`<${Wait} key=${wait.step} wait=${wait} />`)}
    </div>
    <ol>${lane.steps.map((step) => html`<${Step} key=${step.name} step=${step} wait=${waits.find((each) => each.step === step.name)} axis=${axis} current=${current} actions=${onStep?.(step)} />`)}</ol>
  </section>`;
}

/**
 * @param {{ step: StepShown, wait?: WaitingOn, axis: Axis, current: number, actions?: any }} props
 */
function Step({ step, wait, axis, current, actions }) {
  const segments = segmentsOf(step, wait, current);
  const polls = step.attempts.at(-1)?.polls ?? 0;
  const count = step.attempts.length;
  const isLimited = step.attempts_allowed !== null && count > 1;
  return html`<li class=${`step step-${step.state}`}>
    <div class="step-name"><span class=${`tone-${toneOf(step.state)} step-icon`}><${StepIcon} state=${step.state} /></span>
      <span>${label("step", step.name)}</span> <span class="quiet">${upstreamTitle(step.upstream)}</span></div>
    <div class="track" role="img" aria-label=${spoken(step, segments)}>
      ${segments.map((each, index) => html`<span key=${index} class=${`segment ${each.kind} tone-${each.tone}`} title=${each.text}
        style=${{ left: `${axis.at(each.from)}%`, width: `${Math.max(0, axis.at(each.to) - axis.at(each.from))}%` }}></span>`)}
    </div>
    <div class="step-time number">${timeOf(step, current)}${isLimited && html` <span class="quiet" title=${t("job.attempts")}>${count}/${step.attempts_allowed}</span>`}${polls > 1 && html` <span class="quiet" title=${t("job.polls")}>${t("job.polled", { n: polls })}</span>`}</div>
    ${step.state === "failed" && html`<div class="step-said tone-fail">
      <p lang="en"><strong>${plain(step.reason)}</strong></p>
      ${step.remedy.length > 0 && html`<ul lang="en">${step.remedy.map((each) => html`<li key=${each}>${plain(each)}</li>`)}</ul>`}
      <p class="row">${actions}${step.code && html`<code>${step.code}</code>`}</p>
    </div>`}
    ${step.state === "skipped" && step.reason && html`<div class="step-said"><p class="quiet" lang="en">${plain(step.reason)}</p></div>`}
  </li>`;
}

/** @param {{ wait: WaitingOn }} props */
function Wait({ wait }) {
  return html`<p class="why-waiting"><${Icon} name="wait" />
    <span lang="en">${plain(wait.reason) || label("wait", wait.code ?? "poll")}</span>
    ${wait.since && html`<span class="quiet">${t("since")} <${Ago} at=${wait.since} /></span>`}
    <span class="number">${wait.next_look_at ? html`${t("job.next_look")} <${Countdown} to=${wait.next_look_at} />` : html`<span class="quiet">${t("job.resumes")}</span>`}</span></p>`;
}

/** @param {{ state: string }} props */
function StepIcon({ state }) {
  /** @type {Record<string, string>} */
  const icons = { succeeded: "ok", failed: "fail", running: "run", waiting: "wait", retrying: "wait", ready: "queue", skipped: "skip", cancelled: "stop" };
  return html`<${Icon} name=${icons[state] ?? "none"} /><span class="sr">${label("state", state)}</span>`;
}

/** @param {{ axis: Axis }} props */
function Ruler({ axis }) {
  const lengthS = (axis.to - axis.from) / 1000;
  const everyS = NICE_S.find((each) => lengthS / each <= TICKS) ?? Math.ceil(lengthS / TICKS / 86_400) * 86_400;
  const ticks = Array.from({ length: Math.floor(lengthS / everyS) + 1 }, (_, index) => index * everyS).filter((second) => second < lengthS * LAST_TICK);
  return html`<div class="ruler" aria-hidden="true"><span class="step-name"></span><div class="track">${ticks.map((second) => html`<span key=${second} class="tick number" style=${{ left: `${axis.at(axis.from + second * 1000)}%` }}>${second ? duration(second) : "0"}</span>`)}</div><span class="step-time"></span></div>`;
}

/**
 * @param {JobShown} job
 * @param {number} current
 * @returns {Axis}
 */
export function axisOf(job, current) {
  const from = Date.parse(job.created_at);
  const remaining = job.progress.remaining ? job.progress.remaining.p50_s * 1000 : 0;
  const ends = job.lanes.flatMap((lane) => lane.steps).map((step) => (step.finished_at ? Date.parse(step.finished_at) : 0));
  const last = isOver(job) ? Math.max(job.finished_at ? Date.parse(job.finished_at) : from, ...ends) : current + Math.max(remaining, (current - from) * 0.05);
  const to = Math.max(last, from + (isOver(job) ? 1 : LEAST_MS));
  return { from, to, at: (moment) => (100 * (Math.min(Math.max(moment, from), to) - from)) / (to - from) };
}

/**
 * Return what a step did, in the order of time: its attempts, the waits between them, and what it waits for now.
 * @param {StepShown} step
 * @param {WaitingOn | undefined} wait
 * @param {number} current
 * @returns {Segment[]}
 */
export function segmentsOf(step, wait, current) {
  /** @type {Segment[]} */
  const found = [];
  let last = 0;
  const isWaiting = step.state === "waiting" || step.state === "retrying" || (wait !== undefined && step.state !== "running");
  step.attempts.forEach((attempt) => {
    const from = Date.parse(attempt.started_at);
    if (last && from > last) found.push({ from: last, to: from, kind: "wait", tone: "wait", text: t("job.paused_between", { time: duration((from - last) / 1000) }) });
    const isOpen = attempt.finished_at === null;
    const to = isOpen ? current : Date.parse(attempt.finished_at ?? "");
    const outcome = attempt.outcome ?? (isWaiting ? "waiting" : "running");
    const said = [t("job.attempt", { n: attempt.number }), label("state", outcome), duration((to - from) / 1000), plain(attempt.reason)];
    const kind = (isOpen && isWaiting) || attempt.polls > 0 ? "wait" : "work";
    found.push({ from, to, kind, tone: isOpen ? (isWaiting ? "wait" : "run") : toneOf(outcome), text: said.filter(Boolean).join(" · ") });
    last = to;
  });
  if (isWaiting && last < current) {
    const from = last || (wait?.since ? Date.parse(wait.since) : current);
    if (from < current) found.push({ from, to: current, kind: "wait", tone: "wait", text: plain(wait?.reason ?? step.reason) });
  }
  return found;
}

/**
 * @param {StepShown} step
 * @param {number} current
 */
function timeOf(step, current) {
  if (!step.started_at) return step.expected_s ? `~${duration(step.expected_s)}` : "";
  return duration(((step.finished_at ? Date.parse(step.finished_at) : current) - Date.parse(step.started_at)) / 1000);
}

/**
 * Say a track for those who do not see it.
 * @param {StepShown} step
 * @param {Segment[]} segments
 */
function spoken(step, segments) {
  if (!segments.length) return label("state", step.state);
  return segments.map((each) => each.text).join("; ");
}

/**
 * Return the state of a lane: of the step that decides it.
 * @param {LaneShown} lane
 */
export function stateOf(lane) {
  const states = lane.steps.map((step) => step.state);
  if (states.every((each) => each === "succeeded" || each === "skipped")) return "succeeded";
  /** @type {import("../types/api.js").StepState[]} */
  const order = ["failed", "retrying", "waiting", "running", "cancelled", "ready"];
  const decisive = order.find((each) => states.includes(each)) ?? "pending";
  return decisive === "ready" && states.includes("succeeded") ? "running" : decisive;
}

/**
 * The time that is left, or that a job took.
 * @param {{ job: JobShown }} props
 */
export function TimeLeft({ job }) {
  useNow(isOver(job) ? 0 : 1_000);
  const arrived = useMemo(() => Date.now(), [job.version]);
  if (isOver(job)) {
    return job.finished_at && html`<span class="number" title=${absolute(job.finished_at)}>${t("job.took", { time: duration(secondsBetween(job.created_at, job.finished_at)) })}</span>`;
  }
  const left = job.progress.remaining;
  if (!left) return html`<span class="number">${t("job.since_start", { time: duration(secondsBetween(job.created_at)) })}</span>`;
  const passed = (Date.now() - arrived) / 1000;
  if (left.p50_s <= passed) return html`<span class="number">${t("job.longer", { time: duration(secondsBetween(job.created_at)) })}</span>`;
  return html`<span class="number" title=${t("job.p90", { time: duration(left.p90_s) })}>${t("job.left", { time: duration(left.p50_s - passed) })}</span>`;
}
