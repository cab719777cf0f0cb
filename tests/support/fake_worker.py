"""Jobs that the API accepted, moved on as a worker would, without any upstream."""

from __future__ import annotations

from typing import Any

from flask.testing import FlaskClient
from sqlalchemy import select, update

from common.database.engine import Database
from common.database.ids import new_id
from common.database.models import Attempt, Job, Resource, Step, User
from common.jobs import attempts, build_log, outcomes
from common.jobs.claims import Claim
from common.states import Provenance, StepState
from common.workflows import NAME_CHECKS
from support.api import V1, Api, add_app, add_project

ABSENT = "01890000-0000-7000-8000-000000000000"
OUTPUTS: dict[str, dict[str, Any]] = {
    "await_source": {"project_id": 7, "clone_url": "http://gitlab.invalid/dev/compiler.git", "branch": "main"},
    "await_helm": {"project_id": 8, "clone_url": "http://gitlab.invalid/dev/compiler_helm.git", "branch": "main"},
}


def claim(db: Database, job_id: str, step: str) -> Claim:
    """Begin a step as a worker does; of a sign-up, after the checks that come before all else."""
    if step not in NAME_CHECKS:
        pass_checks(db, job_id)
    claimed = attempts.claim(db, job_id, step, worker="w", limits={})
    assert isinstance(claimed, Claim), claimed
    return claimed


def pass_checks(db: Database, job_id: str) -> None:
    """Let the upstreams show that nobody there has the name of a new sign-up."""
    for check in [name for name in names(db, job_id, StepState.READY) if name in NAME_CHECKS]:
        outcomes.record_success(db, claim(db, job_id, check), {})


def fail(db: Database, job_id: str, step: str, reason: str = "It broke.") -> None:
    outcomes.record_failure(db, claim(db, job_id, step), code="rejected", reason=reason)


def succeed(db: Database, job_id: str, *, but: tuple[str, ...] = (), **outputs: dict[str, Any]) -> None:
    """Do every step whose turn it is or comes, except those in `but`, with these outputs."""
    while ready := [name for name in names(db, job_id, StepState.READY) if name not in but]:
        output = {**OUTPUTS, **outputs}.get(ready[0], {})
        outcomes.record_success(db, claim(db, job_id, ready[0]), output)


def names(db: Database, job_id: str, state: StepState) -> list[str]:
    """Return the steps of a job that are in this state."""
    statement = select(Step.name).where(Step.job_id == job_id, Step.state == state).order_by(Step.position)
    return list(db.read(lambda session: session.scalars(statement).all()))


def step(db: Database, job_id: str, name: str) -> Step:
    statement = select(Step).where(Step.job_id == job_id, Step.name == name)
    return db.read(lambda session: session.scalars(statement).one())


def attempts_of(db: Database, job_id: str, name: str) -> list[Attempt]:
    statement = select(Attempt).where(Attempt.step_id == step(db, job_id, name).id).order_by(Attempt.number)
    return list(db.read(lambda session: session.scalars(statement).all()))


def job(db: Database, job_id: str) -> Job:
    return db.read(lambda session: session.get_one(Job, job_id))


def count_jobs(db: Database, kind: str) -> int:
    return len(db.read(lambda session: session.scalars(select(Job.id).where(Job.kind == kind)).all()))


def add_provisioned(db: Database, member: FlaskClient, name: str = "compiler", project: str = "compilers") -> str:
    """Make an app to its end and return its id."""
    accepted = add_app(member, add_project(member, project), name).json
    succeed(db, accepted["job_id"])
    app_id: str = accepted["app_id"]
    return app_id


def add_build(db: Database, member: FlaskClient, app_id: str, tag: str | None = None, **reported: Any) -> str:
    """Build an app to its end, so that the tag can be deployed, and return the job's id."""
    accepted = member.post(f"{V1}/app/{app_id}/builds", json={"image_tag": tag} if tag else {})
    assert accepted.status_code == 202, accepted.text
    job_id: str = accepted.json["job_id"]
    image = f"registry.example.com/apps/compiler:{job(db, job_id).input['image_tag']}"
    built = {"number": 7, "url": "http://jenkins.invalid/job/7/", "commit": "c0ffee", "image": image}
    succeed(db, job_id, await_result={**built, **reported})
    return job_id


def admin(api: Api, db: Database, login: str = "chief") -> FlaskClient:
    """Sign an administrator of the other team up."""
    member = api.member(login, team="ops")
    db.transaction(lambda session: session.execute(update(User).where(User.login == login).values(is_admin=True)))
    return member


def record(db: Database, made_by: str, kind: str, ref: str, provenance: Provenance, upstream: str = "gitlab") -> None:
    """Write a row of the ledger for the subject of a job."""

    def work(session: Any) -> None:
        maker = session.get_one(Job, made_by)
        row = Resource(
            id=new_id(), subject_id=maker.subject_id, upstream=upstream, kind=kind, ref=ref, outside_id="7",
            url=f"http://{upstream}.invalid/{ref}", provenance=provenance, job_id=made_by, step="s", attempt=1,
            created_at=db.now(), updated_at=db.now(),
        )  # fmt: skip
        session.add(row)

    db.transaction(work)


def prints(db: Database, job_id: str, text: str) -> None:
    """Keep a piece of a build's console behind what is there."""

    def work(session: Any) -> None:
        after = build_log.position(session, job_id)
        build_log.append(session, job_id, text, after=after, upstream_next=after[1] + len(text.encode()))

    db.transaction(work)
