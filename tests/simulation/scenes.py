"""Scenes: every step of every workflow at its turn, with other people's things beside ours, and the runs of them."""

from __future__ import annotations

import itertools
from dataclasses import dataclass, field
from datetime import UTC, datetime

from support.operators import Hands, pipeline_xml
from support.step_cases import Case, Stages
from support.worlds import SOMEBODY

from common.jobs.lane_messages import LaneMessage
from simulation import oracle
from simulation.faults import FaultKind, Point
from simulation.oracle import Ending
from simulation.plans import Quiet
from simulation.scheduler import NeverSettledError, Plan
from simulation.site import Moment, Site
from simulation.workers import Broker, Worker, opened_workers

WORKERS = 3
SPARE = 6  # who takes the place of those that die
REPLACED_AFTER_S = 1.0
SETTLED = ("succeeded", "failed", "skipped", "cancelled")
A_FAULT_COSTS_S = 120.0  # at most, before the step is settled
DEATHS = (FaultKind.CRASH, FaultKind.VANISH, FaultKind.CRASH_LATE, FaultKind.FREEZE)


@dataclass(frozen=True)
class Scene:
    """A step at its turn: from which moment on, and how it ends when nothing happens."""

    case: Case
    moment: Moment
    job_id: str
    lane: LaneMessage
    points: tuple[Point, ...] = ()
    took_s: float = 0.0
    ending: Ending | None = None


@dataclass
class Run:
    """One run of a scene, and what was wrong with it."""

    scene: Scene
    faults: list[tuple[Point, FaultKind]] = field(default_factory=list)
    points: tuple[Point, ...] = ()
    took_s: float = 0.0
    ending: Ending | None = None
    violations: list[str] = field(default_factory=list)

    def __str__(self) -> str:
        happened = "\n".join(f"    {fault} at {point}" for point, fault in self.faults)
        return f"{self.scene.case.name}\n{happened}\n  " + "\n  ".join(self.violations)


class Stage:
    """Where scenes are played."""

    def __init__(self, site: Site) -> None:
        self.site = site
        self._simulation = site.simulation
        self._workers = opened_workers(site, WORKERS + SPARE)
        _settle_strangers(Hands(site.harbour))
        self._beginning = site.keep()
        self._scenes: dict[str, Scene] = {}

    def scene(self, case: Case) -> Scene:
        """Return a case's scene, prepared once."""
        if case.name not in self._scenes:
            self._scenes[case.name] = self._prepared(case)
        return self._scenes[case.name]

    def _prepared(self, case: Case) -> Scene:
        self.site.go_back(self._beginning)
        numbers = itertools.count(1)
        job = Stages(self.site.world, lambda stem: f"{stem}-{next(numbers)}").begin(case)
        self.site.rows.ask(
            "UPDATE steps SET nudge_at = NULL WHERE NOT (job_id = ? AND name = ?)", job.id, case.step.name
        )
        lane = LaneMessage(job_id=job.id, kind=job.kind, steps=(case.step.name,))
        bare = Scene(case, self.site.keep(), job.id, lane)
        self.play(bare, Quiet())  # what is remembered from now on, it learns here
        clean = self.play(bare, Quiet())
        assert not clean.violations, clean
        return Scene(case, bare.moment, job.id, lane, clean.points, clean.took_s, clean.ending)

    def play(self, scene: Scene, plan: Plan) -> Run:
        """Play a scene from its beginning until it has come to rest, and compare how it ends."""
        site, simulation = self.site, self._simulation
        site.go_back(scene.moment)
        simulation.begin(plan)
        broker = Broker(simulation)
        crew = _Crew(self, broker, scene)
        run, began_s = Run(scene), site.time.seconds
        broker.deliver(scene.lane)
        try:
            simulation.drive(crew.is_over, crew.next_due, within_s=scene.took_s + A_FAULT_COSTS_S * 5)
        except NeverSettledError as error:
            run.violations.append(str(error))
        run.took_s = (crew.settled_s or site.time.seconds) - began_s
        run.points, run.faults = tuple(simulation.points), simulation.faults
        try:
            run.violations += crew.left_behind()
        finally:
            simulation.end()
            for worker in self._workers:
                worker.reset()
        run.ending = oracle.look(site, scene.job_id, scene.lane.steps)
        run.violations += self._judge(scene, run)
        return run

    def _judge(self, scene: Scene, run: Run) -> list[str]:
        assert run.ending is not None
        if scene.ending is None:
            state = run.ending.steps[scene.case.step.name][0]
            return [] if state == "succeeded" else [f"it {state}"]
        found = run.ending.differences(scene.ending)
        limit_s = scene.took_s + A_FAULT_COSTS_S * len(run.faults)
        if run.took_s > limit_s:
            found.append(f"took {run.took_s:.0f} s, {limit_s:.0f} s are allowed")
        attempts = self.site.rows.ask(
            "SELECT a.number, a.outcome, a.reason FROM attempts a JOIN steps s ON s.id = a.step_id"
            " WHERE s.job_id = ? AND s.name = ?",
            *(scene.job_id, scene.case.step.name),
        )
        lost = sum(outcome == "lost" for _, outcome, _ in attempts)
        deaths = sum(fault in DEATHS for _, fault in run.faults)
        if lost > deaths:
            found.append(f"{lost} attempts are said to be lost, {deaths} workers were: {attempts}")
        if any(outcome is None for _, outcome, _ in attempts):
            found.append(f"an attempt is still open: {attempts}")
        return found

    @property
    def workers(self) -> list[Worker]:
        return self._workers


class _Crew:
    """The workers of one run: who is there, who takes the place of the dead, who has something to do."""

    def __init__(self, stage: Stage, broker: Broker, scene: Scene) -> None:
        self._site = stage.site
        self._simulation = stage.site.simulation
        self._scene = scene
        self._broker = broker
        self._spare = iter(stage.workers[WORKERS:])
        self._workers = list(stage.workers[:WORKERS])
        self.settled_s: float | None = None
        for worker in self._workers:
            worker.start(broker, self._is_wanted)

    def _is_wanted(self, job_id: str, step: str) -> bool:
        return job_id == self._scene.job_id and step in self._scene.lane.steps

    def is_over(self) -> bool:
        """Say whether the step is settled and nobody is at anything any more."""
        state = self._site.rows.ask(
            "SELECT state FROM steps WHERE job_id = ? AND name = ?", self._scene.job_id, self._scene.case.step.name
        )[0][0]
        if state not in SETTLED:
            self.settled_s = None
            return False
        self.settled_s = self.settled_s or self._site.time.seconds
        now_s = self._simulation.time.seconds
        return all(
            thread.rests and thread.process.frozen_until_s <= now_s
            for thread in self._simulation.threads
            if thread.process.is_alive
        )

    def next_due(self) -> None:
        """Replace the dead, let leases be renewed, and let the first clock that can tick when something is due."""
        for worker in [each for each in self._workers if not each.process.is_alive]:
            self._workers.remove(worker)
            self._simulation.time.at(self._site.time.seconds + REPLACED_AFTER_S, self._replace)
        for worker in self._workers:
            if worker.leases.rests:
                worker.leases.wake_at_s = worker.renews_at_s()
        resting = [worker for worker in self._workers if worker.clock.rests]
        for worker in resting:
            worker.clock.wake_at_s = None
        due_s = self._due_s()
        if due_s is not None and resting and self.settled_s is None:
            first = min(resting, key=lambda worker: worker.ticks_at_s(due_s))
            first.clock.wake_at_s = first.ticks_at_s(due_s)

    def _replace(self) -> None:
        worker = next(self._spare, None)
        if worker is not None:
            worker.start(self._broker, self._is_wanted)
            self._workers.append(worker)

    def _due_s(self) -> float | None:
        """Return when a clock or a probe has something to do."""
        ask, time = self._site.rows.ask, self._site.time
        [(nudge_at, parked, look_at)] = ask(
            "SELECT (SELECT MIN(nudge_at) FROM steps), (SELECT COUNT(*) FROM steps WHERE parked_at IS NOT NULL"
            " AND state IN ('ready', 'waiting', 'retrying')), (SELECT MIN(look_at) FROM upstreams)"
        )
        times = [
            time.until(datetime.fromisoformat(at).replace(tzinfo=UTC)) for at in (nudge_at, look_at) if at is not None
        ]
        if parked or any(process.host_sees_death for process in self._simulation.deaths):
            times.append(time.seconds)
        return min(times, default=None)

    def left_behind(self) -> list[str]:
        """Return what nobody should have left behind."""
        now = self._site.time().replace(tzinfo=None)
        taken = self._site.rows.ask(
            "SELECT upstream, number, until FROM slots WHERE until > ?", now.isoformat(" ", "microseconds")
        )
        return [f"a slot is taken: {taken}"] if taken else []


def _settle_strangers(hands: Hands) -> None:
    """Let other people's things be there first: nothing may ever change them."""
    hands.found_project("dev/theirs", SOMEBODY)
    hands.make_item("dev", "theirs", pipeline_xml(SOMEBODY))
    hands.make_application("theirs", project="dev")
    hands.make_kibana_user("theirs")
    hands.make_jenkins_user("theirs")
    hands.register("https://git.example/theirs.git", "dev")
