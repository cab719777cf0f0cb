"""What steps have recorded, read back by question: the addresses of an app, the numbers of builds, …

Only this module knows which step records what; a row of an older version may lack an entry that was added since.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypedDict, TypeVar, cast

from sqlalchemy import select
from sqlalchemy.orm import Session

from common import workflows
from common.database.models import Job, Step
from common.states import PASSED, JobState
from common.step_outputs import (
    AWAIT_EXECUTOR,
    AWAIT_HEALTHY,
    AWAIT_HELM,
    AWAIT_RESULT,
    AWAIT_SOURCE,
    COMPARE_APP,
    EXAMINE,
    CheckupOutput,
    Deployed,
    Drift,
    FinishedBuild,
    RepositoryOutput,
    StepOutput,
)
from common.workflows import MADE_BY

Recorded = TypeVar("Recorded", bound=Mapping[str, object])


class KnownBuild(TypedDict, total=False):
    """Entries of a build that are known by now: the address once it runs, the rest at its good end."""

    number: int
    url: str
    commit: str | None
    image: str | None


@dataclass(frozen=True, kw_only=True)
class RepositoryUrls:
    """Where an app's repositories are cloned from, and the default branch; empty where no job has made them."""

    source: str
    helm: str
    branch: str


def of_passed_step(session: Session, job_id: str, key: StepOutput[Recorded]) -> Recorded | None:
    """Return the output of a job's step if that is done."""
    statement = select(Step.output).where(Step.job_id == job_id, Step.name == key.step, Step.state.in_(PASSED))
    return cast("Recorded | None", session.scalar(statement))  # the column is JSON; the key says what its step writes


def result_of(job: Job, steps: Sequence[Step]) -> dict[str, Any] | None:
    """Return the result of a job for its user, None while there is none: the output of one of its steps.

    Of a sign-up and an off-boarding, the result is what they left to others, where they did: `not_done`; and what an
    off-boarding kept because it may be somebody else's: `kept`.
    """
    flow = workflows.WORKFLOWS.get(job.kind)
    if flow and flow.result:
        return next((step.output for step in steps if step.name == flow.result), None)
    written = [step.output for step in steps if step.output]
    left = [output["not_done"] for output in written if output.get("not_done")]
    kept = [each for output in written for each in output.get("kept", ()) if isinstance(each, dict)]
    return {**({"not_done": left} if left else {}), **({"kept": kept} if kept else {})} or None


def repository_urls(session: Session, app_id: str) -> RepositoryUrls:
    """Return the addresses of an app's repositories, as the last jobs that made them learnt."""
    statement = (
        select(Step.name, Step.output)
        .join(Job, Job.id == Step.job_id)
        .where(*_made_repositories(app_id), Job.state == JobState.SUCCEEDED)
        .order_by(Step.id)
    )
    found = {name: cast("RepositoryOutput", output) for name, output in session.execute(statement) if output}
    source, helm = found.get(AWAIT_SOURCE.step), found.get(AWAIT_HELM.step)
    return RepositoryUrls(
        source=source["clone_url"] if source else "",
        helm=helm["clone_url"] if helm else "",
        branch=source["branch"] if source else "",
    )


def clone_urls(session: Session, app_id: str) -> dict[tuple[str, str | None], str]:
    """Map (upstream, id on it) to the address of each repository that was made for an app."""
    statement = select(Step.upstream, Step.output).join(Job, Job.id == Step.job_id).where(*_made_repositories(app_id))
    found = [(upstream, cast("RepositoryOutput", output)) for upstream, output in session.execute(statement) if output]
    return {(upstream, str(made["project_id"])): made["clone_url"] for upstream, made in found}


def known_builds(session: Session, jobs: Sequence[Job]) -> dict[str, KnownBuild]:
    """Map the ids of builds to what is known of them, where they have got an executor."""
    steps = (AWAIT_EXECUTOR.step, AWAIT_RESULT.step)  # a build that fails later has recorded the first one, too
    found: dict[str, KnownBuild] = {}
    for job_id, output in session.execute(
        select(Step.job_id, Step.output).where(Step.job_id.in_([job.id for job in jobs]), Step.name.in_(steps))
    ):
        found.setdefault(job_id, {}).update(cast("KnownBuild", output or {}))
    return found


def finished_builds(session: Session, jobs: Sequence[Job]) -> dict[str, FinishedBuild]:
    """Map the ids of builds to what they made, where they succeeded."""
    return _of_step(session, jobs, AWAIT_RESULT)


def deployed(session: Session, jobs: Sequence[Job]) -> dict[str, Deployed]:
    """Map the ids of deployments to what they deployed, where they succeeded."""
    return _of_step(session, jobs, AWAIT_HEALTHY)


def compared(session: Session, jobs: Sequence[Job]) -> dict[str, Drift]:
    """Map the ids of comparisons to what they found, where they succeeded."""
    return _of_step(session, jobs, COMPARE_APP)


def last_checkup(session: Session, subject_id: str) -> tuple[Job, CheckupOutput] | None:
    """Return the last check-up that ended well, and its report."""
    statement = (
        select(Job, Step.output)
        .join(Step, Step.job_id == Job.id)
        .where(Job.subject_id == subject_id, Step.name == EXAMINE.step, Step.output.is_not(None))
        .order_by(Job.id.desc())
        .limit(1)
    )
    found = session.execute(statement).first()
    return (found[0], cast("CheckupOutput", found[1])) if found else None


def _of_step(session: Session, jobs: Sequence[Job], key: StepOutput[Recorded]) -> dict[str, Recorded]:
    """Map the jobs' ids to the output of one step, where it has one; by one query for all of them."""
    statement = select(Step.job_id, Step.output).where(
        Step.job_id.in_([job.id for job in jobs]), Step.name == key.step, Step.output.is_not(None)
    )
    return {job_id: cast("Recorded", output) for job_id, output in session.execute(statement) if output}


def _made_repositories(app_id: str) -> tuple[Any, ...]:
    repositories = (AWAIT_SOURCE.step, AWAIT_HELM.step)
    return Job.app_id == app_id, Job.kind.in_(MADE_BY), Step.name.in_(repositories)
