"""Steps that make an app's repositories, pipeline and application (the plan: `common/workflows.py`).

Beside each step is what a dry run assumes of it (`PREVIEWS`).
"""

from __future__ import annotations

from collections.abc import Mapping

from common.config import naming
from common.errors import NotYet, Permanent
from common.states import Provenance
from common.step_outputs import (
    AWAIT_HELM,
    AWAIT_SOURCE,
    FORK_HELM,
    FORK_SOURCE,
    OPEN_TO_DEVELOPERS,
    REGISTER_REPOSITORY,
    ApplicationOutput,
    Fork,
    OpenBranch,
    PipelineOutput,
    RegisteredRepository,
    RepositoryOutput,
)
from worker import build_parameters
from worker.context import StepContext
from worker.preview import ABSENT, Preview
from worker.upstreams import Upstreams
from worker.upstreams.argocd.adapter import application_page, read_credentials
from worker.upstreams.jenkins.config_xml import PipelineDefinition

CHART_PATH = "."


def fork_source(job: StepContext, upstreams: Upstreams) -> Fork:
    """Fork the type's template to the app's name in the team's group."""
    return _fork(job, upstreams, job.app_type.source_template, job.input("app"))


def await_source(job: StepContext, upstreams: Upstreams) -> RepositoryOutput:
    """Wait until GitLab has copied the repository."""
    return _await_fork(upstreams, job.output_of(FORK_SOURCE))


def open_to_developers(job: StepContext, upstreams: Upstreams) -> OpenBranch:
    """Let developers push to and merge into the default branch."""
    source = job.output_of(AWAIT_SOURCE)
    project_id, branch = source["project_id"], source["branch"]
    entry = job.resource("gitlab", "unprotection", f"{project_id}/{branch}")
    if left_s := entry.may_arrive_for_s():  # it would lift what this attempt sets
        reason = "GitLab may still receive a lost attempt's request to lift the branch's protection"
        raise NotYet(reason, retry_after_s=left_s)
    upstreams.gitlab.projects.ensure_branch_open(project_id, branch, on_unprotect=entry.intend, on_answer=entry.finish)
    return {"branch": branch}


def create_pipeline(job: StepContext, upstreams: Upstreams) -> PipelineOutput:
    """Make the pipeline in the team's folder that builds the fork."""
    source = job.output_of(AWAIT_SOURCE)
    name = naming.pipeline(job.input("app"), job.input("team"))
    entry = job.resource("jenkins", "pipeline", f"{job.team.jenkins_folder}/{name}")
    pipeline = upstreams.jenkins.pipelines.ensure(
        job.team.jenkins_folder,
        name,
        definition=PipelineDefinition(
            repository_url=source["clone_url"],
            credential_id=job.settings.gitlab_credential,
            branch=source["branch"],
            script_path=job.app_type.jenkinsfile,
            parameters=build_parameters.declared(job, url=source["clone_url"], branch=source["branch"]),
            marker=job.marker,
        ),
        on_create=entry.intend,
    )
    entry.settle(outside_id=pipeline.full_name, url=pipeline.url, found=pipeline.found)
    return {"pipeline": pipeline.full_name}


def fork_helm(job: StepContext, upstreams: Upstreams) -> Fork:
    """Fork the helm template next to the app's repository."""
    return _fork(job, upstreams, job.app_type.helm_template, naming.helm_repository(job.input("app")))


def await_helm(job: StepContext, upstreams: Upstreams) -> RepositoryOutput:
    """Wait until GitLab has copied the helm repository."""
    return _await_fork(upstreams, job.output_of(FORK_HELM))


def register_repository(job: StepContext, upstreams: Upstreams) -> RegisteredRepository:
    """Make the helm repository known to Argo CD, which reads it with the credential template of the team's group."""
    url = job.output_of(AWAIT_HELM)["clone_url"]
    entry = job.resource("argocd", "repository", url)
    try:
        repository = upstreams.argocd.repositories.ensure(
            url,
            credentials=read_credentials(job.settings),
            is_new=_is_new_to_argocd(job, url),
            on_create=entry.intend,
            on_refuse=entry.withdraw,
        )
    except Permanent:  # it carries no marker: one that exists after a refusal must not count as ours
        entry.withdraw()
        raise
    entry.settle(outside_id=repository.url, url=None, found=repository.found)
    return {"repository_url": repository.url}


def _is_new_to_argocd(job: StepContext, url: str) -> bool:
    """Say whether this job has made the helm repository, and has not tried to register it yet."""
    rows = [row for row in job.read_earlier("gitlab", "project") if row.step == FORK_HELM.step]
    is_made = any(row.job_id == job.id and row.provenance is Provenance.CREATED for row in rows)
    return is_made and not any(row.ref == url for row in job.read_earlier("argocd", "repository"))


def create_application(job: StepContext, upstreams: Upstreams) -> ApplicationOutput:
    """Make the Argo CD application that deploys the chart to the team's cluster."""
    app, helm = job.input("app"), job.output_of(AWAIT_HELM)
    entry = job.resource("argocd", "application", app)
    application = upstreams.argocd.in_namespace(job.team.argocd_namespace).applications.ensure(
        app,
        project=job.team.argocd_project,
        repository_url=job.output_of(REGISTER_REPOSITORY)["repository_url"],
        path=CHART_PATH,
        revision=helm["branch"],
        release_name=app,
        helm_parameters=_helm_parameters(job),
        cluster=job.team.cluster,
        namespace=job.namespace,
        marker=job.marker,
        on_create=entry.intend,
    )
    entry.settle(outside_id=application.uid, url=application_page(job.settings, job.team, app), found=application.found)
    return {"application": app}


def _helm_parameters(job: StepContext) -> dict[str, str]:
    app = job.input("app")
    ours = {"image.repository": naming.image(job.settings, app), "fullnameOverride": app}
    return {**ours, "image.tag": job.image_tag} if job.image_tag else ours


def _fork(job: StepContext, upstreams: Upstreams, template: str, path: str) -> Fork:
    namespace = job.team.gitlab_group
    entry = job.resource("gitlab", "project", f"{namespace}/{path}")
    known_id = job.known_id("gitlab", "project", f"{namespace}/{path}")
    project = upstreams.gitlab.projects.ensure_fork(
        template,
        namespace=namespace,
        path=path,
        marker=job.marker,
        on_create=entry.intend,
        known_id=int(known_id) if known_id else None,
    )
    if not project.is_fork:
        job.remark(f"GitLab does not know {project.path} as a fork of {template}: it is left as it is.")
    entry.settle(outside_id=str(project.id), url=project.web_url, found=project.found)
    return {"project_id": project.id}


def _await_fork(upstreams: Upstreams, fork: Fork) -> RepositoryOutput:
    project = upstreams.gitlab.projects.await_import(fork["project_id"])
    branch = project.default_branch or ""  # it has one: await_import waits for it
    return {"project_id": project.id, "clone_url": project.clone_url, "branch": branch}


# -- dry run ------------------------------------------------------------------------------------------------------


def _future_source(job: StepContext, upstreams: Upstreams) -> RepositoryOutput:
    return _future_fork(job, upstreams, job.app_type.source_template, job.input("app"))


def _future_helm(job: StepContext, upstreams: Upstreams) -> RepositoryOutput:
    return _future_fork(job, upstreams, job.app_type.helm_template, naming.helm_repository(job.input("app")))


def _future_fork(job: StepContext, upstreams: Upstreams, template: str, path: str) -> RepositoryOutput:
    """Return the fork in the team's group, or what it would be: GitLab itself says what its URLs are."""
    group = upstreams.gitlab.groups.get(job.team.gitlab_group)
    made = upstreams.gitlab.projects.find(f"{group.path}/{path}")
    if made is not None:
        return {"project_id": made.id, "clone_url": made.clone_url, "branch": made.default_branch or ""}
    origin = upstreams.gitlab.projects.get(template)
    base = origin.clone_url.removesuffix(f"{origin.path}.git")
    return {
        "project_id": ABSENT,
        "clone_url": f"{base}{group.path}/{path}.git",
        "branch": origin.default_branch or "",
    }


def _future_registration(job: StepContext, _upstreams: Upstreams) -> RegisteredRepository:
    return {"repository_url": job.output_of(AWAIT_HELM)["clone_url"]}


PREVIEWS: Mapping[str, Preview] = {  # a step that is not listed can be tried, and no later step reads its output
    FORK_SOURCE.step: Preview(output=_future_source),
    AWAIT_SOURCE.step: Preview(output=_future_source, needs_project=True),
    OPEN_TO_DEVELOPERS.step: Preview(needs_project=True),
    FORK_HELM.step: Preview(output=_future_helm),
    AWAIT_HELM.step: Preview(output=_future_helm, needs_project=True),
    REGISTER_REPOSITORY.step: Preview(output=_future_registration),
}
