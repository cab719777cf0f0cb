"""Everything dies again and again under load: what was accepted is settled, and nothing is there twice."""

from __future__ import annotations

import itertools
import os
import random
import signal
import threading
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from typing import Any, TypeVar

import pymysql
import requests
from support.chaos import figures
from support.chaos.callers import new_request_id
from support.chaos.installation import API, BROKER, Installation
from support.chaos.ledger import differences
from support.chaos.points import Rehearsal, effective_writes, labelled
from support.chaos.scenarios import Accepted, Scenarios
from support.runs import runs

T = TypeVar("T")

JOBS = runs(18, "SLIPWAY_CHAOS_JOBS")
SEED = runs(21, "SLIPWAY_SEED")
IS_LONG = JOBS > 500
CROWD = 24 if IS_LONG else 6  # jobs at once
APPS = CROWD  # that are built, deployed, compared and repaired again and again
DEATHS = 2  # of each part at least; more in a long run, which ends with its jobs
MIX = ("signup", "provision", "build", "signup", "deploy", "drift", "signup", "provision", "reconcile")
PAUSE_S = (5.0, 40.0) if IS_LONG else (3.0, 10.0)  # between two deaths of the same part
DOWN_S = (0.0, 2.0)
SETTLED_S = 900.0
UPSTREAMS = ("gitlab", "jenkins", "argocd", "elasticsearch")


def test_what_is_accepted_while_everything_dies_is_settled_once(
    installation: Installation, scenarios: Scenarios, rehearsal: Rehearsal
) -> None:
    scenarios.stock(apps=APPS)
    began_s = time.monotonic()

    with _deaths(installation) as deaths, ThreadPoolExecutor(CROWD) as crowd:
        numbers = itertools.count()
        made = crowd.map(lambda _: list(_keep_asking(scenarios, numbers, deaths)), range(CROWD))
        accepted = list(itertools.chain.from_iterable(made))
    states = Counter(scenarios.states(accepted).values())

    surplus = _surplus(scenarios, rehearsal, accepted)
    resumed_s = _resumed_s(installation)
    figures.report(
        "soak",
        f"seed {SEED}: {len(accepted)} accepted, {dict(states)}, {dict(deaths)} deaths, surplus {dict(surplus)}, "
        f"{time.monotonic() - began_s:.0f} s; {len(resumed_s)} attempts lost, next one after: median "
        f"{figures.quantile(resumed_s, 0.5):.1f}, p95 {figures.quantile(resumed_s, 0.95):.1f}, "
        f"max {max(resumed_s, default=0):.1f} s",
        seed=SEED, accepted=len(accepted), states=states, deaths=deaths, surplus=surplus, resumed_s=resumed_s,
    )  # fmt: skip
    assert len(accepted) >= JOBS
    assert min(deaths.values()) >= DEATHS
    assert len({job.job_id for job in accepted}) == len(accepted)
    assert states == Counter(succeeded=len(accepted))
    assert not surplus
    assert differences(installation) == []
    installation.is_well = True


def _keep_asking(scenarios: Scenarios, numbers: Iterator[int], deaths: Counter[str]) -> Iterator[Accepted]:
    """Have one job after the other accepted and settled, until there are enough of them and of deaths."""
    ends_at_s = time.monotonic() + SETTLED_S
    for number in numbers:
        has_died = min(deaths.values()) >= DEATHS or time.monotonic() > ends_at_s
        if number >= JOBS and has_died:
            break
        yield _settled(scenarios, MIX[number % len(MIX)])


def _settled(scenarios: Scenarios, kind: str) -> Accepted:
    """Have a job accepted and wait for its end, however long nobody answers. The app is free for the next one then."""
    request_id = new_request_id(kind)
    job = _insist(f"{kind} is accepted", lambda: scenarios.accept(kind, request_id))
    _insist(f"{job} is over", lambda: not scenarios.unsettled([job]))
    scenarios.give_back(job)
    return job


def _insist(what: str, act: Callable[[], T]) -> T:
    """Do it again until it succeeds: the same request each time, so that it is accepted once."""
    ends_at_s = time.monotonic() + SETTLED_S
    while time.monotonic() < ends_at_s:
        with suppress(requests.RequestException, pymysql.Error, AssertionError):
            if done := act():
                return done
        time.sleep(0.5)  # as a client pauses between two tries
    raise AssertionError(f"not within {SETTLED_S:.0f} s: {what}")


@contextmanager
def _deaths(installation: Installation) -> Iterator[Counter[str]]:
    """Let every part die again and again, each at times of its own; in a short run `DEATHS` times.

    A slow machine would do nothing else in a short run but start programs again.
    """
    chance, is_over = random.Random(SEED), threading.Event()
    programs = (*installation.workers, BROKER, API)
    fates: dict[str, Callable[[float], None]] = {
        **{name: lambda _, name=name: _die(installation, name, is_over) for name in programs},  # type: ignore[misc] # bound early
        "process of the API": lambda _: _one_dies(installation, API),
        "database": lambda down_s: _database_dies(installation, down_s, is_over),
        "upstream": lambda down_s: _upstream_dies(installation, chance.choice(UPSTREAMS), down_s, is_over),
    }
    seeds = {name: chance.random() for name in fates}
    deaths = Counter(dict.fromkeys(fates, 0))

    def live(name: str) -> None:
        own = random.Random(seeds[name])
        while (IS_LONG or deaths[name] < DEATHS) and not is_over.wait(own.uniform(*PAUSE_S)):
            fates[name](own.uniform(*DOWN_S))
            deaths[name] += 1

    threads = [threading.Thread(target=live, args=(name,), name=f"fate of {name}") for name in fates]
    for thread in threads:
        thread.start()
    try:
        yield deaths
    finally:
        is_over.set()
        for thread in threads:
            thread.join()


def _die(installation: Installation, name: str, is_over: threading.Event) -> None:
    """Kill a program with all its processes, and return when the one that its launcher starts is at work.

    Otherwise a slow machine would only ever see programs die that had not started yet.
    """
    with suppress(ProcessLookupError):
        installation.signal(name, signal.SIGKILL)
    while not is_over.wait(0.2) and not installation.is_at_work(name):
        pass


def _one_dies(installation: Installation, name: str) -> None:
    """Kill one of a program's processes; the others go on."""
    with suppress(OSError):
        os.kill(installation.children(name)[0], signal.SIGKILL)


def _database_dies(installation: Installation, down_s: float, is_over: threading.Event) -> None:
    installation.primary.end(signal.SIGKILL)
    is_over.wait(down_s)
    installation.primary.start()


def _upstream_dies(installation: Installation, upstream: str, down_s: float, is_over: threading.Event) -> None:
    """Let an upstream reset every call of ours for a while. A real restart would forget which calls it had.

    The calls of upstreams to each other pass: a build whose checkout fails has failed, and Slipway says so.
    """
    installation.harbour.fault(upstream, kind="reset", user_agent="^slipway")
    is_over.wait(down_s * 3)
    installation.harbour.release(is_dropped=True)


def _surplus(scenarios: Scenarios, rehearsal: Rehearsal, accepted: Sequence[Accepted]) -> Counter[str]:
    """Return which writes took effect more often than in the rehearsal, over all jobs."""
    kinds = {job.request_id: job.kind for job in accepted}
    calls: dict[tuple[str, str], list[dict[str, Any]]] = defaultdict(list)
    for request_id, step, call in labelled(scenarios.calls()):
        if request_id in kinds:
            calls[request_id, step].append(call)
    surplus = Counter[str]()
    for (request_id, step), made in calls.items():
        surplus += effective_writes(made) - rehearsal.writes(kinds[request_id], step)
    return surplus


def _resumed_s(installation: Installation) -> list[float]:
    """Return how long after a lost attempt was last heard of the next one began: from its start, an upper bound."""
    rows = installation.rows(
        "SELECT lost.started_at AS was, MIN(next.started_at) AS at FROM attempts lost"
        " JOIN attempts next ON next.step_id = lost.step_id AND next.number > lost.number"
        " WHERE lost.outcome = 'lost' GROUP BY lost.id, lost.started_at"
    )
    return [round((row["at"] - row["was"]).total_seconds(), 2) for row in rows]
