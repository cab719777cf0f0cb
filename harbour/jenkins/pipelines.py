"""From a build to the run of its Jenkinsfile."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from pathlib import Path

from harbour.jenkins.execution import execute
from harbour.jenkins.model import Build
from harbour.jenkins.shell import Agent
from harbour.jenkins.steps import Outcome, Task
from harbour.jenkins.workspace import Account, Workspace
from harbour.registry import Registry


def carried_out(
    build: Build,
    *,
    script: str | None,
    account: Callable[[str], Account | None],
    plugins: frozenset[str],
    registry: Registry,
    has_docker: bool,
) -> Outcome:
    """Run the pipeline of a build, with real git, and return what it leaves behind; nothing is pushed to the registry.

    `script` is the text of an inline pipeline. A build whose job has neither that nor a repository fails.
    """
    if script is None and not build.repository:
        return Outcome(result="FAILURE", lines=["ERROR: No flow definition, cannot run"])
    workspace = Workspace(Path(tempfile.mkdtemp(prefix="jenkins-")))
    variables = {
        "BUILD_ID": str(build.number),
        "BUILD_NUMBER": str(build.number),
        "JOB_NAME": build.job,
        "WORKSPACE": f"/var/jenkins_home/workspace/{build.job}",
        "WORKSPACE_TMP": f"/var/jenkins_home/workspace/{build.job}@tmp",
    }
    task = Task(
        repository=build.repository,
        credential=build.credential,
        branch=build.branch,
        path=build.script or "Jenkinsfile",
        script=script,
        parameters={each["name"]: each.get("value", "") for each in build.parameters},
        variables=variables,
        started_ms=round(build.started_at * 1000),
        account=account,
        plugins=plugins,
        agent=Agent(workspace=workspace, refused=registry.refusal, has_docker=has_docker),
        tests=build.outcome,
    )
    try:
        return execute(task)
    finally:
        workspace.close()
