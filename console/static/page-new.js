// A new app: first the plan from the real upstreams, then its creation.
import { html, useState } from "./view.js";
import { call, choicesOf } from "./api.js";
import { isOver, useJob } from "./follow.js";
import { t } from "./language.js";
import { Lanes } from "./lanes.js";
import { asProblem, useAction, useLoaded } from "./load.js";
import { Button, Choices, Field, Form, Head, Loading, Notice, Refusal, Section } from "./parts.js";
import { Plan } from "./results.js";
import { go, linkTo } from "./router.js";

/** @import { Person } from "../types/api.js" */
/** @import { Session } from "./session.js" */

/** @param {{ session: Session }} props */
export function NewPage({ session }) {
  const person = /** @type {Person} */ (session.person);
  const known = useLoaded(async (signal) => {
    const [{ projects }, types] = await Promise.all([
      call("list_projects", { values: { team_id: person.team }, query: { limit: 100 }, signal }),
      choicesOf("NewApp", "type"),
    ]);
    return { projects, types };
  }, [person.team]);
  return html`<${Head} title=${t("new.title")} name=${t("new.title")} above=${html`<a href="#/">${t("home.title")}</a>`} />
    <p class="lead">${t("new.what")}</p>
    <${Loading} of=${known} lines=${5}>${known.data && html`<${NewApp} projects=${known.data.projects} types=${known.data.types} />`}<//>`;
}

/** @param {{ projects: import("../types/api.js").ProjectShown[], types: string[] }} props */
function NewApp({ projects, types }) {
  const [project, setProject] = useState(projects[0]?.name ?? "");
  const [name, setName] = useState("");
  const [type, setType] = useState(types[0] ?? "");
  const [description, setDescription] = useState("");
  const [planned, setPlanned] = useState(/** @type {{ jobId: string, projectId: string, of: string } | undefined} */ (undefined));
  const wanted = JSON.stringify([project, name, type, description]);
  const plan = useJob(planned?.jobId);
  const isCurrent = planned?.of === wanted;

  const look = useAction(async (key, /** @type {string} */ of) => {
    const projectId = await projectOf(project, projects);
    const accepted = await call("create_app", { query: { dry_run: true }, body: bodyOf(projectId), key });
    setPlanned({ jobId: accepted.job_id, projectId, of });
  });
  const create = useAction(async (key, /** @type {string} */ projectId) => {
    const accepted = await call("create_app", { body: bodyOf(projectId), key });
    go(linkTo("jobs", accepted.job_id));
  });
  const bodyOf = (/** @type {string} */ project_id) => /** @type {any} */ ({ project_id, name, type, description });
  const isPossible = isCurrent && plan.job?.state === "succeeded" && plan.job.result?.possible === true;
  return html`
    <${Form} className="form wide" onSubmit=${() => !look.isBusy && look.start(wanted)} problem=${look.problem}>
      <${Field} name="name" title=${t("new.name")} hint=${t("new.name_hint")} value=${name} onInput=${setName} required maxlength=${40} problem=${look.problem} />
      <${Field} name="project" title=${t("new.project")} hint=${t("new.project_hint")} value=${project} onInput=${setProject} required list=${projects.map((each) => each.name)} problem=${look.problem} />
      <${Choices} title=${t("new.type")} name="type" value=${type} options=${types.map((each) => ({ value: each, title: each }))} onChange=${setType} />
      <${Field} name="description" title=${t("description")} value=${description} onInput=${setDescription} area maxlength=${255} problem=${look.problem} />
      <div class="buttons"><${Button} type="submit" kind=${isPossible ? "plain" : "primary"} busy=${look.isBusy}>${t("new.plan")}<//></div>
    <//>
    ${planned && html`<${Section} title=${t("plan.title")}>
      <p class="lead">${t("plan.what")}</p>
      ${!isCurrent && html`<${Notice} tone="wait" icon="warn" live><p>${t("new.changed")}</p><//>`}
      ${plan.problem && html`<${Refusal} problem=${plan.problem} />`}
      ${plan.job && (!isOver(plan.job) || plan.job.state !== "succeeded") && html`<${Lanes} job=${plan.job} />`}
      ${plan.job?.result && html`<${Plan} result=${plan.job.result} />`}
      ${create.problem && html`<${Refusal} problem=${create.problem} />`}
      ${isPossible && html`<div class="buttons"><${Button} kind="primary" busy=${create.isBusy} onClick=${() => create.start(planned.projectId)}>${t("new.create", { name })}<//></div>`}
    <//>`}`;
}

/**
 * Return the id of the project with this name, which is made if there is none.
 * @param {string} name
 * @param {import("../types/api.js").ProjectShown[]} projects
 */
async function projectOf(name, projects) {
  const found = projects.find((each) => each.name === name);
  if (found) return found.project_id;
  try {
    const made = await call("create_project", { body: { name, description: "" } });
    projects.push(made);
    return made.project_id;
  } catch (error) {
    const problem = asProblem(error);
    problem.errors = problem.errors.map((each) => ({ ...each, field: "project" })); // here, `name` is that of the app
    throw problem;
  }
}
