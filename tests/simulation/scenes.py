"""Scenes: every step of every workflow at its turn, with other people's things beside ours, and the runs of them."""

from __future__ import annotations

import itertools
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime

from support.operators import Hands, pipeline_xml
from support.step_cases import CASES, Case, Stages
from support.worlds import SOMEBODY

from common.database.models import Job
from common.jobs import lane_messages
from common.jobs.lane_messages import LaneMessage
from common.workflows import WORKFLOWS, task_name
from simulation import judge
from simulation.faults import FaultKind, Point
from simulation.oracle import Ending
from simulation.plans import Quiet
from simulation.scheduler import NeverSettledError, Plan
from simulation.site import Moment, Site
from simulation.workers import Broker, opened_workers

WORKERS = 3
SPARE = 6  # who takes the place of those that die
REPLACED_AFTER_S = 1.0
SETTLED = ("succeeded", "failed", "skipped", "cancelled")
LONGEST_S = 3000.0  # beyond the time of a run in which nothing happens
STEPS = {case.name: case for case in CASES}
JOBS = [name for name, flow in WORKFLOWS.items() if len(flow.lanes[0].steps) > 1]


Wanted = tuple[str, str]  # a job's id and the name of one of its steps


@dataclass(frozen=True, kw_only=True)
class Scene:
    """Steps at their turn: from which moment on, and how they end when nothing happens.

    The lanes of `job_id` are the scene's; one of another job runs beside them where there is a `bystander`.
    """

    name: str
    moment: Moment
    job_id: str
    lanes: tuple[LaneMessage, ...]
    bystander: LaneMessage | None = None
    points: tuple[Point, ...] = ()
    took_s: float = 0.0
    bystander_took_s: float = 0.0
    ending: Ending | None = None

    @property
    def messages(self) -> list[LaneMessage]:
        return [*self.lanes, *([self.bystander] if self.bystander else [])]

    @property
    def wanted(self) -> list[Wanted]:
        return [(lane.job_id, step) for lane in self.messages for step in lane.steps]


@dataclass
class Run:
    """One run of a scene, and what was wrong with it."""

    scene: Scene
    faults: list[tuple[Point, FaultKind]] = field(default_factory=list)
    points: tuple[Point, ...] = ()
    took_s: float = 0.0
    bystander_took_s: float = 0.0
    resumed_s: float | None = None  # after the only fault, a death: when the next attempt began
    ending: Ending | None = None
    violations: list[str] = field(default_factory=list)

    def __str__(self) -> str:
        happened = "\n".join(f"    {fault} at {point}" for point, fault in self.faults)
        return f"{self.scene.name}\n{happened}\n  " + "\n  ".join(self.violations)


class Stage:
    """Where scenes are played."""

    def __init__(self, site: Site) -> None:
        self.site = site
        self._simulation = site.simulation
        self.workers = opened_workers(site, WORKERS + SPARE)
        _settle_strangers(Hands(site.harbour))
        self._beginning = site.keep()
        self._scenes: dict[str, Scene] = {}

    def scene(self, name: str) -> Scene:
        """Return a scene, prepared once: of one step, `workflow.step`, or of a whole job, `workflow`."""
        if name not in self._scenes:
            self._scenes[name] = self._learned(self._step(STEPS[name]) if name in STEPS else self._job(name))
        return self._scenes[name]

    def _step(self, case: Case) -> Scene:
        job = self._begun(case)
        lane = LaneMessage(job_id=job.id, kind=job.kind, steps=(case.step.name,))
        return self._kept(case.name, job.id, (lane,))

    def _job(self, name: str) -> Scene:
        flow = WORKFLOWS[name]
        job = self._begun(STEPS[task_name(name, flow.lanes[0].steps[0].name)])
        beside = self.site.world.sign_up("bystander")
        bystander = LaneMessage(job_id=beside.id, kind=beside.kind, steps=("create_kibana_user",))
        return self._kept(name, job.id, tuple(lane_messages.of_new_job(job)), bystander)

    def _begun(self, case: Case) -> Job:
        self.site.go_back(self._beginning)
        numbers = itertools.count(1)
        return Stages(self.site.world, lambda stem: f"{stem}-{next(numbers)}").begin(case)

    def _kept(
        self, name: str, job_id: str, lanes: tuple[LaneMessage, ...], bystander: LaneMessage | None = None
    ) -> Scene:
        """Keep this moment; steps that are no part of the scene are never due in it."""
        messages = [*lanes, *([bystander] if bystander else [])]
        heads = [f"{lane.job_id} {lane.steps[0]}" for lane in messages]
        self.site.rows.ask(
            f"UPDATE steps SET nudge_at = NULL WHERE job_id || ' ' || name NOT IN ({', '.join('?' * len(heads))})",  # noqa: S608 - marks
            *heads,
        )
        return Scene(name=name, moment=self.site.keep(), job_id=job_id, lanes=lanes, bystander=bystander)

    def _learned(self, bare: Scene) -> Scene:
        """Return the scene with how it ends when nothing happens."""
        self.play(bare, Quiet())  # what is remembered from now on, it learns here
        clean = self.play(bare, Quiet())
        assert not clean.violations, clean
        return replace(
            bare,
            points=clean.points,
            took_s=clean.took_s,
            bystander_took_s=clean.bystander_took_s,
            ending=clean.ending,
        )

    def play(self, scene: Scene, plan: Plan) -> Run:
        """Play a scene from its beginning until it has come to rest, and compare how it ends."""
        site, simulation = self.site, self._simulation
        site.go_back(scene.moment)
        simulation.begin(plan)
        broker = Broker(simulation)
        crew = _Crew(self, broker, scene)
        run, began_s = Run(scene), site.time.seconds
        for message in scene.messages:
            broker.deliver(message)
        try:
            simulation.drive(crew.is_over, crew.next_due, within_s=scene.took_s + LONGEST_S)
        except NeverSettledError as error:
            run.violations.append(str(error))
        run.took_s = (crew.settled_s or site.time.seconds) - began_s
        run.points, run.faults = tuple(simulation.points), simulation.faults
        simulation.end()
        for worker in self.workers:
            worker.reset()
        if scene.bystander:
            run.bystander_took_s = judge.finished_s(site, scene.bystander) - began_s
        run.ending = judge.look(site, scene.wanted)
        run.violations += judge.left_behind(site)
        if scene.ending is None:
            run.violations += [
                f"{name} {state}" for name, (state, _) in run.ending.steps.items() if state != "succeeded"
            ]
        else:
            run.violations += judge.differences(run.ending, scene.ending)
            run.violations += judge.times(
                run.faults,
                simulation.lengths_s,
                [
                    ("it", run.took_s, scene.took_s),
                    *([("the other job", run.bystander_took_s, scene.bystander_took_s)] if scene.bystander else []),
                ],
            )
            run.violations += judge.attempts(site, scene.wanted, run.faults)
            run.resumed_s = judge.resumed_s(site, scene.wanted, simulation.died_s) if len(run.faults) == 1 else None
        return run


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
        return (job_id, step) in self._scene.wanted

    def is_over(self) -> bool:
        """Say whether the steps are settled and nobody is at anything any more."""
        rows = self._site.rows.ask("SELECT job_id, name FROM steps WHERE state NOT IN (?, ?, ?, ?)", *SETTLED)
        if any(wanted in rows for wanted in self._scene.wanted):
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
        [(nudge_at, parked, *looks)] = ask(
            "SELECT (SELECT MIN(nudge_at) FROM steps), (SELECT COUNT(*) FROM steps WHERE parked_at IS NOT NULL"
            " AND state IN ('ready', 'waiting', 'retrying')"
            " AND upstream NOT IN (SELECT name FROM upstreams WHERE look_at IS NOT NULL"
            " UNION SELECT upstream FROM refusals WHERE since IS NOT NULL AND trial_since IS NULL)),"
            " (SELECT MIN(look_at) FROM upstreams), (SELECT MIN(look_at) FROM refusals WHERE since IS NOT NULL)"
        )
        times = [
            time.until(datetime.fromisoformat(at).replace(tzinfo=UTC)) for at in (nudge_at, *looks) if at is not None
        ]
        if parked or any(process.host_sees_death for process in self._simulation.deaths):
            times.append(time.seconds)
        return min(times, default=None)


def _settle_strangers(hands: Hands) -> None:
    """Let other people's things be there first: nothing may ever change them."""
    hands.found_project("dev/theirs", SOMEBODY)
    hands.make_item("dev", "theirs", pipeline_xml(SOMEBODY))
    hands.make_application("theirs", project="dev")
    hands.make_kibana_user("theirs")
    hands.make_jenkins_user("theirs")
    hands.register("https://git.example/theirs.git", "dev")
