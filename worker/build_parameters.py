"""The parameters of a build: declared by the app's pipeline, given at each trigger."""

from __future__ import annotations

from common.config import naming
from worker.context import StepContext
from worker.upstreams.jenkins.config_xml import Parameter

BUILD_KEY = "slipway_job_id"  # identifies our builds


def declared(job: StepContext, source_url: str) -> tuple[Parameter, ...]:
    """Return what a pipeline declares: Jenkins drops, silently, what is given and not declared."""
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
        Parameter(name="namespace", default=job.namespace, description="Kubernetes namespace"),
        Parameter(name="image_name", default=naming.image(job.settings, app), description="Image without its tag"),
        Parameter(name="image_tag", default="", description="Tag to build; empty: the build's number"),
        Parameter(name="branch", default="", description="Branch to build; empty: the pipeline's own"),
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
        "branch": job.option("branch") or "",
    }
