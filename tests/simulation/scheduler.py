"""The scheduler of a simulation: processes whose threads switch at points only, and the time between.

Every thread of a worker is a coroutine. At a point it may go on, give way to another one, or meet a fault; `Plan` says
which. When nobody can go on, time moves to whatever is next: a timer, the end of a sleep, or what the database says is
due. The same plan gives the same run, switch by switch.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Protocol

from simulation.clock import VirtualTime
from simulation.coroutines import Coroutine
from simulation.database import KEPT_LOCKS_S, LOCK_WAIT_S, Connection, Key
from simulation.faults import Crash, FaultKind, Point, PointKind

TURNS = 20_000


class NeverSettledError(AssertionError):
    """The run has not come to rest by itself in the time that it may take."""


class Plan(Protocol):
    """Who goes next, and what happens at which point."""

    def fault_at(self, point: Point) -> FaultKind | None: ...

    def gives_way(self, point: Point) -> bool: ...

    def choose(self, count: int) -> int:
        """Return which of so many goes next."""

    def length_s(self, fault: FaultKind, at: PointKind | None = None) -> float:
        """Return how long a fault lasts."""


@dataclass(eq=False)
class Process:
    """One worker process. `host_sees_death`: others of its host notice when it ends."""

    name: str
    connections: list[Connection] = field(default_factory=list)
    is_alive: bool = True
    host_sees_death: bool = True
    frozen_until_s: float = 0.0


@dataclass(eq=False)
class Thread:
    """One thread of a process. `wake_at_s` None: it waits until somebody wakes it."""

    process: Process
    name: str
    run: Coroutine
    wake_at_s: float | None = None
    is_over: bool = False
    has_begun: bool = False
    lock_clause: Any = None  # FOR UPDATE of the statement that it is about to execute
    commits_itself: bool = False  # what it says to the database now is one statement
    rests: bool = True  # it has nothing to do, as far as it knows


class Simulation:
    """One run at a time: threads are added, `drive` lets them run until `is_over` says so."""

    def __init__(self) -> None:
        self.time = VirtualTime()
        self.begin(None)

    def begin(self, plan: Plan | None) -> None:
        """Forget everything about the run before."""
        self.plan = plan
        self.is_ending = False
        self.points: list[Point] = []
        self.faults: list[tuple[Point, FaultKind]] = []
        self.threads: list[Thread] = []
        self.writer: Connection | None = None
        self.locked: dict[Key, float] = {}
        self.current: Thread | None = None
        self.deaths: list[Process] = []
        self.died_s: list[float] = []
        self.lengths_s: list[float] = []  # of the faults that last
        self.seen: dict[Key, None] = {}  # rows that were locked by anybody
        self._writing_next: list[Thread] = []
        self.log: list[str] = []

    @property
    def is_running(self) -> bool:
        """Whether the caller is a thread of the simulation: preparations and looks are nobody's."""
        return self.current is not None and self.current.run.is_caller()

    # -- threads ----------------------------------------------------------------------------------------------

    def start(self, process: Process, name: str, work: Callable[[], object]) -> Thread:
        """Add a thread, which begins once somebody wakes it."""

        def run() -> None:
            thread.rests = False
            try:
                work()
            except Crash:
                pass
            finally:
                thread.is_over = True

        thread = Thread(process, name, Coroutine(run))
        self.threads.append(thread)
        return thread

    def drive(self, is_over: Callable[[], bool], next_due: Callable[[], None], *, within_s: float) -> None:
        """Let everything run until it is over. `next_due` wakes who has something to do once nobody has.

        Raises NeverSettledError when that takes longer than `within_s` of virtual time.
        """
        ends_at_s = self.time.seconds + within_s
        for _ in range(TURNS):
            ready = [thread for thread in self.threads if self._is_ready(thread)]
            if not ready:
                if is_over():
                    return
                next_due()
                self._pass_time()
                if self.time.seconds > ends_at_s:
                    raise NeverSettledError(f"not settled after {within_s:.0f} s")
                continue
            chosen = ready[self.plan.choose(len(ready)) if self.plan and len(ready) > 1 else 0]
            self.current = chosen
            self._resume(chosen)
            if chosen.is_over:
                self.threads.remove(chosen)
        raise NeverSettledError(f"not settled after {TURNS} turns")

    def _is_ready(self, thread: Thread) -> bool:
        now_s = self.time.seconds
        return thread.wake_at_s is not None and thread.wake_at_s <= now_s and thread.process.frozen_until_s <= now_s

    def _pass_time(self) -> None:
        wakes = [
            max(thread.wake_at_s, thread.process.frozen_until_s)
            for thread in self.threads
            if thread.wake_at_s is not None
        ]
        if self.time.timers:
            wakes.append(self.time.timers[0][0])
        if not wakes:
            raise NeverSettledError("nothing is to happen any more")
        self.time.move_to(max(self.time.seconds, min(wakes)))

    def end(self) -> None:
        """End all threads that are left, wherever they are."""
        self.is_ending = True
        for thread in self.threads:
            if thread.has_begun:
                self._resume(thread)
        self.threads = []

    def _resume(self, thread: Thread) -> None:
        self.current, thread.has_begun = thread, True
        try:
            thread.run.resume()
        finally:
            self.current = None

    # -- called by threads ------------------------------------------------------------------------------------

    def sleep(self, seconds: float) -> None:
        self.wait_until(self.time.seconds + seconds)

    def wait_until(self, at_s: float | None) -> None:
        """Let others run until then; None: until somebody wakes this thread."""
        thread = self.thread()
        thread.wake_at_s = at_s
        thread.run.pause()
        self._require_life()
        thread.wake_at_s = self.time.seconds

    def rest(self) -> None:
        """Wait until somebody has something to do for this thread."""
        thread = self.thread()
        thread.rests = True
        self.wait_until(None)
        thread.rests = False

    def pause(self, seconds: float) -> None:
        """Sleep, if the caller is a thread of the simulation: preparations need no pauses."""
        if self.is_running:
            self.sleep(seconds)

    def wake(self, thread: Thread) -> None:
        thread.wake_at_s = self.time.seconds

    def point(self, kind: PointKind, what: str) -> FaultKind | None:
        """Be at a point. Returns the fault that the caller has to act out; those of the process happen in here."""
        thread = self.thread()
        self._require_life()
        assert self.plan is not None
        point = Point(number=len(self.points), process=thread.process.name, kind=kind, what=what)
        self.points.append(point)
        if self.plan.gives_way(point):
            self.sleep(0)
        fault = self.plan.fault_at(point)
        if fault is None:
            return None
        self.faults.append((point, fault))
        if fault in (FaultKind.CRASH, FaultKind.VANISH):
            self.kill(thread.process, is_seen=fault is FaultKind.CRASH)
            raise Crash
        if fault in (FaultKind.FREEZE, FaultKind.CLOCK_BACK, FaultKind.CLOCK_AHEAD, FaultKind.LOCK_HOLDER):
            length_s = self.plan.length_s(fault, kind)
            self.lengths_s.append(length_s)
            self._befall(thread.process, fault, length_s)
            return None
        return fault

    def is_locked(self, keys: list[Key]) -> bool:
        """Say whether a frozen session, or somebody else's, has locked one of these rows."""
        return any(self.locked.get(key, 0.0) > self.time.seconds for key in keys)

    def _befall(self, process: Process, fault: FaultKind, length_s: float) -> None:
        assert self.plan is not None
        match fault:
            case FaultKind.FREEZE:
                self.freeze(process, length_s)
            case FaultKind.CLOCK_BACK:
                self.time.jump(-length_s)
            case FaultKind.CLOCK_AHEAD:
                self.time.jump(length_s)
            case FaultKind.LOCK_HOLDER if self.seen:
                key = list(self.seen)[self.plan.choose(len(self.seen))]
                if self.writer is None or key not in self.writer.held:
                    self.locked[key] = self.time.seconds + length_s

    def kill(self, process: Process, *, is_seen: bool) -> None:
        """End a process; its server sessions end with it."""
        process.is_alive = False
        self.died_s.append(self.time.seconds)
        process.host_sees_death = is_seen
        self.deaths.append(process)
        for connection in list(process.connections):
            connection.kill()
        for thread in self.threads:
            if thread.process is process and thread is not self.current:
                thread.wake_at_s = self.time.seconds  # to find out that it is dead
        process.frozen_until_s = 0.0

    def freeze(self, process: Process, seconds: float) -> None:
        """Let a process stand still. The server ends its open sessions after a while; until then its locks stay."""
        process.frozen_until_s = self.time.seconds + seconds
        self.died_s.append(self.time.seconds)
        for connection in process.connections:
            if connection.in_transaction:
                for key in connection.kill():
                    self.locked[key] = self.time.seconds + min(KEPT_LOCKS_S, seconds)
        self.sleep(0)

    def await_writer(self, connection: Connection) -> None:
        """Wait until no other session writes: SQLite has one writer at a time."""
        while self.writer is not None and self.writer is not connection:
            self._writing_next.append(self.thread())
            self.wait_until(None)
        self.writer = connection

    def release_writer(self, connection: Connection) -> None:
        if self.writer is connection:
            self.writer = None
            for thread in self._writing_next:
                self.wake(thread)
            self._writing_next = []

    def await_rows(self, connection: Connection, keys: list[Key]) -> None:
        """Wait for rows that a frozen session has locked, as long as the server waits for a lock."""
        self.seen.update(dict.fromkeys(keys))
        until_s = max((self.locked.get(key, 0.0) for key in keys), default=0.0) if self.locked else 0.0
        if until_s <= self.time.seconds:
            return
        waits_until_s = min(until_s, self.time.seconds + LOCK_WAIT_S)
        self.sleep(waits_until_s - self.time.seconds)
        if until_s > self.time.seconds:
            connection.fail(FaultKind.LOCK_WAIT)

    def process(self) -> Process:
        """Return the process of the thread that calls."""
        return self.thread().process

    def thread(self) -> Thread:
        """Return the thread that calls."""
        assert self.current is not None
        return self.current

    def _require_life(self) -> None:
        if self.is_ending or not self.thread().process.is_alive:
            raise Crash
