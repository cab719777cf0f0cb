"""One round: many jobs, each held at a kill point of its own, and one fault; then all has to come right by itself."""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from typing import Any

import pymysql

from support.chaos.callers import new_request_id
from support.chaos.database import NAME
from support.chaos.faults import Fault, Party, wait_s
from support.chaos.installation import Installation
from support.chaos.outcomes import Case, Outcome
from support.chaos.points import Moment, Point, Rehearsal, effective_writes, labelled
from support.chaos.scenarios import CANCELS, CROWD, NEEDS_APP, NEEDS_PERSON, Accepted, Scenarios

HELD_S = 18.0  # before the fault; `labelled_worker` waits longer for an answer, and a step's limit is longer still
REACHED_S = 90.0
FAR = 3  # steps before a point: such jobs are accepted before the others
SETTLED_S = 150.0
BYSTANDERS = 4
DELAYED_S = 10.0


class Rounds:
    """Runs rounds on one installation; `victim` is the worker that faults of workers meet."""

    def __init__(self, installation: Installation, scenarios: Scenarios, rehearsal: Rehearsal, *, victim: str) -> None:
        self._installation = installation
        self._scenarios = scenarios
        self._rehearsal = rehearsal
        self._victim = victim
        self._since = max((call["order"] for call in scenarios.calls()), default=0)  # the last one that was looked at
        self._locks: list[pymysql.Connection[Any]] = []
        self._awaiting: list[Accepted] = []  # jobs that take minutes: `finish` waits for them

    def run(self, fault: Fault, points: Sequence[Point], moment: Moment) -> Outcome:
        """Run one round. Points that were not reached in time are in no case of its outcome."""
        began_s = time.monotonic()
        self._scenarios.stock(
            apps=sum(point.kind in NEEDS_APP for point in points),
            people=sum(point.kind in NEEDS_PERSON for point in points),
        )
        jobs = self._accept(points, moment)
        held = self._await_points(jobs)
        cases = self._cases(jobs, held, fault)
        began_at = datetime.now(UTC)
        fault.begin(self._installation, self._victim)
        self._installation.harbour.release(is_dropped=moment is not Moment.DURING)
        self._unlock()
        bystanders = self._bystanders(fault)
        wait_s(fault.lasts_s)
        fault.end(self._installation, self._victim)
        healed_s = time.monotonic()
        everyone = [*(job for point, job in jobs.items() if not point.is_awaited), *bystanders]
        self._awaiting += [job for point, job in jobs.items() if point.is_awaited]
        unsettled = self._settle(everyone)
        settled_s = time.monotonic() - healed_s
        problems = [f"never settled: {job}" for job in unsettled]
        problems += self._failures(everyone)
        problems += self._surplus(list(jobs.values()))
        if not fault.may_lose_attempts:
            problems += self._lost_attempts(everyone)
        delays = self._durations(bystanders)
        if fault.party is Party.WORKER:
            limit_s = DELAYED_S + self.usual_s()
            problems += [f"another job took {took_s:.1f} s" for took_s in delays if took_s > limit_s]
        self._installation.await_workers()
        for job in everyone:
            self._scenarios.give_back(job)
        outcome = Outcome(
            fault=fault.name,
            moment=moment.value,
            cases=cases,
            problems=problems,
            resumed_s=self._resumed_s(cases, began_at),
            bystanders_s=delays,
            settled_s=settled_s,
        )
        print(  # noqa: T201 - long runs show how far they are
            f"{time.monotonic() - began_s:4.0f} s  {fault.name}, {moment}: {len(cases)} met, "
            f"not reached {[point.name for point in points if point not in held]}, "
            f"settled after {settled_s:.0f} s, {problems or 'all well'}",
            flush=True,
        )
        return outcome

    def finish(self) -> list[str]:
        """Wait for the jobs that no round has waited for, and return what is wrong with them."""
        problems = [f"never settled: {job}" for job in self._settle(self._awaiting)]
        self._since = 0
        return problems + self._failures(self._awaiting) + self._surplus(self._awaiting)

    # -- before the fault -------------------------------------------------------------------------------------

    def _accept(self, points: Sequence[Point], moment: Moment) -> dict[Point, Accepted]:
        kind = "hold_reply" if moment is Moment.AFTER else "hold"
        ids = {point: new_request_id(point.kind) for point in points}
        for point in points:
            if point.step == CANCELS:
                self._scenarios.keep_open(ids[point])
            if not point.is_locked:
                label = point.label(ids[point])
                self._installation.harbour.fault(
                    point.upstream, kind=kind, times=1, skip=point.earlier, user_agent=label
                )
        far, near = ([point for point in points if (point.depth >= FAR) is is_far] for is_far in (True, False))
        with ThreadPoolExecutor(CROWD) as crowd:
            jobs: dict[Point, Accepted] = {}
            for group in (far, near):
                self._await_last_but_one(jobs)
                accepted = crowd.map(lambda point: self._scenarios.accept(point.kind, ids[point]), group)
                made = dict(zip(group, accepted, strict=True))
                list(crowd.map(self._lock_app, [job for point, job in made.items() if point.is_locked]))
                jobs |= made
            list(crowd.map(self._scenarios.cancel, [job for point, job in jobs.items() if point.step == CANCELS]))
        return jobs

    def _await_last_but_one(self, jobs: dict[Point, Accepted]) -> None:
        """Wait until these jobs have at most one step to do before their points, or for as long as calls are held."""
        ends_at_s = time.monotonic() + HELD_S
        while jobs and time.monotonic() < ends_at_s:
            rows = self._installation.rows(
                "SELECT job_id, COUNT(*) AS done FROM steps WHERE state = 'succeeded' AND job_id IN %s GROUP BY job_id",
                [job.job_id for job in jobs.values()],
            )
            done = {row["job_id"]: row["done"] for row in rows}
            if all(done.get(job.job_id, 0) >= point.depth - 1 for point, job in jobs.items()):
                break
            time.sleep(0.1)

    def _lock_app(self, job: Accepted) -> None:
        """Keep others from changing the app's row. They may refer to it, and the job's own row stays free."""
        app_id = self._installation.rows("SELECT app_id FROM jobs WHERE id = %s", job.job_id)[0]["app_id"]
        lock = self._installation.primary.connect(NAME)
        self._locks.append(lock)
        with lock.cursor() as cursor:
            cursor.execute("BEGIN")
            cursor.execute("SELECT id FROM apps WHERE id = %s LOCK IN SHARE MODE", (app_id,))

    def _unlock(self) -> None:
        for lock in self._locks:
            lock.close()
        self._locks.clear()

    def _await_points(self, jobs: dict[Point, Accepted]) -> list[Point]:
        """Return the points that are held: all of them, or those of the time that the first one can be held."""
        began_s, first_s = time.monotonic(), 0.0
        while True:
            held = self._held(jobs)
            now_s = time.monotonic()
            first_s = first_s or (now_s if held else 0.0)
            is_late = first_s and now_s - first_s > HELD_S
            if len(held) == len(jobs) - len(self._passed(jobs)) or is_late or now_s - began_s > REACHED_S:
                return held
            time.sleep(0.1)

    def _passed(self, jobs: dict[Point, Accepted]) -> set[Point]:
        """Return the points whose step was over without the call: this job needed it less often than the rehearsed."""
        rows = self._installation.rows(
            "SELECT job_id, name FROM steps WHERE state IN ('succeeded', 'failed', 'skipped', 'cancelled')"
            " AND job_id IN %s",
            [job.job_id for job in jobs.values()],
        )
        over = {(row["job_id"], row["name"]) for row in rows}
        return {point for point, job in jobs.items() if (job.job_id, point.step) in over}

    def _held(self, jobs: dict[Point, Accepted]) -> list[Point]:
        labels = {label for label, count in self._installation.harbour.held().items() if count}
        running = self._workers_of([job.job_id for job in jobs.values()])
        return [
            point
            for point, job in jobs.items()
            if ((job.job_id, point.step) in running if point.is_locked else point.label(job.request_id) in labels)
        ]

    def _cases(self, jobs: dict[Point, Accepted], held: Sequence[Point], fault: Fault) -> list[Case]:
        workers = self._workers_of([job.job_id for job in jobs.values()])
        cases = [Case(point, jobs[point], workers.get((jobs[point].job_id, point.step), "")) for point in held]
        if fault.party is not Party.WORKER:
            return cases
        return [case for case in cases if case.worker.startswith(f"host-{self._victim}:")]

    def _workers_of(self, job_ids: list[str]) -> dict[tuple[str, str], str]:
        rows = self._installation.rows(
            "SELECT s.job_id, s.name, a.worker FROM steps s JOIN attempts a ON a.step_id = s.id"
            " AND a.number = s.attempts WHERE s.state = 'running' AND s.job_id IN %s",
            job_ids,
        )
        return {(row["job_id"], row["name"]): row["worker"] for row in rows}

    def _bystanders(self, fault: Fault) -> list[Accepted]:
        """Start jobs that were not at work when the fault came. While the database is away none is accepted."""
        if fault.party is Party.DATABASE:
            return []
        return [self._scenarios.sign_up(new_request_id("bystander")) for _ in range(BYSTANDERS)]

    # -- after it ---------------------------------------------------------------------------------------------

    def _settle(self, jobs: list[Accepted]) -> list[str]:
        ends_at_s = time.monotonic() + SETTLED_S
        while unsettled := self._scenarios.unsettled(jobs):
            if time.monotonic() > ends_at_s:
                return unsettled
            time.sleep(0.2)
        return []

    def _failures(self, jobs: list[Accepted]) -> list[str]:
        states = self._scenarios.states(jobs)
        lost = [f"lost: {job}" for job in jobs if job.job_id not in states]
        failed = [job for job in jobs if states.get(job.job_id) == "failed"]
        reasons = self._installation.rows(
            "SELECT job_id, name, reason FROM steps WHERE state = 'failed' AND job_id IN %s",
            [job.job_id for job in failed] or [""],
        )
        return lost + [f"failed: {row['job_id']} {row['name']}: {row['reason']}" for row in reasons]

    def _surplus(self, jobs: Iterable[Accepted]) -> list[str]:
        """Return what took effect more often than in the rehearsal."""
        kinds = {job.request_id: job.kind for job in jobs}
        calls: dict[tuple[str, str], list[dict[str, Any]]] = defaultdict(list)
        made_since = self._scenarios.calls(since=self._since)
        self._since = max((call["order"] for call in made_since), default=self._since)
        for request_id, step, call in labelled(made_since):
            if request_id in kinds:
                calls[request_id, step].append(call)
        problems = []
        for (request_id, step), made in calls.items():
            surplus = effective_writes(made) - self._rehearsal.writes(kinds[request_id], step)
            problems += [f"doubled: {request_id}/{step} {what} x{count}" for what, count in surplus.items()]
        return problems

    def _lost_attempts(self, jobs: Sequence[Accepted]) -> list[str]:
        """Return the attempts whose worker was taken for dead."""
        rows = self._installation.rows(
            "SELECT s.job_id, s.name, a.worker FROM attempts a JOIN steps s ON s.id = a.step_id"
            " WHERE a.outcome = 'lost' AND s.job_id IN %s",
            [job.job_id for job in jobs],
        )
        return [f"taken for dead: {row['worker']} at {row['name']} of {row['job_id']}" for row in rows]

    def _resumed_s(self, cases: Sequence[Case], began_at: datetime) -> list[float]:
        """Return how long after the fault each step's next attempt ran, where its attempt was lost."""
        found = []
        for case in cases:
            rows = self._installation.rows(
                "SELECT MIN(a.started_at) AS at FROM attempts a JOIN steps s ON a.step_id = s.id"
                " WHERE s.job_id = %s AND s.name = %s AND a.started_at > %s",
                case.job.job_id, case.point.step, began_at.replace(tzinfo=None),
            )  # fmt: skip
            if rows[0]["at"] is not None:
                found.append((rows[0]["at"].replace(tzinfo=UTC) - began_at).total_seconds())
        return found

    def _durations(self, jobs: Sequence[Accepted]) -> list[float]:
        """Return how long each job took, of those that lost no attempt to the fault themselves."""
        rows = self._installation.rows(
            "SELECT created_at, finished_at FROM jobs WHERE id IN %s AND finished_at IS NOT NULL AND NOT EXISTS"
            " (SELECT 1 FROM steps s JOIN attempts a ON a.step_id = s.id"
            " WHERE s.job_id = jobs.id AND a.outcome = 'lost')",
            [job.job_id for job in jobs] or [""],
        )
        return [(row["finished_at"] - row["created_at"]).total_seconds() for row in rows]

    def usual_s(self) -> float:
        """Return how long a sign-up takes on this machine when nothing happens."""
        stock = [job for job in self._scenarios.everything if job.request_id.startswith("stock-person")]
        took_s = sorted(self._durations(stock)) or [0.0]
        return took_s[len(took_s) // 2]
