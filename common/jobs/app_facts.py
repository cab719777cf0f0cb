"""What the jobs of apps say about them: the state, what runs, the last build, deployment and comparison.

Nothing of it is stored a second time, so nothing can contradict the jobs, and no step pays for it. Each fact is the
newest job of a kind: two statements for a page of apps. An index finds the newest one directly, however many jobs
there are. The newest one that succeeded is looked for from the newest back: that reads each job of the kind since then.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import BindParameter, ScalarSelect, Select, bindparam, func, select
from sqlalchemy.orm import Session

from common.database.models import App, Job
from common.states import OPEN, AppState, JobState, RunHealth
from common.workflows import BUILD, DEPLOY, DEPROVISION, DRIFT, PROVISION, RECONCILE, Workflow

INDEX = "ix_jobs_app_id_kind_id"
SOUGHT: Mapping[str, tuple[Workflow, JobState | None]] = {  # the newest job of each kind, of those in a state
    "provision": (PROVISION, None),
    "reconcile": (RECONCILE, None),
    "removal": (DEPROVISION, None),
    "provisioned": (PROVISION, JobState.SUCCEEDED),
    "reconciled": (RECONCILE, JobState.SUCCEEDED),
    "build": (BUILD, None),
    "deploy": (DEPLOY, None),
    "deployed": (DEPLOY, JobState.SUCCEEDED),
    "drift": (DRIFT, JobState.SUCCEEDED),
}
CHANGES = ("provision", "reconcile", "removal", "build", "deploy")  # of those sought: the jobs that change an app


@dataclass(frozen=True, kw_only=True)
class AppFacts:
    """What is known of an app. `running`: the deployment of what runs; `change`: the newest job that changes the app.

    `build`, `deploy`: the newest ones, however they ended; `drift`: the newest comparison that has a result.
    """

    state: AppState
    running: Job | None
    health: RunHealth
    change: Job | None
    build: Job | None
    deploy: Job | None
    drift: Job | None

    @property
    def jobs(self) -> list[Job]:
        """Every job that it names."""
        named = (self.running, self.change, self.build, self.deploy, self.drift)
        return [job for job in named if job is not None]


def read(session: Session, apps: Sequence[App]) -> dict[str, AppFacts]:
    """Map the ids of apps to what is known of them, with two statements."""
    found = {row.id: row for row in session.execute(_SOUGHT_OF_APPS, {"app_ids": [app.id for app in apps]})}
    ids = {job_id for row in found.values() for job_id in row[1:] if job_id is not None}
    jobs = {job.id: job for job in session.scalars(select(Job).where(Job.id.in_(ids)))}
    return {app.id: _facts(app, {name: jobs.get(getattr(found[app.id], name)) for name in SOUGHT}) for app in apps}


def sources(session: Session, app_id: str) -> list[str]:
    """Return the ids of the jobs that the facts of an app are taken from: without one of them, they would be others."""
    row = session.execute(_SOUGHT_OF_APPS, {"app_ids": [app_id]}).one()
    return [job_id for job_id in row[1:] if job_id is not None]


def _facts(app: App, newest: Mapping[str, Job | None]) -> AppFacts:
    undone = _undone(newest)
    running = _after(newest["deployed"], undone) if app.claimed_name is not None else None
    changes = [job for name in CHANGES if (job := newest[name]) is not None]
    return AppFacts(
        state=_state(app, newest, undone),
        running=running,
        health=_health(running, newest["deploy"]),
        change=max(changes, key=lambda job: job.id, default=None),
        build=newest["build"],
        deploy=newest["deploy"],
        drift=newest["drift"],
    )


def _undone(newest: Mapping[str, Job | None]) -> Job | None:
    """Return the removal that may have taken parts away: one that was cancelled before it began took none."""
    removal = newest["removal"]
    return removal if removal is not None and (removal.started_at is not None or removal.state in OPEN) else None


def _after(job: Job | None, undone: Job | None) -> Job | None:
    """Return a job whose work no removal has undone since: a removal that is retried runs long after its id."""
    if job is None or undone is None:
        return job
    return job if undone.finished_at is not None and _ended(job) > _ended(undone) else None


def _ended(job: Job) -> tuple[datetime, str]:
    return job.finished_at or job.created_at, job.id


def _state(app: App, newest: Mapping[str, Job | None], undone: Job | None) -> AppState:
    """Say how an app is. Builds and deployments do not matter: one that fails leaves the app as it was."""
    if app.claimed_name is None:
        return AppState.REMOVED
    if undone is not None and undone.state in OPEN:
        return AppState.REMOVING
    if any(_after(newest[name], undone) for name in ("provisioned", "reconciled")):
        return AppState.READY
    is_being_made = any((job := newest[name]) and job.state in OPEN for name in ("provision", "reconcile"))
    return AppState.MAKING if is_being_made else AppState.INCOMPLETE


def _health(running: Job | None, newest: Job | None) -> RunHealth:
    if running is None or newest is None or newest.id == running.id:
        return RunHealth.HEALTHY
    if newest.state in OPEN:
        return RunHealth.PROGRESSING
    return RunHealth.UNKNOWN if newest.started_at is not None else RunHealth.HEALTHY


def _newest(workflow: Workflow, state: JobState | None) -> ScalarSelect[str]:
    """Return the query for the newest such job of an app of the query around it.

    MariaDB and MySQL are told the index: to find one row in the order of the ids, they would also scan the primary key.
    The state is wrapped in a function, so that SQLite does not take an index of states, and look for the kind in it.
    """
    found = select(Job.id).where(Job.app_id == App.id, Job.kind == workflow.name)
    if state is not None:
        found = found.where(func.coalesce(Job.state, "") == state)
    for dialect in ("mysql", "mariadb"):
        found = found.with_hint(Job, f"FORCE INDEX ({INDEX})", dialect)
    return found.order_by(Job.id.desc()).limit(1).correlate(App).scalar_subquery()


_APP_IDS: BindParameter[list[str]] = bindparam("app_ids", expanding=True)
_COLUMNS: Sequence[Any] = (App.id, *(_newest(*sought).label(name) for name, sought in SOUGHT.items()))
_SOUGHT_OF_APPS: Select[Any] = select(*_COLUMNS).where(App.id.in_(_APP_IDS))
