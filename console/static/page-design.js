// The tokens of the design, and each component in each of its states: `#/design`.
import { html, useState } from "./view.js";
import { Problem } from "./api.js";
import { Ago, Countdown, now } from "./clock.js";
import { parseLine } from "./ansi.js";
import { Lanes } from "./lanes.js";
import { t } from "./language.js";
import { Badge, Button, Choices, Commit, Confirm, Copy, Empty, Field, Head, Icon, Notice, Out, Refusal, Section, Skeleton, Stale, State, Table } from "./parts.js";
import { Comparison, Plan, RemovalFound } from "./results.js";

const TONES = ["ok", "run", "wait", "fail", "info", "idle"];
const SIZES = ["xs", "s", "m", "l", "xl"];
const SPACES = [1, 2, 3, 4, 6, 8];
const SURFACES = ["page", "raised", "sunken", "line", "text", "quiet", "accent"];
const STATES = ["queued", "pending", "ready", "running", "waiting", "retrying", "succeeded", "failed", "cancelling", "cancelled", "skipped"];

export function DesignPage() {
  return html`<${Head} title=${t("design.title")} name=${t("design.title")} /><${Tokens} /><${Components} />`;
}

function Tokens() {
  return html`<${Section} title=${t("design.tokens")}>
    <div class="swatches">${SURFACES.map((each) => html`<div key=${each} class="swatch"><span class=${`swatch-colour surface-${each}`}></span><code>--${each}</code></div>`)}${TONES.map((each) => html`<div key=${each} class="swatch"><span class=${`swatch-colour fill tone-${each}`}></span><code>--${each}</code></div>`)}</div>
    ${SIZES.map((each) => html`<p key=${each} class=${`size-${each}`}><code>--size-${each}</code> Slipway 슬립웨이 0123456789</p>`)}
    <div class="swatches">${SPACES.map((each) => html`<div key=${each} class="swatch"><span class=${`space space-${each}`}></span><code>--space-${each}</code></div>`)}</div>
  <//>`;
}

function Components() {
  const [choice, setChoice] = useState("a");
  const [isOpen, setOpen] = useState(false);
  const soon = new Date(now() + 90_000).toISOString();
  const before = new Date(now() - 3_700_000).toISOString();
  const problem = new Problem({ status: 409, code: "busy", title: "Another job is already running for this app or user", detail: "The job build of this app is still running.", remedy: "Wait for the job in `job_id` to finish, or cancel it.", job_id: "x", request_id: "0f3a" });
  const wrong = new Problem({ status: 422, code: "invalid_fields", title: "Some fields are invalid", remedy: "Correct the fields.", errors: [{ field: "name", code: "taken", message: "An app has this name. Choose another one." }] });
  return html`
    <${Section} title="State, Badge"><p class="row">${STATES.map((each) => html`<${State} key=${each} of=${each} />`)}</p><p class="row">${TONES.map((each) => html`<${Badge} key=${each} tone=${each} icon="info">${each}<//>`)}</p><//>
    <${Section} title="Button"><p class="row"><${Button} kind="primary">primary<//><${Button}>plain<//><${Button} kind="danger">danger<//><${Button} kind="link">link<//><${Button} kind="primary" busy>busy<//><${Button} disabled>disabled<//><${Button} icon="plus">icon<//><${Copy} text="x" /></p><//>
    <${Section} title="Ago, Countdown, Commit, Out"><p class="row"><${Ago} at=${before} /><${Ago} at=${null} /><${Countdown} to=${soon} /><${Countdown} to=${before} /><${Commit} commit="9f86d081884c7d65" /><${Commit} commit=${null} /><${Out} to="https://gitlab.example.com/dev/shop">dev/shop<//><${Out} to="javascript:alert(1)">not a link<//></p><//>
    <${Section} title="Notice, Refusal, Stale, Skeleton, Empty">
      <${Notice} tone="info" icon="info"><p>Notice</p><//><${Notice} tone="ok" icon="ok"><p>Notice</p><//><${Notice} tone="wait" icon="warn"><p>Notice</p><//>
      <${Refusal} problem=${problem} retry=${() => undefined} /><${Stale} at=${now() - 70_000} retry=${() => undefined} /><${Skeleton} /><${Empty} title="Nothing here yet"><p>What to do first.</p><//><//>
    <${Section} title="Field, Choices"><div class="form"><${Field} name="a" title="Empty" required /><${Field} name="b" title="With a hint" hint="What it is for." value="text" /><${Field} name="name" title="Wrong" value="shop" required problem=${wrong} /><${Field} name="c" title="Select" options=${["one", "two"]} value="one" required /><${Field} name="d" title="Area" area /><${Choices} title="Choices" name="choice" value=${choice} options=${[{ value: "a", title: "One" }, { value: "b", title: "Two" }]} onChange=${setChoice} /></div><//>
    <${Section} title="Confirm"><${Button} onClick=${() => setOpen(true)}>…<//>${isOpen && html`<${Confirm} title="Cancel the job?" action="Cancel" kind="danger" busy=${false} onConfirm=${() => setOpen(false)} onClose=${() => setOpen(false)}><p>What it will do.</p><//>`}<//>
    <${Section} title="Lanes"><${Lanes} job=${example()} /><//>
    <${Section} title="Plan, Comparison, RemovalFound">
      <${Plan} result=${{ possible: false, steps: ["ok", "create", "adopt", "change", "differs", "wait", "conflict", "forbidden", "not reached"].map((verdict) => ({ step: `fork_source`, upstream: "gitlab", verdict, reason: "Why." })).map((each, index) => ({ ...each, step: ["fork_source", "await_source", "open_to_developers", "create_pipeline", "fork_helm", "await_helm", "register_repository", "create_application", "start_build"][index] })) }} />
      <${Comparison} result=${{ drifted: true, repairable: true, parts: [{ step: "create_pipeline", upstream: "jenkins", state: "missing", reason: "The pipeline does not exist." }, { step: "create_application", upstream: "argocd", state: "changed", reason: "PUT /api/v1/applications/shop/spec would be needed." }] }} />
      <${Comparison} result=${{ drifted: false, repairable: true, parts: [] }} />
      <${RemovalFound} result=${{ repositories: [{ name: "dev/shop", commits: 12, has_more: true, pushed_at: before, pushed_by: "ada", open_merge_requests: 2 }, { name: "dev/shop_helm", commits: 0, has_more: false, pushed_at: null, pushed_by: null, open_merge_requests: 0 }] }} /><//>
    <${Section} title="Table"><${Table} name="Table" columns=${["name", "n"]} rows=${[1, 2].map((each) => html`<tr key=${each}><td>row</td><td class="number">${each}</td></tr>`)} /><//>
    <${Section} title="Log"><div class="log"><div class="log-box short" tabindex="0" role="log" aria-label="Log"><p class="log-text">${parseLine("\u001b[32mok\u001b[0m \u001b[1;31merror\u001b[0m \u001b[33mwarning\u001b[0m \u001b[36mnote\u001b[0m <b>no markup</b> \u202egnitide").map((run, index) => html`<span key=${index} class=${run.className}>${run.text}</span>`)}</p></div></div><//>
    <${Section} title="Icon"><p class="row">${["ok", "fail", "run", "wait", "queue", "stop", "skip", "warn", "info", "pause", "out", "plus", "copy", "none", "sun"].map((each) => html`<span key=${each} class="row"><${Icon} name=${each} /> ${each}</span>`)}</p><//>`;
}

/** @returns {any} a job with a step in each state */
function example() {
  const at = (/** @type {number} */ second) => new Date(now() - 60_000 + second * 1000).toISOString();
  const step = (/** @type {string} */ name, /** @type {string} */ upstream, /** @type {string} */ state, /** @type {any[]} */ attempts, /** @type {object} */ more = {}) => ({ name, upstream, state, attempts_allowed: 12, expected_s: 30, code: null, reason: null, remedy: [], started_at: attempts[0] ? at(attempts[0][0]) : null, finished_at: ["succeeded", "failed", "skipped"].includes(state) && attempts.length ? at(attempts.at(-1)[1]) : null, attempts: attempts.map(([from, to, outcome], index) => ({ number: index + 1, outcome, polls: 0, code: null, reason: outcome === "stumbled" ? "GitLab answered 502." : null, started_at: at(from), finished_at: to === null ? null : at(to) })), ...more });
  return {
    job_id: "x", kind: "provision", title: "", state: "running", app_id: null, user: "ada", created_at: at(0), started_at: at(0), finished_at: null, version: 7, image_tag: null, result: null,
    progress: { done: 3, total: 8, remaining: { p50_s: 30, p90_s: 80 } }, errors: [], links: [],
    waiting_on: [{ step: "register_repository", upstream: "argocd", code: "outage", reason: "Argo CD does not answer; this step resumes when it does.", since: at(40), next_look_at: null }],
    lanes: [
      { name: "source", steps: [step("fork_source", "gitlab", "succeeded", [[0, 3, "stumbled"], [9, 14, "succeeded"]]), step("await_source", "gitlab", "succeeded", [[14, 38, "succeeded"]]), step("open_to_developers", "gitlab", "failed", [[38, 44, "failed"]], { code: "conflict", reason: "The branch is protected by somebody else.", remedy: ["Remove the protection, and retry the job."] }), step("create_pipeline", "jenkins", "pending", [])] },
      { name: "helm", steps: [step("fork_helm", "gitlab", "succeeded", [[0, 5, "succeeded"]]), step("await_helm", "gitlab", "skipped", [[5, 30, "failed"]], { reason: "Done by hand. (root)" }), step("register_repository", "argocd", "ready", []), step("create_application", "argocd", "pending", [])] },
    ],
  };
}
