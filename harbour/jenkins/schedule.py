"""Executors: when a queue item gets one, and how its build runs.

    waiting ── quiet period ──▶ blocked · buildable ── an executor ──▶ pending ─▶ left ─▶ build ─▶ result

Nothing runs in the background: every request first catches up with what has happened since the last one, in the order
of the clock. A test that moves the clock by hours therefore gets hours of builds.
"""

from __future__ import annotations

from dataclasses import asdict

from werkzeug.wrappers import Request, Response

from harbour.config import HarbourConfig
from harbour.jenkins import properties, xml
from harbour.jenkins.core import Clock
from harbour.jenkins.items import JenkinsItems
from harbour.jenkins.model import Build, QueueItem
from harbour.jenkins.pipelines import carried_out
from harbour.jenkins.steps import NOTE
from harbour.jenkins.workspace import Account
from harbour.registry import Registry

NEVER = float("inf")


class JenkinsSchedule(JenkinsItems):
    """The executors. Tests make a phase, in seconds, long enough to observe it."""

    executors = 2
    quiet_period_s = 5.0
    pending_s = 0.01  # assigned to an executor: still in the queue, no longer merged with an equal item
    starting_s = 0.01  # left the queue, no build yet: in neither list
    attaching_s = 0.01  # a build, but without its parameters
    finishing_s = 0.01  # no longer building, but in progress
    forget_queue_items = False
    """While True, waiting items are lost, as after a crash."""

    def __init__(self, config: HarbourConfig, now: Clock) -> None:
        super().__init__(config, now)
        self.queue: dict[int, QueueItem] = {}
        self.builds: dict[str, list[Build]] = {}  # by the job's full name, the oldest first
        self.last_queue_id = 0
        self.registry = Registry()
        self.credential_ids: list[str] = []
        self.folder_credential_ids: dict[str, list[str]] = {}
        self.accounts: dict[str, Account] = {}
        """What credentials hold, by folder and id: `dev/gitlab`, or `gitlab` of the system. One that is not here holds
        the account that may clone. It is not saved: it has passwords."""
        self.has_docker_daemon = True
        self.outcomes: dict[str, list[str]] = {}
        """How the next builds of a job end, by its full name; every other build is a SUCCESS."""
        self.vetoed: set[str] = set()
        """Full names of jobs for which a plugin refuses to queue anything."""
        self._caught_up_to = 0.0

    def dispatch(self, request: Request, path: str) -> Response:
        with self.lock:
            self.catch_up()
            return super().dispatch(request, path)

    # -- the clock -------------------------------------------------------------------------------------------

    def catch_up(self) -> None:
        """Bring the queue and the builds up to the current time."""
        now = self.now()
        if self.forget_queue_items:
            self.drop_items(self.unassigned_items())
        while waiting := self.unassigned_items():
            free_at = self._executor_free_at()
            at, number = min((max(free_at, self._ready_at(item)), item.id) for item in waiting)
            if at > now:
                break
            self._assign_executor(self.queue[number], at)
        self._caught_up_to = now
        self._push_images(now)
        self.drop_items([item for item in self.queue.values() if item.is_forgotten(now)])
        self._rotate(now)

    def unassigned_items(self) -> list[QueueItem]:
        return [item for item in self.queue.values() if item.left_at is None]

    def _ready_at(self, item: QueueItem) -> float:
        # not before the last request: an item that was shown as waiting did wait
        return max(item.due_at + self.config.queue_s, self.job_free_at(item.job), self._caught_up_to)

    def _executor_free_at(self) -> float:
        ends = sorted((build.over_at for builds in self.builds.values() for build in builds), reverse=True)
        if self.executors < 1:
            return NEVER
        return ends[self.executors - 1] if len(ends) >= self.executors else 0.0

    def job_free_at(self, job: str) -> float:
        if xml.allows_concurrent_builds(self.items[job]):
            return 0.0
        return max((build.over_at for build in self.builds.get(job, [])), default=0.0)

    def _assign_executor(self, item: QueueItem, at: float) -> None:
        """Give the item its executor, and create its build with all its times."""
        builds = self.builds.setdefault(item.job, [])
        started_at = item.left_at = at + self.pending_s
        item.number = builds[-1].number + 1 if builds else 1
        shown_at = started_at + self.starting_s
        ends_at = shown_at + self.attaching_s + self.config.build_s
        build = Build(
            job=item.job,
            number=item.number,
            queue_id=item.id,
            parameters=item.parameters,
            user=item.user,
            **asdict(xml.source(self.items[item.job])),
            started_at=started_at,
            shown_at=shown_at,
            attached_at=shown_at + self.attaching_s,
            ends_at=ends_at,
            over_at=ends_at + self.finishing_s,
            planned_s=ends_at - started_at,
            outcome=self._next_outcome(item.job),
        )
        builds.append(build)
        self._carry_out(build)
        self.save()

    def _carry_out(self, build: Build) -> None:
        """Run the pipeline now, to know what its console shows later and how it ends."""
        chosen = build.outcome
        document = self.items[build.job]
        outcome = carried_out(
            build,
            script=xml.text(document, "definition/script"),
            account=lambda credential: self.account_of(build.job, credential),
            plugins=frozenset(self.plugins),
            registry=self.registry,
            has_docker=self.has_docker_daemon,
        )
        build.outcome = outcome.result if chosen in ("SUCCESS", "UNSTABLE") else chosen
        build.lines = [f"Started by user {NOTE}{build.user}", *outcome.lines]
        build.description, build.images = outcome.description, outcome.images
        build.checkouts = [{"url": c.url, "branch": c.branch, "commit": c.commit} for c in outcome.checkouts]
        if outcome.parameters is not None:
            change = properties.set_by_step if outcome.is_set_by_step else properties.declared_by_pipeline
            self.items[build.job] = change(document, outcome.parameters)

    def account_of(self, job: str, credential: str) -> Account | None:
        """Return what a credential holds that a job may use: of its nearest folder that has it, or of the system."""
        parts = job.split("/")
        for folder in ("/".join(parts[:depth]) for depth in range(len(parts) - 1, -1, -1)):
            if credential in (self.folder_credential_ids.get(folder, []) if folder else self.credential_ids):
                reader = Account(self.config.gitlab_user, self.config.gitlab_read_token)
                return self.accounts.get(f"{folder}/{credential}".lstrip("/"), reader)
        return None

    def _push_images(self, now: float) -> None:
        """Put the images of builds that have ended into the registry."""
        for build in (each for builds in self.builds.values() for each in builds):
            if build.images and not build.has_pushed and build.aborted_at is None and not build.is_building(now):
                build.has_pushed = True
                for image, commit in build.images.items():
                    self.registry.push(image, commit=commit)

    def _next_outcome(self, job: str) -> str:
        chosen = self.outcomes.get(job)
        return chosen.pop(0) if chosen else "SUCCESS"

    def drop_items(self, items: list[QueueItem]) -> None:
        for item in items:
            del self.queue[item.id]

    def _rotate(self, now: float) -> None:
        for job, builds in self.builds.items():
            rotation = xml.rotation(self.items[job])
            if rotation is not None:
                self.builds[job] = _rotated(builds, rotation, now)


def _rotated(builds: list[Build], rotation: xml.Rotation, now: float) -> list[Build]:
    """Return what log rotation keeps: always the last build, the last good one and those that run."""
    good = [build.number for build in builds if build.result(now) == "SUCCESS"]
    kept = {builds[-1].number if builds else 0, good[-1] if good else 0}
    newest = {build.number for build in builds[-rotation.builds :]}
    return [
        build
        for build in builds
        if build.number in kept
        or build.is_in_progress(now)
        or (build.number in newest and now - build.started_at <= rotation.age_s)
    ]
