"""Deployments of an app: its versions, and the one that a rollback goes back to."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from sqlalchemy import select
from sqlalchemy.orm import Session

from common.config import naming
from common.config.settings import Settings
from common.database.models import Job
from common.jobs import outputs
from common.states import JobState
from common.step_outputs import Deployed
from common.workflows import DEPLOY

SEARCHED = 100  # deployments back that a rollback searches


@dataclass(frozen=True, kw_only=True)
class Deployment:
    """One deployment: what it deployed where it succeeded, else what it asked for."""

    job: Job
    image_tag: str | None
    revision: str | None

    @property
    def is_good(self) -> bool:
        return self.job.state is JobState.SUCCEEDED

    def is_as(self, other: Deployment) -> bool:
        """Say whether both are of the same version."""
        return (self.image_tag, self.revision) == (other.image_tag, other.revision)


def newest_first(session: Session, settings: Settings, app_id: str) -> list[Deployment]:
    """Return the newest deployments of an app."""
    statement = select(Job).where(Job.app_id == app_id, Job.kind == DEPLOY.name).order_by(Job.id.desc())
    jobs = list(session.scalars(statement.limit(SEARCHED)))
    found = outputs.deployed(session, jobs)
    return [deployment(settings, job, found.get(job.id)) for job in jobs]


def targets(newest_first: Sequence[Deployment]) -> list[Deployment]:
    """Return what a rollback may go to: of each other version than the newest one's, the last good deployment."""
    found: dict[tuple[str | None, str | None], Deployment] = {}
    for each in newest_first[1:]:
        if each.is_good and not each.is_as(newest_first[0]):
            found.setdefault((each.image_tag, each.revision), each)
    return list(found.values())


def previous_good(newest_first: Sequence[Deployment]) -> Deployment | None:
    """Return the last good deployment before the newest one that is of another version."""
    return next(iter(targets(newest_first)), None)


def needed(newest_first: Sequence[Deployment]) -> Iterator[Deployment]:
    """Yield those that a rollback needs, now or after whatever is deployed next.

    The newest one, the last good one, and the last good one of another version than that: should the app have come
    back to the version of the second, a rollback goes to the third.
    """
    good = [each for each in newest_first if each.is_good]
    yield from newest_first[:1]
    yield from good[:1]
    yield from [each for each in good if not each.is_as(good[0])][:1]


def deployment(settings: Settings, job: Job, output: Deployed | None) -> Deployment:
    """Return the version that a deployment is of; `output` is what it recorded, where it succeeded."""
    asked_tag, asked_revision = job.input.get("image_tag"), job.input.get("revision")
    if not output:
        return Deployment(job=job, image_tag=asked_tag, revision=asked_revision)
    ours = f"{naming.image(settings, job.input['app'])}:"
    tag = next((image.removeprefix(ours) for image in output["images"] if image.startswith(ours)), None)
    return Deployment(job=job, image_tag=tag or asked_tag, revision=output["revision"])
