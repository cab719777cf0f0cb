"""What jobs leave behind: all the steps of their plans, attempts, events, consoles, rows of the ledger.

`add` for as many jobs as there are; `Past` for one after the other, each so many days ago.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta
from itertools import count
from typing import Any

from sqlalchemy import insert, select, update

from common.database.engine import Database
from common.database.ids import new_id
from common.database.models import App, Attempt, Base, ConsoleChunk, Event, Job, Project, Resource, Step, Team, User
from common.states import JobState, Outcome, Provenance, StepState
from common.workflows import WORKFLOWS
from support import bulk_data

ROWS = 1_000  # jobs at a time
CONSOLE = "Started by user provisioner\n" + "[INFO] compiling one more file of many\n" * 100  # 4 KB
TRACES = {"build": ("jenkins", "build"), "deploy": ("argocd", "sync")}
PARTS = ("source", "helm")
EVENTS = (1, 2, 3)

Row = dict[str, Any]


def add(db: Database) -> None:
    """Add to every job what a real one would have; its first step is there already."""
    last_id = ""
    while jobs := _jobs(db, last_id):
        last_id = jobs[-1][0].id
        with db.engine.begin() as connection:
            for table, rows in _left_behind(jobs):
                if rows:
                    connection.execute(insert(table), rows)


def _jobs(db: Database, after: str) -> Sequence[Any]:
    statement = select(Job, Step).join(Step, Step.job_id == Job.id).where(Job.id > after).order_by(Job.id).limit(ROWS)
    return db.read(lambda session: session.execute(statement).all())


def _left_behind(jobs: Sequence[Any]) -> Iterator[tuple[type[Base], list[Row]]]:
    """Yield tables and their rows, so that what refers to a row comes behind it."""
    steps = [step for job, first in jobs for step in _other_steps(job, first)]
    began = {first.id: job.created_at for job, first in jobs} | {step["id"]: step["started_at"] for step in steps}
    yield Step, steps
    yield Attempt, [_attempt(step_id, at) for step_id, at in began.items()]
    yield Event, [_event(job, number) for job, _ in jobs for number in EVENTS]
    yield ConsoleChunk, [_chunk(job) for job, _ in jobs if job.kind == "build"]
    yield Resource, [row for job, _ in jobs for row in _resources(job)]


def _other_steps(job: Job, first: Step) -> Iterator[Row]:
    for position, plan in enumerate(WORKFLOWS[job.kind].steps):
        if plan.name != first.name:
            is_done = job.state is JobState.SUCCEEDED
            yield {
                "id": new_id(), "job_id": job.id, "lane": first.lane, "position": position + 1, "name": plan.name,
                "upstream": plan.upstream.value, "state": StepState.SUCCEEDED if is_done else StepState.CANCELLED,
                "attempts": 1, "started_at": job.created_at, "finished_at": job.finished_at,
            }  # fmt: skip


def _attempt(step_id: str, at: Any) -> Row:
    return {
        "id": new_id(),
        "step_id": step_id,
        "number": 1,
        "worker": "w",
        "outcome": Outcome.SUCCEEDED,
        "started_at": at,
    }


def _event(job: Job, number: int) -> Row:
    told = [{"name": "start_build", "state": "succeeded", "code": None, "reason": None}]
    return {"job_id": job.id, "number": number, "at": job.created_at, "state": job.state, "steps": told}


def _chunk(job: Job) -> Row:
    return {"job_id": job.id, "start": 0, "upstream_next": len(CONSOLE), "text": CONSOLE}


def _resources(job: Job) -> Iterator[Row]:
    """A build and a deployment leave a trace; what makes an app leaves its parts."""
    if job.kind in TRACES:
        yield resource(job, *TRACES[job.kind], job.id)
    elif job.kind == "provision":
        for part in PARTS:
            yield resource(job, "gitlab", "project", f"dev/{job.id}-{part}")


def resource(job: Job, upstream: str, kind: str, ref: str, provenance: Provenance = Provenance.CREATED) -> Row:
    """Return a row of the ledger that a job has signed."""
    return {
        "id": new_id(), "subject_id": job.subject_id, "upstream": upstream, "kind": kind, "ref": ref,
        "outside_id": "7", "provenance": provenance, "job_id": job.id, "step": "s", "attempt": 1,
        "created_at": job.created_at, "updated_at": job.created_at,
    }  # fmt: skip


class Past:
    """An installation in which things have happened, so many days ago."""

    def __init__(self, db: Database) -> None:
        self.db = db
        self._numbers = count(1)
        self.user_id = bulk_data.id_at(db.now())
        self._project_id = bulk_data.id_at(db.now())
        person = {"id": self.user_id, "login": "grace", "email": "g@example.com", "name": "G", "password_hash": "none"}
        of_team = {"team_id": "dev", "created_at": db.now()}
        self._insert(Team, {"id": "dev"})
        self._insert(User, {**person, **of_team, "is_admin": False})
        self._insert(Project, {"id": self._project_id, "name": "compilers", "created_by": self.user_id, **of_team})

    def app(self, *, is_removed: bool = False) -> str:
        name, app_id = f"app-{next(self._numbers)}", bulk_data.id_at(self.db.now())
        row = {"id": app_id, "name": name, "claimed_name": None if is_removed else name, "type": "Flask"}
        made = {"project_id": self._project_id, "team_id": "dev", "created_by": self.user_id}
        self._insert(App, {**row, **made, "created_at": self.db.now()})
        return app_id

    def job(
        self,
        kind: str = "drift",
        state: JobState = JobState.SUCCEEDED,
        *,
        app_id: str | None = None,
        days: float = 100,
        ended_days: float | None = None,
        **inputs: Any,
    ) -> str:
        """Add a job that was accepted so many days ago, and ended then or later, with what it leaves behind."""
        at = self._ago(days)
        row = bulk_data.job_row(
            bulk_data.id_at(at), at, team_id="dev", user_id=self.user_id, kind=kind, state=state, app_id=app_id,
            subject_id=app_id or self.user_id, input=inputs,
        )  # fmt: skip
        if ended_days is not None:
            row["finished_at"] = self._ago(ended_days)
        job_id: str = row["id"]
        step_id = bulk_data.id_at(at)
        step = {"id": step_id, "job_id": job_id, "lane": "l", "position": 0, "name": "s", "upstream": "gitlab"}
        end = StepState.FAILED if state is JobState.FAILED else StepState.SUCCEEDED
        self._insert(Job, row)
        self._insert(Step, {**step, "state": end})
        self._insert(Attempt, {"id": step_id, "step_id": step_id, "number": 1, "worker": "w", "started_at": at})
        self._insert(Event, {"job_id": job_id, "number": 1, "at": at, "state": state, "steps": []})
        self._insert(ConsoleChunk, {"job_id": job_id, "start": 0, "upstream_next": 1, "text": "x"})
        return job_id

    def in_ledger(self, job_id: str, kind: str = "project", provenance: Provenance = Provenance.CREATED) -> None:
        job = self.db.read(lambda session: session.get_one(Job, job_id))
        self._insert(Resource, resource(job, "gitlab", kind, f"ref-{next(self._numbers)}", provenance))

    def person_leaves(self) -> None:
        self.db.transaction(lambda session: session.execute(update(User).values(left_at=self.db.now())))

    def _ago(self, days: float) -> datetime:
        return self.db.now() - timedelta(days=days)

    def _insert(self, table: type[Any], row: dict[str, Any]) -> None:
        self.db.transaction(lambda session: session.execute(insert(table), [row]))
