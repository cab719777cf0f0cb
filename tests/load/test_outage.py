"""One upstream is down for minutes: no job fails, nobody storms it, and who does not need it does not notice.

`SLIPWAY_OUTAGE_S=300 SLIPWAY_OUTAGE_JOBS=200 pytest -s tests/load/test_outage.py` prints the figures.
"""

from __future__ import annotations

import itertools
import time
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from statistics import median

from support.runs import runs
from support.stack import Person, Stack, wait_for

OUTAGE_S = runs(20, "SLIPWAY_OUTAGE_S")
JOBS = runs(20, "SLIPWAY_OUTAGE_JOBS")
OTHERS = 15  # deployments, which need Argo CD only: before and during
SLOWER = 1.2  # than usual, at most
CALLS_AT_FIRST = 60  # until every worker knows: what was at work, and the first looks
RAMP_S = 40


def test_an_outage_costs_time_and_nothing_else(start_stack: Callable[..., Stack]) -> None:
    stack = start_stack()
    person = stack.person("ada")
    project = person.make_project("shop")
    base = str(person.follow(person.make_app(project, "base"))["app_id"])
    for tag, number in itertools.product(("usual", "during"), range(OTHERS)):
        stack.push_image("base", f"{tag}-{number}")
    usual_s = _deploys(person, base, "usual")

    stack.harbour.fault("jenkins", kind="reset")
    down_at, before = time.time(), stack.harbour.last_call()
    with ThreadPoolExecutor(8) as crowd:
        accepted = [
            *crowd.map(lambda number: stack.anyone().sign_up(f"person{number}"), range(JOBS // 2)),
            *crowd.map(lambda number: person.make_app(project, f"app{number}"), range(JOBS - JOBS // 2)),
        ]
    parked = wait_for("all wait for Jenkins", lambda: _waiting(person, accepted), within_s=max(120, JOBS))
    others_s = _deploys(person, base, "during")
    wait_for("the outage is over", lambda: time.time() - down_at >= OUTAGE_S, within_s=OUTAGE_S + 5)
    during = [call for call in stack.harbour.calls(since=before) if call["upstream"] == "jenkins"]

    stack.harbour.clear_faults()
    healed_at, mark = time.time(), stack.harbour.last_call()
    with ThreadPoolExecutor(8) as crowd:
        ended = list(crowd.map(lambda job_id: person.follow(job_id, within_s=600), accepted))
    recovered_s = time.time() - healed_at

    after = [c["began_at"] - healed_at for c in stack.harbour.calls(since=mark) if c["upstream"] == "jenkins"]
    ramp = Counter(int(at) for at in after if at < RAMP_S)
    tries = Counter(len(step["attempts"]) for job in ended for lane in job["lanes"] for step in lane["steps"])
    ratio = median(others_s) / median(usual_s)
    print(  # noqa: T201 - the figures are the point
        f"\n{JOBS} jobs, {parked} waiting; Jenkins down {OUTAGE_S} s: {len(during)} calls "
        f"(the last 60 s: {sum(call['began_at'] > healed_at - 60 for call in during)}); "
        f"{Counter(job['state'] for job in ended)}; attempts a step {dict(sorted(tries.items()))}\n"
        f"others: median {median(usual_s):.2f} s before, {median(others_s):.2f} s during, ratio {ratio:.2f}\n"
        f"all done {recovered_s:.0f} s after; calls in each second after: "
        f"{[ramp[second] for second in range(min(RAMP_S, int(recovered_s) + 1))]}"
    )
    assert {job["state"] for job in ended} == {"succeeded"}
    assert len(during) <= CALLS_AT_FIRST + OUTAGE_S / 10
    assert max(tries) <= 3
    assert ratio <= SLOWER


def _deploys(person: Person, app_id: str, tag: str) -> list[float]:
    """Deploy again and again, and return how long each took in seconds."""
    took = []
    for number in range(OTHERS):
        job = person.follow(person.start_deploy(app_id, image_tag=f"{tag}-{number}", force=True))
        took.append((_at(job["finished_at"]) - _at(job["created_at"])).total_seconds())
    return took


def _at(text: str) -> datetime:
    return datetime.fromisoformat(text)


def _waiting(person: Person, accepted: list[str]) -> int | None:
    """Return how many wait for the outage once all do, and nothing else of them is at work."""
    jobs = [person.job(job_id) for job_id in accepted]
    waiting = [job for job in jobs if [each["code"] for each in job["waiting_on"]] == ["outage"]]
    return len(waiting) if len(waiting) == len(jobs) else None
