"""Builds of an app: the tag of the next one, and the tags that builds have pushed."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from sqlalchemy import select
from sqlalchemy.orm import Session

from common.database.models import App, Job, Resource
from common.jobs import outputs
from common.states import JobState
from common.step_outputs import FinishedBuild
from common.workflows import BUILD, Upstream

SEARCHED = 100  # good builds back whose tags are known
OWN_CHARACTERS = 8  # of the app's id, random ones: an app of the same name has others


@dataclass(frozen=True, kw_only=True)
class GoodBuild:
    """A build that succeeded, the tags that it pushed, none when it has reported no image, and the commit it built."""

    job: Job
    tags: tuple[str, ...]
    commit: str | None


def next_tag(app: App) -> str:
    """Return the tag of a new build, unique for ever, and count it; call it with the app's row locked.

    A registry may outlive an app, so the tag has something of the app's own id besides the number.
    """
    app.build_count = (app.build_count or 0) + 1
    return f"{app.build_count}-{app.id[-OWN_CHARACTERS:]}"


def newest_good(session: Session, app_id: str) -> list[GoodBuild]:
    """Return the good builds of an app, newest first."""
    statement = select(Job).where(Job.app_id == app_id, Job.kind == BUILD.name, Job.state == JobState.SUCCEEDED)
    jobs = list(session.scalars(statement.order_by(Job.id.desc()).limit(SEARCHED)))
    found = outputs.finished_builds(session, jobs)
    return [_good_build(job, found.get(job.id)) for job in jobs]


def with_jenkins(session: Session, app_id: str, jobs: Iterable[Job]) -> set[str]:
    """Return the ids of those jobs whose build may be on Jenkins already, and so may have checked out.

    The ledger has the intent of each build before it is triggered. What is pushed while it has none is in the build.
    """
    is_build = (Resource.subject_id == app_id, Resource.upstream == Upstream.JENKINS.value, Resource.kind == "build")
    return set(session.scalars(select(Resource.ref).where(*is_build, Resource.ref.in_([job.id for job in jobs]))))


def _good_build(job: Job, output: FinishedBuild | None) -> GoodBuild:
    return GoodBuild(job=job, tags=tuple(_tags(job, output)), commit=output.get("commit") if output else None)


def _tags(job: Job, output: FinishedBuild | None) -> Iterator[str]:
    """Yield the tag that a build reported; one that an older version ran reported none: by what it was given."""
    if output is not None and "image" in output:
        image = output["image"]
        if image is not None:
            yield image.rpartition(":")[2]
        return
    number = output.get("number") if output else None
    yield from dict.fromkeys(str(each) for each in (job.input.get("image_tag"), number) if each is not None)
