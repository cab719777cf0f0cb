"""Rolling restarts under load: what was accepted ends, and nothing is there twice.

`SLIPWAY_ROLLING_JOBS=1000 pytest -s tests/load/test_rolling.py` prints the figures.
"""

from __future__ import annotations

import itertools
import random
import signal
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

from support.runs import runs
from support.stack import APP_WRITES, SIGN_UP_WRITES, Person, Stack, wait_for

JOBS = runs(40, "SLIPWAY_ROLLING_JOBS")
CROWD = 24
APPS = 4 + JOBS // 40  # that are built and deployed again and again, one job at a time each
PAUSE_S = 1.0  # between two restarts
WITHIN_S = 1800.0
MIX = ("signup", "provision", "build", "deploy", "build", "signup", "deploy", "provision", "build", "deploy")


def test_jobs_of_all_kinds_outlive_rolling_restarts(start_stack: Callable[..., Stack]) -> None:
    stack = start_stack()
    person = stack.person("ada")
    project = person.make_project("shop")
    apps = [(app, threading.Lock()) for app in _made(person, project, [f"base{number}" for number in range(APPS)])]
    before, began_s = stack.harbour.last_call(), time.monotonic()
    wanted = [*itertools.islice(itertools.cycle(MIX), JOBS)]
    random.Random(JOBS).shuffle(wanted)

    def accept(number: int) -> str:
        """Return the job's id; a build or a deployment is followed to its end, so that the app is free for the next."""
        kind = wanted[number]
        if kind == "signup":
            return stack.anyone().sign_up(f"person{number}")
        if kind == "provision":
            return person.make_app(project, f"app{number}")
        app, is_free = apps[number % len(apps)]
        stack.push_image(f"base{number % len(apps)}", str(number))
        with is_free:
            start = (
                person.start_build(app)
                if kind == "build"
                else person.start_deploy(app, image_tag=str(number), force=True)
            )
            _end(person, start)
        return start

    with _rolling(stack) as restarts, ThreadPoolExecutor(CROWD) as crowd:
        accepted = list(crowd.map(accept, range(JOBS)))
        states = Counter(crowd.map(lambda job_id: _end(person, job_id), accepted))
    took_s = time.monotonic() - began_s

    kinds = Counter(person.job(job_id)["kind"] for job_id in set(accepted))
    doubled = _doubled(stack, kinds, before)
    print(  # noqa: T201 - the figures are the point
        f"\n{len(accepted)} accepted ({len(set(accepted))} jobs: {dict(kinds)}), {dict(states)}, "
        f"{restarts['restarts']} restarts, {took_s:.0f} s, doubled {dict(doubled)}"
    )
    assert len(set(accepted)) == JOBS
    assert states == Counter(succeeded=len(accepted))
    assert not doubled
    assert restarts["restarts"] >= 2


def _made(person: Person, project: str, names: list[str]) -> list[str]:
    """Return the ids of these apps, once they are complete."""
    jobs = [person.make_app(project, name) for name in names]
    return [str(person.follow(job_id, within_s=120)["app_id"]) for job_id in jobs]


def _end(person: Person, job_id: str) -> str:
    """Return the state in which the job ends."""
    job = wait_for(f"{job_id} is over", lambda: _over(person, job_id), within_s=WITHIN_S)
    return str(job)


def _over(person: Person, job_id: str) -> str | None:
    state = str(person.job(job_id)["state"])
    return state if state in ("succeeded", "failed", "cancelled") else None


def _doubled(stack: Stack, kinds: Counter[str], before: int) -> Counter[str]:
    """Return which writes took effect more often than the jobs account for."""
    allowed = Counter[str]()
    for kind, writes in (("signup", SIGN_UP_WRITES), ("provision", APP_WRITES)):
        allowed.update({what: count * kinds[kind] for what, count in writes.items()})
    allowed.update({"build": kinds["build"], "sync": kinds["deploy"], "parameters": kinds["deploy"]})
    return stack.harbour.writes(since=before) - allowed


@contextmanager
def _rolling(stack: Stack) -> Iterator[Counter[str]]:
    """Restart one worker after the other, as a deployment does: SIGTERM, wait until it is back, go on."""
    told, is_over = Counter[str](), threading.Event()

    def roll() -> None:
        for name in itertools.cycle(stack.workers):
            if is_over.wait(PAUSE_S):
                return
            old = stack.launcher.pid(name)
            stack.signal(name, signal.SIGTERM)
            wait_for(f"{name} has ended", lambda old=old, name=name: stack.launcher.pid(name) != old, within_s=60)  # type: ignore[misc] # bound early
            stack.await_worker(name)
            told["restarts"] += 1

    roller = threading.Thread(target=roll, name="rolling")
    roller.start()
    try:
        yield told
    finally:
        is_over.set()
        roller.join()
