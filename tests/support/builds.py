"""An app whose pipeline builds, the Jenkins that does it, and what went on there."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from contextlib import contextmanager

import requests
from sqlalchemy.orm import Session

from common.database.models import Job
from common.jobs import build_log, interventions
from common.states import StepState
from harbour.jenkins.app import Jenkins
from harbour.jenkins.model import Build
from support.faults import Mishap, clients_with
from support.world import World
from worker.build_parameters import BUILD_KEY
from worker.runner import Runner, StepResult

MOMENTS = ("quiet_period_s", "pending_s", "starting_s", "attaching_s", "finishing_s", "stopping_s", "executors")


class Plant:
    """One app with its pipeline."""

    def __init__(self, world: World, app: str) -> None:
        self.world = world
        self.jenkins: Jenkins = world.harbour.jenkins
        self.made = world.drive(world.make_app(app))
        self.pipeline = f"dev/{app}_dev"
        self.path = f"/job/dev/job/{app}_dev"

    def accept(self) -> Job:
        return self.world.accept_build(self.made)

    # -- run ----------------------------------------------------------------------------------------------------

    def wait_for(self, job: Job, step: str) -> None:
        """Move time to when the step is due."""
        row = self.world.step(job, step)
        due_at = row.lease_until if row.state is StepState.RUNNING else row.due_at
        if due_at is not None and due_at > self.world.time():
            self.world.time.advance((due_at - self.world.time()).total_seconds())

    def try_once(self, job: Job, step: str) -> StepResult:
        self.wait_for(job, step)
        return self.world.runner.run(job.id, step)

    def runner_with(self, mishap: Mishap) -> Runner:
        clients = clients_with(self.world.clients, self.world.settings, mishap)
        return Runner(
            self.world.context, clients, self.world.steps, self.world.limits, worker="unlucky", jitter=lambda: 1.0
        )

    def cancel(self, job: Job) -> Job:
        now = self.world.time()
        return self.world.db.transaction(lambda session: interventions.cancel(session, job.id, now))

    # -- look ---------------------------------------------------------------------------------------------------

    def builds(self, job: Job) -> list[Build]:
        with self.jenkins.lock:
            self.jenkins.catch_up()
            return [each for each in self.jenkins.builds.get(self.pipeline, []) if each.parameter(BUILD_KEY) == job.id]

    def queued(self, job: Job) -> int:
        """Return how many items wait that will still become builds of this job."""
        ours = {"name": BUILD_KEY, "value": job.id}
        with self.jenkins.lock:
            self.jenkins.catch_up()
            waiting = [item for item in self.jenkins.queue.values() if item.left_at is None]
            return sum(any(each.items() >= ours.items() for each in item.parameters) for item in waiting)

    def started(self, job: Job) -> int:
        """Return how often the job was built, or is going to be."""
        return len(self.builds(job)) + self.queued(job)

    def is_building(self, job: Job) -> bool:
        return any(build.is_in_progress(self.jenkins.now()) for build in self.builds(job))

    def kept_console(self, job: Job) -> str:
        """Return what `GET /jobs/{id}/log` would tell, page by page."""

        def read_all(session: Session) -> str:
            page = build_log.read(session, job.id, start=0)
            text = page.text
            while not page.is_end:
                page = build_log.read(session, job.id, start=page.next_start)
                text += page.text
            return text

        return self.world.db.read(read_all)

    def console(self, number: int) -> str:
        """Return what Jenkins itself shows of a build."""
        answer = requests.get(f"{self.jenkins.url}{self.path}/{number}/consoleText", auth=self._account, timeout=5)
        answer.raise_for_status()
        return answer.content.decode()

    def start_by_hand(self) -> None:
        """Start a build as a person does, without a job of ours."""
        path = f"{self.path}/buildWithParameters?delay=0sec"
        answer = requests.post(f"{self.jenkins.url}{path}", auth=self._account, allow_redirects=False, timeout=5)
        assert answer.status_code in (201, 303)

    @property
    def _account(self) -> tuple[str, str]:
        return self.jenkins.config.jenkins_user, self.jenkins.config.jenkins_token


@contextmanager
def paced(jenkins: Jenkins) -> Iterator[None]:
    """Let a test change how long things take on Jenkins; afterwards they take what they took."""
    config, moments = jenkins.config, {name: getattr(jenkins, name) for name in MOMENTS}
    try:
        yield
    finally:
        jenkins.config = config
        for name, value in moments.items():
            setattr(jenkins, name, value)
        jenkins.unstoppable.clear()
        jenkins.ignoring_stop.clear()


def pace(jenkins: Jenkins, *, build_s: float, queue_s: float = 0.1) -> None:
    """Set how long builds take, and a place in the queue."""
    jenkins.config = dataclasses.replace(jenkins.config, build_s=build_s, queue_s=queue_s)
