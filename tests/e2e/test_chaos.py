"""Everything at once, while workers and the broker die: what was accepted succeeds, and nothing is there twice."""

from __future__ import annotations

import random
import secrets
import threading
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

from support.stack import APP_WRITES, BROKER, SIGN_UP_WRITES, Stack

COUNT = 30
KILLS = 12
PAUSE_S = (1.0, 2.0)
HANGS_AFTER_S = 300.0  # how long it takes depends on how fast workers start again beside other tests
SEED = secrets.randbits(32)


def test_thirty_sign_ups_and_thirty_apps_outlive_dying_workers_and_a_dying_broker(stack_of_two: Stack) -> None:
    print(f"\nseed {SEED}")  # noqa: T201 - a failure can be played again
    person = stack_of_two.person("ada")
    project, before = person.make_project("shop"), stack_of_two.harbour.last_call()
    began_s = time.monotonic()

    with _chaos(stack_of_two) as kills, ThreadPoolExecutor(8) as crowd:
        accepted = [
            *crowd.map(lambda number: stack_of_two.anyone().sign_up(f"person{number}"), range(COUNT)),
            *crowd.map(lambda number: person.make_app(project, f"app{number}"), range(COUNT)),
        ]
        for job_id in accepted:
            person.follow(job_id, within_s=HANGS_AFTER_S)

    writes = stack_of_two.harbour.writes(since=before)
    surplus = writes - Counter({kind: count * COUNT for kind, count in (SIGN_UP_WRITES + APP_WRITES).items()})
    print(f"{len(accepted)} jobs, {kills}: {time.monotonic() - began_s:.1f} s, surplus {dict(surplus)}")  # noqa: T201 - a figure that we report
    assert len(set(accepted)) == 2 * COUNT
    assert not surplus


@contextmanager
def _chaos(stack: Stack) -> Iterator[Counter[str]]:
    """Kill a worker every second or two, and once the broker, for a while."""
    chance, kills, is_over = random.Random(SEED), Counter[str](), threading.Event()

    def kill() -> None:
        for number in range(KILLS):
            if is_over.wait(chance.uniform(*PAUSE_S)):
                return
            victim = BROKER if number == KILLS // 2 else chance.choice(stack.workers)
            stack.kill(victim)
            kills[victim] += 1

    killer = threading.Thread(target=kill, name="chaos")
    killer.start()
    try:
        yield kills
    finally:
        is_over.set()
        killer.join()
