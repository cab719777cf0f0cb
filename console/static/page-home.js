// The team's apps with their state, what failed today, and which upstream holds things up.
import { html } from "./view.js";
import { call } from "./api.js";
import { Ago, now } from "./clock.js";
import { label, t } from "./language.js";
import { useLoaded } from "./load.js";
import { Badge, Commit, Empty, Head, Icon, Loading, plain, Section, State, Table } from "./parts.js";
import { linkTo } from "./router.js";

/** @import { AppShown, JobSummary, Person, ProjectShown, WaitingOn } from "../types/api.js" */
/** @import { Session } from "./session.js" */

const EVERY_MS = 10_000;
const PROJECTS = 50;
const DAY_MS = 86_400_000;
const HOLDS = ["outage", "paused", "refused"];

/** @typedef {{ upstream: string, state: string, reason: string, since: string | null }} Hold */
/** @typedef {{ projects: { project: ProjectShown, apps: AppShown[] }[], jobs: JobSummary[], holds: Hold[] }} Home */

/**
 * @param {Person} person
 * @param {AbortSignal} signal
 * @returns {Promise<Home>}
 */
async function readHome(person, signal) {
  const [found, { jobs }, holds] = await Promise.all([
    call("list_projects", { values: { team_id: person.team }, query: { limit: PROJECTS }, signal }),
    call("list_jobs", { query: { limit: 100 }, signal }),
    person.is_admin ? heldUpstreams(signal) : Promise.resolve(undefined),
  ]);
  const projects = await Promise.all(
    found.projects.map(async (project) => ({
      project,
      apps: (await call("list_apps", { values: { project_id: project.project_id }, query: { limit: 100 }, signal })).apps,
    })),
  );
  return { projects, jobs, holds: holds ?? holdsOf(jobs) };
}

/**
 * @param {AbortSignal} signal
 * @returns {Promise<Hold[]>}
 */
async function heldUpstreams(signal) {
  const { upstreams } = await call("list_upstreams", { signal });
  return upstreams.filter((each) => ["down", "refused", "paused"].includes(each.state)).map((each) => ({ upstream: each.title, state: each.state, reason: each.reason ?? "", since: each.since }));
}

/**
 * Members are not told of upstreams, but their jobs say what they wait for.
 * @param {JobSummary[]} jobs
 * @returns {Hold[]}
 */
function holdsOf(jobs) {
  /** @type {Map<string, WaitingOn>} */
  const waits = new Map();
  for (const wait of jobs.flatMap((job) => job.waiting_on)) {
    if (wait.code && HOLDS.includes(wait.code)) waits.set(wait.upstream, wait);
  }
  return [...waits.values()].map((wait) => ({ upstream: label("upstream", wait.upstream), state: wait.code === "outage" ? "down" : (wait.code ?? ""), reason: wait.reason ?? "", since: wait.since }));
}

/** @param {{ session: Session }} props */
export function HomePage({ session }) {
  const person = /** @type {Person} */ (session.person);
  const home = useLoaded((signal) => readHome(person, signal), [person.id], EVERY_MS);
  const create = html`<a class="button primary" href=${linkTo("new")}><${Icon} name="plus" />${t("new.title")}</a>`;
  return html`
    <${Head} title=${t("home.title")} name=${t("home.title")} above=${t("home.team", { team: person.team })}>${create}<//>
    <${Loading} of=${home} lines=${8} />
    ${home.data && html`<${Shown} home=${home.data} create=${create} />`}`;
}

/** @param {{ home: Home, create: any }} props */
function Shown({ home, create }) {
  const failed = home.jobs.filter((job) => job.state === "failed" && now() - Date.parse(job.created_at) < DAY_MS);
  const filled = home.projects.filter((each) => each.apps.length > 0);
  return html`
    <${Holds} holds=${home.holds} />
    ${home.projects.length === 0 || filled.length === 0
      ? html`<${Empty} title=${t("home.empty")}><p>${t("home.empty_what")}</p>${create}<//>`
      : filled.map(({ project, apps }) => html`<${Section} key=${project.project_id} title=${plain(project.name)} aside=${html`<span class="quiet">${plain(project.description)}</span>`}><${Apps} name=${project.name} apps=${apps} /><//>`)}
    <${Section} title=${t("home.failed")}>
      ${failed.length === 0
        ? html`<p class="quiet row"><${Icon} name="ok" /> ${t("home.none_failed")}</p>`
        : html`<ul class="rows">${failed.map((job) => html`<li key=${job.job_id}><${State} of=${job.state} /><a href=${linkTo("jobs", job.job_id)}>${label("kind", job.kind)}</a><span>${plain(job.app ?? job.subject)}</span><span lang="en">${plain(job.errors[0]?.reason)}</span><${Ago} at=${job.created_at} /></li>`)}</ul>`}
    <//>`;
}

/** @param {{ holds: Hold[] }} props */
export function Holds({ holds }) {
  return html`<div role="status">${holds.map((hold) => html`<div key=${hold.upstream} class=${`notice tone-${hold.state === "paused" ? "wait" : "fail"}`}><${Icon} name=${hold.state === "paused" ? "pause" : "warn"} />
    <div><p><strong>${hold.upstream}: ${label("state", hold.state)}</strong> ${hold.since && html`<span>${t("since")} <${Ago} at=${hold.since} /></span>`}</p><p lang="en">${plain(hold.reason)}</p><p class="quiet">${t("home.hold")}</p></div></div>`)}</div>`;
}

/** @param {{ name: string, apps: AppShown[] }} props */
function Apps({ name, apps }) {
  return html`<${Table} name=${plain(name)} className="apps" columns=${[t("app"), t("state"), t("home.running"), t("kind.build"), t("kind.deploy")]} rows=${apps.map((app) => html`<tr key=${app.app_id}>
      <th scope="row"><a href=${linkTo("apps", app.app_id)}>${plain(app.name)}</a> <span class="quiet">${app.type}</span></th>
      <td><${AppState} app=${app} /></td>
      <td><${RunningVersion} app=${app} /></td>
      <td><${Last} run=${app.last_build} /></td><td><${Last} run=${app.last_deploy} /></td></tr>`)} />`;
}

/**
 * The state of an app, and whether the last comparison found a difference.
 * @param {{ app: AppShown }} props
 */
export function AppState({ app }) {
  return html`<${State} of=${app.state} group="app" />${app.last_drift?.drifted && html` <${Badge} tone="wait" icon="warn">${t("drift.badge")}<//>`}`;
}

/** @param {{ app: AppShown }} props */
export function RunningVersion({ app }) {
  const { running } = app;
  if (!running) return html`<span class="quiet">–</span>`;
  return html`<span class="row"><code>${plain(running.image_tag ?? running.revision?.slice(0, 8) ?? "–")}</code>${running.commit && html`<${Commit} commit=${running.commit} />`}<${State} of=${running.health} group="health" small /></span>`;
}

/** @param {{ run: { job_id: string, state: string, created_at: string, finished_at: string | null } | null }} props */
function Last({ run }) {
  if (!run) return html`<span class="quiet">–</span>`;
  return html`<a class="last" href=${linkTo("jobs", run.job_id)}><${State} of=${run.state} small /> <${Ago} at=${run.finished_at ?? run.created_at} /></a>`;
}
