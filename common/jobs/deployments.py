"""Which versions of an app have been deployed, and to which one does it go back?"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from common.config import naming
from common.config.settings import Settings
from common.database.models import Job
from common.jobs import outputs
from common.states import JobState
from common.workflows import DEPLOY

LOOKED_AT = 100  # deployments back that a rollback searches


@dataclass(frozen=True, kw_only=True)
class Deployment:
    """One deployment: what it brought where it succeeded, else what it asked for."""

    job: Job
    image_tag: str | None
    revision: str | None

    @property
    def is_good(self) -> bool:
        return self.job.state is JobState.SUCCEEDED

    def is_as(self, other: Deployment) -> bool:
        """Say whether both are of the same version."""
        return (self.image_tag, self.revision) == (other.image_tag, other.revision)


def brought(session: Session, jobs: Sequence[Job]) -> Mapping[str, dict[str, Any]]:
    """Map the ids of deployments to what they brought: `{application, revision, images}`."""
    return outputs.of_step(session, jobs, DEPLOY.result) if DEPLOY.result else {}


def newest_first(session: Session, settings: Settings, app_id: str) -> list[Deployment]:
    """Return the newest deployments of an app."""
    statement = select(Job).where(Job.app_id == app_id, Job.kind == DEPLOY.name).order_by(Job.id.desc())
    jobs = list(session.scalars(statement.limit(LOOKED_AT)))
    found = brought(session, jobs)
    return [_deployment(settings, job, found.get(job.id)) for job in jobs]


def previous_good(newest_first: Sequence[Deployment]) -> Deployment | None:
    """Return the last good deployment before the newest one that is of another version."""
    return next(
        (each for each in newest_first[1:] if each.is_good and not each.is_as(newest_first[0])),
        None,
    )


def needed(newest_first: Sequence[Deployment]) -> Iterator[Deployment]:
    """Yield those that a rollback looks at, today or after whatever is deployed next.

    The newest one, the last good one, and the last good one of another version than that: should the app have come
    back to the version of the second, it goes on to the third.
    """
    good = [each for each in newest_first if each.is_good]
    yield from newest_first[:1]
    yield from good[:1]
    yield from [each for each in good if not each.is_as(good[0])][:1]


def _deployment(settings: Settings, job: Job, output: Mapping[str, Any] | None) -> Deployment:
    asked_tag, asked_revision = job.input.get("image_tag"), job.input.get("revision")
    if not output:
        return Deployment(job=job, image_tag=asked_tag, revision=asked_revision)
    ours = f"{naming.image(settings, job.input['app'])}:"
    tag = next((image.removeprefix(ours) for image in output["images"] if image.startswith(ours)), None)
    return Deployment(job=job, image_tag=tag or asked_tag, revision=output["revision"])
