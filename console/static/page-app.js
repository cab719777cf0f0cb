// An app: its parts as a diagram with provenance and drift, its builds and deployments on one timeline, what to do.
import { html, useState } from "./view.js";
import { call } from "./api.js";
import { absolute, Ago } from "./clock.js";
import { isOver, useJob } from "./follow.js";
import { label, t } from "./language.js";
import { useAction, useLoaded } from "./load.js";
import { Announced, Badge, Button, Commit, Confirm, Copy, Empty, Field, Head, Icon, Loading, Out, plain, Refusal, Section, State, Table, upstreamTitle } from "./parts.js";
import { Comparison, Verdict } from "./results.js";
import { go, linkTo } from "./router.js";
import { AppState, RunningVersion } from "./page-home.js";

/** @import { AppDetail, BuildShown, DeployShown, JobSummary, Part } from "../types/api.js" */
/** @import { Place } from "./router.js" */

const EVERY_MS = 5_000;
const RUNS = 30;
/** The parts in the order in which a change travels, and the step that makes or confirms each. */
const CHAIN = [
  { role: "source", upstream: "gitlab", kinds: ["project", "source", "repository"], step: ["fork_source", "await_source", "open_to_developers"] },
  { role: "pipeline", upstream: "jenkins", kinds: ["pipeline", "job"], step: ["create_pipeline"] },
  { role: "image", upstream: "", kinds: [], step: [] },
  { role: "helm", upstream: "gitlab", kinds: [], step: ["fork_helm", "await_helm"] },
  { role: "application", upstream: "argocd", kinds: ["application"], step: ["create_application"] },
];

/** @typedef {{ app: AppDetail, builds: BuildShown[], deploys: DeployShown[], jobs: JobSummary[] }} Known */

/** @param {{ place: Place }} props */
export function AppPage({ place }) {
  const appId = place.path[1] ?? "";
  const known = useLoaded(async (signal) => {
    const values = { app_id: appId };
    const [app, { builds }, { deploys }, { jobs }] = await Promise.all([
      call("show_app", { values, signal }),
      call("list_builds", { values, query: { limit: RUNS }, signal }),
      call("list_deploys", { values, query: { limit: RUNS }, signal }),
      call("list_jobs", { query: { app_id: appId, limit: 20 }, signal }),
    ]);
    return { app, builds, deploys, jobs };
  }, [appId], EVERY_MS);
  if (!known.data) return html`<${Head} title=${t("app")} name=${t("app")} above=${html`<a href="#/">${t("home.title")}</a>`} /><${Loading} of=${known} lines=${8} />`;
  return html`<${Loading} of=${known}><${Shown} key=${appId} known=${known.data} reload=${known.reload} /><//>`;
}

/** @param {{ known: Known, reload: () => unknown }} props */
function Shown({ known, reload }) {
  const { app, jobs } = known;
  const [asked, setAsked] = useState("");
  const [comparisonId, setComparisonId] = useState(jobs.find((job) => job.kind === "drift")?.job_id ?? app.last_drift?.job_id ?? "");
  const comparison = useJob(comparisonId || null);
  const running = jobs.filter((job) => !["succeeded", "failed", "cancelled"].includes(job.state) && job.kind !== "drift");
  const compare = useAction(async (key) => {
    const accepted = await call("start_comparison", { values: { app_id: app.app_id }, body: {}, key });
    setComparisonId(accepted.job_id);
  });
  const isComparing = compare.isBusy || (comparison.job !== undefined && !isOver(comparison.job));
  const close = () => setAsked("");
  const done = () => {
    close();
    void reload();
  };
  return html`
    <${Head} title=${plain(app.name)} name=${plain(app.name)} above=${html`<a href="#/">${t("home.title")}</a>`}>
      <${AppState} app=${app} />
      <span class="spacer"></span>
      <${Button} kind="primary" onClick=${() => setAsked("build")}>${t("build.start")}<//>
      <${Button} onClick=${() => setAsked("deploy")}>${t("deploy.start")}<//>
      <${Button} onClick=${() => setAsked("rollback")}>${t("rollback.start")}<//>
      <${Button} busy=${isComparing} onClick=${() => compare.start()}>${t("drift.start")}<//>
      <${Button} onClick=${() => setAsked("repair")}>${t("repair.start")}<//>
      <a class="button danger" href=${linkTo("apps", app.app_id, "remove")}>${t("remove.start")}</a>
    <//>
    <p class="facts-line">${app.running && html`<span class="row">${t("home.running")} <${RunningVersion} app=${app} /></span>`}<span>${app.type}</span><span>${t("team")} ${app.team}</span><span>${t("app.namespace")} <code>${plain(app.namespace)}</code></span><span>${t("app.created")} <${Ago} at=${app.created_at} /></span>${app.description && html`<span>${plain(app.description)}</span>`}</p>
    <${Announced} text=${`${plain(app.name)}: ${label("app", app.state)}. ${running.map((job) => `${label("kind", job.kind)}: ${label("state", job.state)}`).join(". ")}`} />
    ${compare.problem && html`<${Refusal} problem=${compare.problem} />`}
    ${running.map((job) => html`<p key=${job.job_id} class="notice tone-run slim"><${Icon} name="run" /><span><a href=${linkTo("jobs", job.job_id)}>${label("kind", job.kind)}</a> <${State} of=${job.state} small /> ${job.user ?? ""} <${Ago} at=${job.created_at} /></span></p>`)}
    <${Section} title=${t("app.parts")} aside=${comparison.job?.finished_at && html`<span class="quiet">${t("drift.at")} <${Ago} at=${comparison.job.finished_at} /></span>`}>
      <${Diagram} known=${known} drift=${driftOf(comparison.job)} />
    <//>
    ${comparison.problem && html`<${Refusal} problem=${comparison.problem} />`}
    ${comparison.job && html`<${Section} title=${t("drift.title")} aside=${html`<a href=${linkTo("jobs", comparisonId)}>${t("job.title")}</a>`}>
      ${comparison.job.result ? html`<${Comparison} result=${comparison.job.result} />` : html`<p><${State} of=${comparison.job.state} /> <span lang="en">${plain(comparison.job.waiting_on[0]?.reason ?? comparison.job.errors[0]?.reason)}</span></p>`}
      ${comparison.job.result?.drifted && comparison.job.result?.repairable && html`<div class="buttons"><${Button} kind="primary" onClick=${() => setAsked("repair")}>${t("repair.start")}<//></div>`}
    <//>`}
    <${Timeline} known=${known} />
    <${Others} jobs=${jobs} />
    ${asked === "build" && html`<${Build} app=${app} onClose=${close} />`}
    ${asked === "deploy" && html`<${Deploy} app=${app} builds=${known.builds} onClose=${close} />`}
    ${asked === "rollback" && html`<${RollBack} app=${app} onClose=${close} />`}
    ${asked === "repair" && html`<${Repair} app=${app} drift=${driftOf(comparison.job)} onClose=${close} onDone=${done} />`}`;
}

/** @param {import("../types/api.js").JobShown | undefined} job */
function driftOf(job) {
  return /** @type {{ step: string, state: string, reason: string }[] | undefined} */ (job?.result?.parts);
}

// -- parts --------------------------------------------------------------------------------------------------------

/** @param {{ known: Known, drift: { step: string, state: string, reason: string }[] | undefined }} props */
function Diagram({ known, drift }) {
  const { app, builds } = known;
  const image = builds.find((build) => build.image)?.image ?? null;
  const shown = new Set();
  const nodes = CHAIN.map((link) => {
    const part = partOf(app, link.role);
    if (part) shown.add(part);
    return { link, part };
  });
  const others = app.parts.filter((part) => !shown.has(part));
  return html`<ol class="diagram">${nodes.map(({ link, part }) => html`<li key=${link.role} class="node">
      <span class="quiet">${label("role", link.role)}</span>
      ${link.role === "image"
        ? html`<strong class="node-name">${image ? html`<code>${plain(image.split("/").pop())}</code>` : t("app.no_image")}</strong>${image && html`<span class="row"><${Copy} text=${image} /><span class="quiet">${t("app.newest_build")}</span></span>`}`
        : part
          ? html`<strong class="node-name"><${Out} to=${part.url}>${plain(part.name)}<//></strong><span class="row"><${State} of=${part.state} group="provenance" small /><${Drifted} of=${drift} steps=${link.step} /></span><span class="quiet">${upstreamTitle(part.upstream)}</span>${part.clone_url && html`<span class="row"><${Copy} text=${part.clone_url} /><span class="quiet">${t("app.clone")}</span></span>`}`
          : html`<strong class="node-name quiet">${t("app.no_part")}</strong><${Drifted} of=${drift} steps=${link.step} />`}
    </li>`)}</ol>
    ${others.length > 0 && html`<p class="facts-line">${others.map((part) => html`<span key=${part.kind + part.name}><span class="quiet">${upstreamTitle(part.upstream)} ${label("part", part.kind)}</span> <${Out} to=${part.url}>${plain(part.name)}<//> <${State} of=${part.state} group="provenance" small /></span>`)}</p>`}`;
}

/**
 * @param {AppDetail} app
 * @param {string} role
 * @returns {Part | undefined}
 */
function partOf(app, role) {
  const of = (/** @type {string} */ upstream) => app.parts.filter((part) => part.upstream === upstream);
  const isHelm = (/** @type {Part} */ part) => part.name.endsWith("_helm");
  if (role === "source") return of("gitlab").find((part) => !isHelm(part));
  if (role === "helm") return of("gitlab").find(isHelm);
  if (role === "pipeline") return of("jenkins")[0];
  if (role === "application") return of("argocd").find((part) => part.kind === "application");
  return undefined;
}

/** @param {{ of: { step: string, state: string, reason: string }[] | undefined, steps: string[] }} props */
function Drifted({ of, steps }) {
  if (!of || !steps.length) return null;
  const found = of.find((each) => steps.includes(each.step));
  return found ? html`<span title=${plain(found.reason)}><${Verdict} of=${found.state} /></span>` : html`<${Badge} tone="ok" icon="ok">${t("drift.as_made")}<//>`;
}

// -- timeline -----------------------------------------------------------------------------------------------------

/** @param {{ known: Known }} props */
function Timeline({ known }) {
  const runs = [...known.builds.map((run) => ({ kind: "build", run: /** @type {any} */ (run) })), ...known.deploys.map((run) => ({ kind: "deploy", run: /** @type {any} */ (run) }))];
  runs.sort((one, other) => Date.parse(other.run.created_at) - Date.parse(one.run.created_at));
  const current = known.app.running?.job_id;
  return html`<${Section} title=${t("app.timeline")}>
    ${runs.length === 0
      ? html`<${Empty} title=${t("app.no_runs")}><p>${t("app.no_runs_what")}</p><//>`
      : html`<${Table} name=${t("app.timeline")} className="timeline" columns=${[t("time"), t("kind"), t("state"), t("build.tag"), t("build.commit"), t("person")]} rows=${runs.map(({ kind, run }) => html`<tr key=${run.job_id} class=${`run-${kind}`}>
        <td><${Ago} at=${run.created_at} /></td>
        <td><a href=${linkTo("jobs", run.job_id)}>${label("kind", run.rollback_of ? "rollback" : kind)}</a>${run.job_id === current && html` <${Badge} tone="run" icon="run">${t("app.current")}<//>`}</td>
        <td><${State} of=${run.state} small /></td>
        <td><code>${plain(run.image_tag ?? "–")}</code></td>
        <td>${kind === "build" ? html`${run.branch && html`<span class="quiet">${plain(run.branch)}</span> `}<${Commit} commit=${run.commit} />` : html`<${Commit} commit=${run.commit ?? run.revision} />`}${run.url && html` <${Out} to=${run.url}>#${run.number}<//>`}</td>
        <td>${run.user ?? "–"}</td></tr>`)} />`}
  <//>`;
}

/** @param {{ jobs: JobSummary[] }} props */
function Others({ jobs }) {
  const others = jobs.filter((job) => !["build", "deploy"].includes(job.kind)).slice(0, 6);
  if (!others.length) return null;
  return html`<${Section} title=${t("app.other_jobs")}><ul class="rows">${others.map((job) => html`<li key=${job.job_id}><${State} of=${job.state} small /><a href=${linkTo("jobs", job.job_id)}>${label("kind", job.kind)}</a><span class="quiet">${job.user ?? ""}</span><${Ago} at=${job.created_at} /></li>`)}</ul><//>`;
}

// -- what people can do -------------------------------------------------------------------------------------------

/** @param {{ app: AppDetail, onClose: () => void }} props */
function Build({ app, onClose }) {
  const [branch, setBranch] = useState("");
  const [tag, setTag] = useState("");
  const action = useAction(async (key, /** @type {{ branch: string, tag: string }} */ given) => {
    const body = { ...(given.branch ? { branch: given.branch } : {}), ...(given.tag ? { image_tag: given.tag } : {}) };
    const accepted = await call("start_build", { values: { app_id: app.app_id }, body: /** @type {any} */ (body), key });
    go(linkTo("jobs", accepted.job_id));
  });
  return html`<${Confirm} title=${t("build.title", { app: plain(app.name) })} action=${t("build.start")} busy=${action.isBusy} problem=${action.problem} onConfirm=${() => action.start({ branch, tag })} onClose=${onClose}>
    <p>${t("build.what")}</p>
    <${Field} name="branch" title=${t("build.branch")} hint=${t("build.branch_hint")} value=${branch} onInput=${setBranch} problem=${action.problem} />
    <${Field} name="image_tag" title=${t("build.tag")} hint=${t("build.tag_hint")} value=${tag} onInput=${setTag} problem=${action.problem} />
  <//>`;
}

/** @param {{ app: AppDetail, builds: BuildShown[], onClose: () => void }} props */
function Deploy({ app, builds, onClose }) {
  const good = builds.filter((build) => build.state === "succeeded" && build.image_tag);
  const [picked, setTag] = useState("");
  const tag = picked || (good[0]?.image_tag ?? ""); // a build may succeed while the dialog is open
  const action = useAction(async (key, /** @type {string} */ image_tag) => {
    const accepted = await call("start_deploy", { values: { app_id: app.app_id }, body: /** @type {any} */ ({ image_tag }), key });
    go(linkTo("jobs", accepted.job_id));
  });
  const chosen = good.find((build) => build.image_tag === tag);
  return html`<${Confirm} title=${t("deploy.title", { app: plain(app.name) })} action=${t("deploy.start")} busy=${action.isBusy} problem=${action.problem} disabled=${!good.length} onConfirm=${() => action.start(tag)} onClose=${onClose}>
    ${good.length
      ? html`<p>${t("deploy.what")}</p>
        <${Field} name="image_tag" title=${t("build.tag")} options=${good.map((build) => build.image_tag ?? "")} value=${tag} onInput=${setTag} required problem=${action.problem} />
        ${chosen && html`<dl class="facts"><dt>${t("build.commit")}</dt><dd><${Commit} commit=${chosen.commit} /></dd><dt>${t("person")}</dt><dd>${chosen.user ?? "–"}</dd><dt>${t("time")}</dt><dd><${Ago} at=${chosen.finished_at} /></dd></dl>`}`
      : html`<p>${t("deploy.nothing")}</p>`}
  <//>`;
}

/** @param {{ app: AppDetail, onClose: () => void }} props */
function RollBack({ app, onClose }) {
  const known = useLoaded((signal) => call("list_rollback_targets", { values: { app_id: app.app_id }, signal }), [app.app_id]);
  const targets = known.data?.targets ?? [];
  const [picked, setPicked] = useState("");
  const target = targets.find((each) => nameOf(each) === picked) ?? targets[0];
  const action = useAction(async (key, /** @type {string} */ to) => {
    const accepted = await call("roll_back", { values: { app_id: app.app_id }, body: { to }, key });
    go(linkTo("jobs", accepted.job_id));
  });
  return html`<${Confirm} title=${t("rollback.title", { app: plain(app.name) })} action=${t("rollback.start")} busy=${action.isBusy} problem=${action.problem} disabled=${!target} onConfirm=${() => target && action.start(target.job_id)} onClose=${onClose}>
    <${Loading} of=${known}>${target
      ? html`<p>${t("rollback.what")}</p>
        <${Field} name="to" title=${t("rollback.to")} options=${targets.map(nameOf)} value=${nameOf(target)} onInput=${setPicked} required problem=${action.problem} />
        <dl class="facts"><dt>${t("rollback.from")}</dt><dd><${RunningVersion} app=${app} /></dd><dt>${t("build.commit")}</dt><dd><${Commit} commit=${target.commit} /></dd><dt>${t("deploy.revision")}</dt><dd><${Commit} commit=${target.revision} /></dd><dt>${t("person")}</dt><dd>${target.user ?? "–"}</dd></dl>`
      : html`<p>${t("rollback.nothing")}</p>`}<//>
  <//>`;
}

/** @param {DeployShown} target */
function nameOf(target) {
  return `${target.image_tag ?? target.revision?.slice(0, 8) ?? "–"} · ${absolute(target.finished_at ?? target.created_at)}`;
}

/** @param {{ app: AppDetail, drift: { step: string, state: string, reason: string }[] | undefined, onClose: () => void, onDone: () => void }} props */
function Repair({ app, drift, onClose }) {
  const action = useAction(async (key) => {
    const accepted = await call("reconcile_app", { values: { app_id: app.app_id }, body: {}, key });
    go(linkTo("jobs", accepted.job_id));
  });
  return html`<${Confirm} title=${t("repair.title", { app: plain(app.name) })} action=${t("repair.start")} busy=${action.isBusy} problem=${action.problem} onConfirm=${() => action.start()} onClose=${onClose}>
    <p>${t("repair.what")}</p>
    ${drift && drift.length > 0 && html`<ul>${drift.map((each) => html`<li key=${each.step}><${Verdict} of=${each.state} /> ${label("step", each.step)} <span class="quiet" lang="en">${plain(each.reason)}</span></li>`)}</ul>`}
  <//>`;
}
