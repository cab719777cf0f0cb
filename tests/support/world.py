"""A whole Slipway in one process, without broker and Celery: a database, a harbour, a runner, a clock of its own.

Everything is the real thing except time, which a test moves, and messages, which it replaces by asking the database
what is due, as the clock does.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

from pydantic import SecretStr
from sqlalchemy import select

from common.admission import slots
from common.config import catalog
from common.config.renamed import FORMER_NAMES
from common.config.settings import WorkerSettings
from common.database.engine import Database
from common.database.ids import new_id
from common.database.models import App, Attempt, Job, Project, Resource, Secret, Step, Team, User
from common.jobs import dispatch, interventions, lifecycle
from common.jobs.lane_messages import LaneMessage
from common.states import UNSETTLED, JobState, StepState
from common.vault.cipher import Vault
from common.workflows import CHANGE_PASSWORD, NAME_CHECKS, PROVISION, SIGNUP, WORKFLOWS
from harbour.config import CREDENTIALS, STAND_INS
from harbour.world import Harbour
from worker import upstreams
from worker.context import WorkerContext
from worker.refusals import Ask, RefusalProbe, asking
from worker.registry import load_steps
from worker.runner import NextAction, Runner, StepResult
from worker.upstreams import Upstreams

PASSWORD = "engines weave numbers"
NEW_PASSWORD = "looms weave flowers"
ROUNDS = 200
UNCHECKED_SIGNUP = replace(
    SIGNUP,
    lanes=tuple(
        replace(lane, steps=tuple(step for step in lane.steps if step.name not in NAME_CHECKS)) for lane in SIGNUP.lanes
    ),
)  # the plan on which sign-ups of before run to their end: most tests are about a lane that begins with a write


class Time:
    """A clock that stands still until it is moved."""

    def __init__(self) -> None:
        self._now = datetime.now(UTC)

    def __call__(self) -> datetime:
        return self._now

    def advance(self, seconds: float) -> None:
        self._now += timedelta(seconds=seconds)


def upstreams_of(harbour: Harbour) -> dict[str, Any]:
    """Return the settings that point at this harbour: addresses and credentials."""
    addresses = {each.name: each.url.lower() for each in STAND_INS}
    urls = {addresses[service.name]: service.url for service in harbour.services}
    named = urls | {setting.lower(): getattr(harbour.config, field) for setting, field in CREDENTIALS.items()}
    present = {former: name for name, former in FORMER_NAMES.items()}
    return {present.get(name, name): value for name, value in named.items()}


def settings_for(harbour: Harbour, db_url: str, *, redis_url: str = "redis://127.0.0.1:1/0") -> WorkerSettings:
    """Return settings that point at this harbour; the default broker does not exist."""
    return WorkerSettings(
        _env_file=None,
        db_url=SecretStr(db_url),
        redis_url=SecretStr(redis_url),
        secret_keys=(SecretStr("a key of thirty-two characters or more"),),
        **upstreams_of(harbour),
        container_repository_image_name="registry.example.com/apps",
        cookie_secure=False,
        gitlab_skip_confirmation=True,
        outage_after=0,  # a harbour that misbehaves for one test is not down
    )


class World:
    """Accepts jobs as the API does and runs them as workers do, one attempt at a time."""

    def __init__(self, db: Database, time: Time, harbour: Harbour, settings: WorkerSettings | None = None) -> None:
        self.db = db
        self.time = time
        self.harbour = harbour
        self.settings = settings or settings_for(harbour, str(db.engine.url))
        self.context = WorkerContext(
            db=db,
            settings=self.settings,
            catalog=catalog.load(self.settings),
            vault=Vault([key.get_secret_value() for key in self.settings.secret_keys]),
        )
        self.steps = load_steps()
        self.clients = upstreams.connect(self.settings)
        self.limits = slots.limits_of(self.settings, upstreams.logins(self.settings, self.context.vault))
        slots.prepare(db, self.limits)
        self.runner = self.runner_named("test")
        self.db.transaction(lambda session: session.add_all(Team(id=team) for team in self.context.catalog.teams))

    def runner_named(self, name: str, clients: Upstreams | None = None, *, ask: Ask | None = None) -> Runner:
        return Runner(
            self.context,
            clients or self.clients,
            self.steps,
            self.limits,
            worker=name,
            ask=ask,
            jitter=lambda: 1.0,
        )

    # -- accept -----------------------------------------------------------------------------------------------

    def add_user(self, login: str, team: str = "dev") -> User:
        user = User(
            id=new_id(),
            login=login,
            email=f"{login}@example.com",
            name=f"Person {login}",
            password_hash="not a hash",
            team_id=team,
            created_at=self.time(),
        )
        self.db.transaction(lambda session: session.add(user))
        return user

    def sign_up(self, login: str, team: str = "dev", *, is_checked: bool = False, password: str = PASSWORD) -> Job:
        """Accept a sign-up; without `is_checked`, on the plan of before, which begins with the accounts."""
        user = self.add_user(login, team)
        inputs = {"login": login, "email": user.email, "name": user.name, "team": team}

        def work(session):  # type: ignore[no-untyped-def] # a closure of three lines
            job = lifecycle.accept(
                session,
                SIGNUP if is_checked else UNCHECKED_SIGNUP,
                now=self.time(),
                subject_id=user.id,
                team_id=team,
                user_id=user.id,
                request_id="test-request",
                inputs=inputs,
            )
            session.add(self._sealed_password(job.id, password))
            return job

        return self.db.transaction(work)

    def change_password(self, signup: Job, password: str = NEW_PASSWORD) -> Job:
        """Accept the change of the password of the person who signed up."""
        job = self.accept_for(signup, CHANGE_PASSWORD.name)
        self.db.transaction(lambda session: session.add(self._sealed_password(job.id, password)))
        return job

    def _sealed_password(self, job_id: str, password: str = PASSWORD) -> Secret:
        key_id, sealed = self.context.vault.seal(password, job_id=job_id, purpose="password")
        expires_at = self.time() + timedelta(hours=24)
        return Secret(job_id=job_id, purpose="password", key_id=key_id, sealed=sealed, expires_at=expires_at)

    def make_app(
        self, name: str, type_: str = "Flask", team: str = "dev", by: User | None = None, project_name: str = ""
    ) -> Job:
        user = by or self.add_user(f"maker-of-{name}", team)

        def work(session):  # type: ignore[no-untyped-def] # a closure of a few lines
            project = Project(
                id=new_id(),
                team_id=team,
                name=project_name or f"project-of-{name}",
                created_by=user.id,
                created_at=self.time(),
            )
            session.add(project)
            session.flush()
            app = App(
                id=new_id(),
                project_id=project.id,
                team_id=team,
                name=name,
                claimed_name=name,
                namespace=self.context.catalog.namespace_of(team, name),
                type=type_,
                created_by=user.id,
                created_at=self.time(),
            )
            session.add(app)
            session.flush()
            return lifecycle.accept(
                session,
                PROVISION,
                now=self.time(),
                subject_id=app.id,
                team_id=team,
                user_id=user.id,
                app_id=app.id,
                request_id="test-request",
                inputs={"app": name, "type": type_, "team": team},
            )

        return self.db.transaction(work)

    def accept_for(self, made: Job, kind: str, **inputs: str | None) -> Job:
        """Accept a further job for the app that `made` is about (or, for `plan`, would be about).

        The image of a deployment with a tag is there, as if a build had pushed it.
        """
        if kind == "deploy" and inputs.get("image_tag"):
            self.push_image(made, str(inputs["image_tag"]))

        def work(session):  # type: ignore[no-untyped-def] # a closure of one call
            return lifecycle.accept(
                session,
                WORKFLOWS[kind],
                now=self.time(),
                subject_id=made.subject_id,
                team_id=made.team_id,
                user_id=made.user_id,
                app_id=made.app_id,
                request_id="test-request",
                inputs={**made.input, **inputs},
            )

        return self.db.transaction(work)

    def push_image(self, made: Job, tag: str) -> None:
        """Let an image of the app that `made` is about be in the registry."""
        image = f"{self.settings.container_repository_image_name}/{made.input['app']}:{tag}"
        if not self.harbour.registry.has(image):  # what a build has pushed keeps its commit
            self.harbour.registry.push(image)

    def accept_build(self, made: Job, **inputs: str | None) -> Job:
        """Accept a build as the API does: with the addresses that provisioning learnt."""
        learnt = {step.name: step.output for step in self.step_rows(made)}
        addresses = {
            "gitlab_address": learnt["await_source"]["clone_url"],
            "gitlab_helm_address": learnt["await_helm"]["clone_url"],
            "default_branch": learnt["await_source"]["branch"],
        }
        return self.accept_for(made, "build", **addresses, **inputs)

    # -- run --------------------------------------------------------------------------------------------------

    def drive(self, job: Job, *, until: str | None = None) -> Job:
        """Run what is due, moving time to whatever is due next, until the job is over or `until` is to be run."""
        for _ in range(ROUNDS):
            step = self._next_step(job, until)
            if step is None:
                return self.job(job)
            self._wait_for(step)
            self.runner.run(job.id, step.name)
        raise AssertionError("the job did not come to an end")

    def run_through(self, job: Job, step: str, *, runner: Runner | None = None) -> StepResult:
        """Run one step over its waits and retries to its end; the steps before it must be done."""
        for _ in range(ROUNDS):
            self._wait_for(self.step(job, step))
            result = (runner or self.runner).run(job.id, step)
            if result.action is not NextAction.LATER:
                return result
        raise AssertionError("the step did not come to an end")

    def _wait_for(self, step: Step) -> None:
        """Let the harbour finish what it is at, and move time to when the step is due."""
        self.harbour.gitlab.background.settle()
        due_at = step.lease_until if step.state is StepState.RUNNING else step.due_at
        if due_at is not None and due_at > self.time():
            self.time.advance((due_at - self.time()).total_seconds())

    def _next_step(self, job: Job, until: str | None) -> Step | None:
        movable = [step for step in self.step_rows(job) if step.state in UNSETTLED and step.name != until]
        return min(movable, key=lambda step: step.due_at or step.lease_until or self.time(), default=None)

    def retry(self, job: Job) -> None:
        """Retry a failed job, as a person does, who sends the password of a sign-up again."""

        def work(session):  # type: ignore[no-untyped-def] # a closure of a few lines
            if job.kind == SIGNUP.name:
                session.merge(self._sealed_password(job.id))
            interventions.retry(session, job.id, self.time())

        self.db.transaction(work)

    def deliver_again(self, job: Job, step: str) -> StepResult:
        """Run a step that is done once more, as if its success had never been recorded."""
        self.forget(job, step)
        return self.run_through(job, step)

    def forget(self, job: Job, step: str) -> None:
        """Give a step its turn, with all its attempts, as if what came of it had never been recorded."""

        def work(session):  # type: ignore[no-untyped-def] # a closure of a few lines
            row = session.scalars(select(Step).where(Step.job_id == job.id, Step.name == step)).one()
            row.state, row.due_at, row.output, row.waiting_since = StepState.READY, self.time(), None, None
            row.forgiven = row.attempts
            session.get_one(Job, job.id).state = JobState.RUNNING
            if job.kind == SIGNUP.name:
                session.merge(self._sealed_password(job.id))  # it is wiped in the commit that is forgotten

        self.db.transaction(work)

    # -- look -------------------------------------------------------------------------------------------------

    def job_of(self, job_id: str) -> Job:
        return self.db.read(lambda session: session.get_one(Job, job_id))

    def job(self, job: Job) -> Job:
        return self.db.read(lambda session: session.get_one(Job, job.id))

    def step_rows(self, job: Job) -> list[Step]:
        statement = select(Step).where(Step.job_id == job.id).order_by(Step.position)
        return list(self.db.read(lambda session: session.scalars(statement).all()))

    def step(self, job: Job, name: str) -> Step:
        return next(step for step in self.step_rows(job) if step.name == name)

    def attempts(self, job: Job, name: str) -> list[Attempt]:
        statement = select(Attempt).where(Attempt.step_id == self.step(job, name).id).order_by(Attempt.number)
        return list(self.db.read(lambda session: session.scalars(statement).all()))

    def ledger(self, job: Job) -> list[Resource]:
        statement = select(Resource).where(Resource.subject_id == job.subject_id).order_by(Resource.ref)
        return list(self.db.read(lambda session: session.scalars(statement).all()))

    def check_refusals(self) -> None:
        """Let the time pass after which workers ask again whether they are refused, and ask."""
        self.time.advance(60)
        RefusalProbe(self.db, asking(self.clients), upstreams.logins(self.settings, self.context.vault)).run()

    def due(self) -> list[LaneMessage]:
        return dispatch.take_due(self.db, limit=100) + dispatch.take_parked(self.db, self.limits)

    def snapshot(self) -> dict[str, Any]:
        """Return the state of all upstreams once what they are at has come to rest."""
        self.harbour.gitlab.background.settle()
        found = self.harbour.snapshot()
        del found["argocd"]["templates"]  # they are of a whole group, and stay when an app goes
        return found

    def end_retention(self) -> None:
        """Let GitLab remove what it keeps of removed projects."""
        self.harbour.gitlab.background.settle()
        self.harbour.gitlab.end_retention()

    def write_count(self) -> int:
        return sum(len(service.writes()) for service in self.harbour.services)

    def call_count(self) -> int:
        return sum(len(service.calls) for service in self.harbour.services)
