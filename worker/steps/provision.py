"""How do an app's repositories, pipeline and application come to be?  (the plan: `common/workflows.py`)"""

from __future__ import annotations

from typing import Any

from common.config import naming
from common.errors import Permanent
from worker.context import StepContext
from worker.upstreams import Upstreams
from worker.upstreams.jenkins.config_xml import Parameter, PipelineDefinition

CHART_PATH = "."
SCRIPT_PATH = "Jenkinsfile"
BUILD_KEY = "slipway_job_id"  # the build parameter that tells our builds apart


def fork_source(job: StepContext, upstreams: Upstreams) -> dict[str, Any]:
    """Fork the type's template to the app's name in the team's group."""
    return _fork(job, upstreams, job.app_type.source_template, job.input("app"))


def await_source(job: StepContext, upstreams: Upstreams) -> dict[str, Any]:
    """Wait until GitLab has copied the repository."""
    return _await_fork(upstreams, job.output_of("fork_source"))


def open_to_developers(job: StepContext, upstreams: Upstreams) -> dict[str, Any]:
    """Let developers push to and merge into the default branch."""
    source = job.output_of("await_source")
    upstreams.gitlab.projects.ensure_branch_open(source["project_id"], source["branch"])
    return {"branch": source["branch"]}


def create_pipeline(job: StepContext, upstreams: Upstreams) -> dict[str, Any]:
    """Make the pipeline in the team's folder that builds the fork."""
    source = job.output_of("await_source")
    name = naming.pipeline(job.input("app"), job.input("team"))
    entry = job.resource("jenkins", "pipeline", f"{job.team.jenkins_folder}/{name}")
    pipeline = upstreams.jenkins.pipelines.ensure(
        job.team.jenkins_folder,
        name,
        definition=PipelineDefinition(
            repository_url=source["clone_url"],
            credential_id=job.settings.gitlab_credential,
            branch=source["branch"],
            script_path=SCRIPT_PATH,
            parameters=_build_parameters(job, source["clone_url"]),
            marker=job.marker,
        ),
        on_create=entry.intend,
    )
    entry.settle(outside_id=pipeline.full_name, url=pipeline.url, found=pipeline.found)
    return {"pipeline": pipeline.full_name}


def fork_helm(job: StepContext, upstreams: Upstreams) -> dict[str, Any]:
    """Fork the helm template next to the app's repository."""
    return _fork(job, upstreams, job.app_type.helm_template, naming.helm_repository(job.input("app")))


def await_helm(job: StepContext, upstreams: Upstreams) -> dict[str, Any]:
    """Wait until GitLab has copied the helm repository."""
    return _await_fork(upstreams, job.output_of("fork_helm"))


def register_repository(job: StepContext, upstreams: Upstreams) -> dict[str, Any]:
    """Make the helm repository known to Argo CD, with a credential that can only read."""
    url = job.output_of("await_helm")["clone_url"]
    token = job.settings.gitlab_read_token
    entry = job.resource("argocd", "repository", url)
    try:
        repository = upstreams.argocd.repositories.ensure(
            url,
            username=job.settings.gitlab_read_user if token else None,
            password=token.get_secret_value() if token else None,
            on_create=entry.intend,
        )
    except Permanent:  # it bears no marker: one that is there after a refusal must not be taken for ours
        entry.withdraw()
        raise
    entry.settle(outside_id=repository.url, url=None, found=repository.found)
    return {"repository_url": repository.url}


def create_application(job: StepContext, upstreams: Upstreams) -> dict[str, Any]:
    """Make the Argo CD application that deploys the chart to the team's cluster."""
    app, helm = job.input("app"), job.output_of("await_helm")
    entry = job.resource("argocd", "application", app)
    application = upstreams.argocd.applications.ensure(
        app,
        project=job.team.argocd_project,
        repository_url=job.output_of("register_repository")["repository_url"],
        path=CHART_PATH,
        revision=helm["branch"],
        release_name=app,
        helm_parameters=_helm_parameters(job),
        cluster=job.team.cluster,
        namespace=app,
        marker=job.marker,
        on_create=entry.intend,
    )
    entry.settle(outside_id=application.uid, url=f"{job.settings.argo_url}/applications/{app}", found=application.found)
    return {"application": app}


def _helm_parameters(job: StepContext) -> dict[str, str]:
    app = job.input("app")
    ours = {"image.repository": naming.image(job.settings, app), "fullnameOverride": app}
    return {**ours, "image.tag": job.image_tag} if job.image_tag else ours


def _fork(job: StepContext, upstreams: Upstreams, template: str, path: str) -> dict[str, Any]:
    namespace = job.team.gitlab_group
    entry = job.resource("gitlab", "project", f"{namespace}/{path}")
    project = upstreams.gitlab.projects.ensure_fork(
        template, namespace=namespace, path=path, marker=job.marker, on_create=entry.intend
    )
    entry.settle(outside_id=str(project.id), url=project.web_url, found=project.found)
    return {"project_id": project.id}


def _await_fork(upstreams: Upstreams, fork: dict[str, Any]) -> dict[str, Any]:
    project = upstreams.gitlab.projects.await_import(fork["project_id"])
    return {"project_id": project.id, "clone_url": project.clone_url, "branch": project.default_branch}


def _build_parameters(job: StepContext, source_url: str) -> tuple[Parameter, ...]:
    """Declare what a build may be given: Jenkins drops, silently, what is not declared."""
    app = job.input("app")
    return (
        Parameter(name=BUILD_KEY, default="", description="Slipway's job: builds of one job are one build"),
        Parameter(name="gitlab_address", default=source_url, description="Repository of the app"),
        Parameter(name="gitlab_helm_address", default="", description="Repository of its chart, set at each build"),
        Parameter(
            name="gitlab_credential",
            default=job.settings.gitlab_credential,
            description="Jenkins credential that reads both",
        ),
        Parameter(name="namespace", default=app, description="Kubernetes namespace"),
        Parameter(name="image_name", default=naming.image(job.settings, app), description="Image without its tag"),
        Parameter(name="image_tag", default="", description="Tag to build; empty: the build's number"),
        Parameter(name="branch", default="", description="Branch to build; empty: the pipeline's own"),
    )
