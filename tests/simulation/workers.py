"""Workers of a simulation: each a process with a thread that runs steps and one that is its clock and its probe."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from common.jobs.lane_messages import LaneMessage
from simulation.faults import FaultKind, PointKind
from simulation.scheduler import Simulation, Thread
from simulation.site import Site
from worker import leases, upstreams
from worker.broker_link import BrokerLink
from worker.clock import TICK_S, Clock
from worker.context import WorkerContext
from worker.lane import LaneRest
from worker.leases import LeaseRenewal
from worker.outage_probe import OutageProbe
from worker.refusals import RefusalProbe, asking
from worker.registry import StepFunction
from worker.runner import NextAction, Runner

CLEANS_AFTER_S = 60.0


class Broker:
    """Messages, and who waits for one. It may lose them, double them, and let them come late and in any order."""

    def __init__(self, simulation: Simulation) -> None:
        self._simulation = simulation
        self.messages: list[LaneMessage] = []
        self.idle: list[Thread] = []

    def put(self, lane: LaneMessage) -> None:
        simulation = self._simulation
        fault = simulation.point(PointKind.MESSAGE, lane.steps[0])
        if fault is FaultKind.MESSAGE_LOST:
            return
        if fault is FaultKind.MESSAGE_LATE:
            assert simulation.plan is not None
            at_s = simulation.time.seconds + simulation.plan.length_s(fault)
            simulation.time.at(at_s, lambda: self.deliver(lane))
            return
        self.deliver(lane)
        if fault is FaultKind.MESSAGE_TWICE:
            self.deliver(lane)

    def deliver(self, lane: LaneMessage) -> None:
        self.messages.append(lane)
        self.idle = [thread for thread in self.idle if thread.process.is_alive]
        if self.idle:
            self._simulation.wake(self.idle[self._choose(len(self.idle))])

    def take(self) -> LaneMessage:
        """Wait for a message."""
        thread = self._simulation.thread()
        while not self.messages:
            if thread not in self.idle:
                self.idle.append(thread)
            self._simulation.rest()
        if thread in self.idle:
            self.idle.remove(thread)
        return self.messages.pop(self._choose(len(self.messages)))

    def _choose(self, count: int) -> int:
        plan = self._simulation.plan
        return plan.choose(count) if plan is not None and count > 1 else 0


@dataclass(frozen=True)
class Sender:
    """What the clock sends with, in place of the publisher."""

    broker: Broker
    is_resting: bool = False

    def send(self, lanes: Iterable[LaneMessage]) -> int:
        sent = 0
        for lane in lanes:
            self.broker.put(lane)
            sent += 1
        return sent

    def backlog(self) -> set[str]:
        return {lane.tasks[0].queue for lane in self.broker.messages}


@dataclass(frozen=True)
class Host:
    """The register of the workers of one host, as the clock reads it."""

    simulation: Simulation

    def dead(self) -> list[str]:
        return [process.name for process in self.simulation.deaths if process.host_sees_death]

    def remove(self, worker: str) -> None:
        self.simulation.deaths[:] = [each for each in self.simulation.deaths if each.name != worker]


class Worker:
    """One worker: opened once, used by many runs."""

    def __init__(self, site: Site, name: str, steps: dict[str, StepFunction]) -> None:
        world = site.world
        self.name = name
        self.process, self.db, renewing = site.open_process(name)
        self._renewing = renewing
        self._context = WorkerContext(
            db=self.db.patient(leases.RECORDS_WITHIN_S),
            settings=world.settings,
            catalog=world.context.catalog,
            vault=world.context.vault,
        )
        self._clients = site.clients()
        self._simulation = site.simulation
        self._limits = world.limits
        self._logins = upstreams.logins(world.settings, world.context.vault)
        self._steps = steps
        self.is_used = False
        self.ticked_s = 0.0

    def start(self, broker: Broker, is_wanted: Callable[[str, str], bool]) -> None:
        """Start its threads; it runs the steps that are wanted and leaves other messages alone."""
        simulation, self.is_used = self._simulation, True
        self.broker = broker
        self.ticked_s = simulation.time.seconds - TICK_S
        self._renewed_s = simulation.time.seconds - leases.EVERY_S
        self.renewal = LeaseRenewal(self._renewing, clock_s=simulation.time.monotonic)
        runner = Runner(
            self._context,
            self._clients,
            self._steps,
            self._limits,
            worker=self.name,
            jitter=lambda: 1.0,
            keep_lease=self.renewal.keep,
        )

        def work() -> None:
            while True:
                lane = broker.take()
                rest = LaneRest(lane, lambda task: is_wanted(task.job_id, task.name.partition(".")[2]))
                if (step := rest.next_step()) is None:
                    continue
                try:
                    result = runner.run(lane.job_id, step, rest)
                except Exception as error:  # noqa: BLE001 - the task has failed: the rest of its chain is not sent
                    simulation.log.append(f"{self.name}: {step}: {type(error).__name__}: {error}")
                    continue
                if result.action is NextAction.GO_ON and rest.message.steps:
                    broker.put(rest.message)

        broker.idle.append(simulation.start(self.process, "work", work))
        self.clock = simulation.start(self.process, "clock", self._tick)
        self.leases = simulation.start(self.process, "leases", self._renew)

    def _tick(self) -> None:
        simulation = self._simulation
        clock = Clock(self.db, Sender(self.broker), Host(simulation), self._limits, BrokerLink())  # type: ignore[arg-type] # as good
        clock._is_prepared, clock._clean_at = True, simulation.time.seconds + CLEANS_AFTER_S  # noqa: SLF001 - once is enough
        probe = OutageProbe(self.db, self._clients.connections)
        refusals = RefusalProbe(self.db, asking(self._clients), self._logins)
        while True:
            self.ticked_s = simulation.time.seconds
            try:
                clock.tick()
                probe.run()
                refusals.run()
            except Exception as error:  # noqa: BLE001 - a periodic thread logs it and goes on
                simulation.log.append(f"{self.name}: clock: {type(error).__name__}: {error}")
            simulation.rest()

    def _renew(self) -> None:
        simulation = self._simulation
        while True:
            self._renewed_s = simulation.time.seconds
            try:
                self.renewal.renew()
            except Exception as error:  # noqa: BLE001 - as above
                simulation.log.append(f"{self.name}: leases: {type(error).__name__}: {error}")
            simulation.rest()

    def ticks_at_s(self, due_s: float) -> float:
        """Return when its clock can be at what is due."""
        return max(self._simulation.time.seconds, due_s, self.ticked_s + TICK_S, self.process.frozen_until_s)

    def renews_at_s(self) -> float | None:
        """Return when it renews a lease next, None while it holds no claim."""
        held = self.renewal._held.values()  # noqa: SLF001 - its thread looks every half second: that would take long
        if not held:
            return None
        oldest_s = min(each.renewed_at_s for each in held)
        return max(self._simulation.time.seconds, oldest_s + leases.RENEW_AFTER_S, self._renewed_s + leases.EVERY_S)

    def reset(self) -> None:
        """Be as new for the next run."""
        if not self.is_used:
            return
        is_clean = self.process.is_alive and not any(
            each.is_killed or each.in_transaction for each in self.process.connections
        )
        if not is_clean:
            self.db.dispose()
            self._renewing.dispose()
            self.process.connections.clear()
        self.process.is_alive, self.process.frozen_until_s, self.is_used = True, 0.0, False


def opened_workers(site: Site, count: int) -> list[Worker]:
    return [Worker(site, f"w{number}", site.world.steps) for number in range(1, count + 1)]
