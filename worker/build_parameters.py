"""The parameters of a build: declared by the app's pipeline, given at each trigger."""

from __future__ import annotations

from common.config import naming
from worker.context import StepContext
from worker.upstreams.jenkins.config_xml import Parameter

BUILD_KEY = "slipway_job_id"  # identifies our builds


def declared(job: StepContext, *, url: str, branch: str) -> tuple[Parameter, ...]:
    """Return what a pipeline declares: Jenkins drops, silently, what is given and not declared.

    Every default is right for a build that is started in Jenkins: nothing of ours has to be filled in there.
    """
    app, settings = job.input("app"), job.settings
    about_tag = "Tag to push; empty: one that the Jenkinsfile makes"
    about_registry = "Jenkins credential for the registry; empty: agents are logged in"
    return (
        Parameter(name=BUILD_KEY, default="", description="Slipway's job: builds of one job are one build"),
        Parameter(name="gitlab_address", default=url, description="Repository of the app"),
        Parameter(name="gitlab_helm_address", default=naming.helm_url(url), description="Repository of its chart"),
        Parameter(
            name="gitlab_credential",
            default=settings.gitlab_credential,
            description="Jenkins credential that reads both",
        ),
        Parameter(name="namespace", default=job.namespace, description="Kubernetes namespace"),
        Parameter(name="image_name", default=naming.image(settings, app), description="Image without its tag"),
        Parameter(name="image_tag", default="", description=about_tag),
        Parameter(name="branch", default=branch, description="Branch to build"),
        Parameter(name="registry_credential", default=settings.registry_credential, description=about_registry),
    )


def given(job: StepContext) -> dict[str, str]:
    """Return what a build of this job is given."""
    return {
        BUILD_KEY: job.id,
        "gitlab_address": job.input("gitlab_address"),
        "gitlab_helm_address": job.input("gitlab_helm_address"),
        "gitlab_credential": job.settings.gitlab_credential,
        "namespace": job.namespace,
        "image_name": naming.image(job.settings, job.input("app")),
        "image_tag": job.option("image_tag") or "",
        "branch": job.option("branch") or default_branch(job),
        "registry_credential": job.settings.registry_credential,
    }


def default_branch(job: StepContext) -> str:
    """Return the branch of the repository; a build that an older version accepted does not name it."""
    return job.option("default_branch") or "main"
