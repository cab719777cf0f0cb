"""Messages that come twice, late, or are none: nothing is done again, and no worker ends."""

from __future__ import annotations

import random

from support.chaos import figures
from support.chaos.callers import new_request_id
from support.chaos.installation import Installation
from support.chaos.points import Rehearsal, effective_writes, labelled
from support.chaos.scenarios import Scenarios

from common.broker import QUEUES, celery_app
from common.config.settings import CommonSettings
from common.workflows import WORKFLOWS, task_name

JOBS, TIMES, SEED = 4, 2, 5
GARBAGE = (
    b"garbage",
    b"",
    b"{}",
    b"[]",
    b"null",
    b'{"body": 1}',
    b'{"headers": {}, "properties": {}}',
    b"\xff\xfe\x00",
)


def test_repeated_stale_and_senseless_messages_change_nothing(
    installation: Installation, scenarios: Scenarios, rehearsal: Rehearsal
) -> None:
    workers = {name: installation.pid(name) for name in installation.workers}
    sent = 0

    jobs = [scenarios.sign_up(new_request_id("signup")) for _ in range(JOBS)]
    jobs += [scenarios.provision(new_request_id("provision")) for _ in range(JOBS)]
    for _ in range(TIMES):  # while they run, and when they are over
        sent += _send_again(installation, [(job.kind, job.job_id) for job in jobs])
        scenarios.settle(jobs)
    sent += _send_again(installation, [(job.kind, job.job_id) for job in jobs])
    after = [scenarios.sign_up(new_request_id("signup")) for _ in range(JOBS)]
    scenarios.settle(after)

    kinds = {job.request_id: job.kind for job in jobs}
    surplus = [
        f"{request_id}/{step}"
        for (request_id, step), made in _by_step(scenarios).items()
        if request_id in kinds and effective_writes(made) - rehearsal.writes(kinds[request_id], step)
    ]
    figures.report("messages", f"{sent} needless messages, surplus {surplus}", sent=sent, surplus=surplus)
    assert surplus == []
    assert set(scenarios.states([*jobs, *after]).values()) == {"succeeded"}
    assert {name: installation.pid(name) for name in installation.workers} == workers
    installation.is_well = True


def _by_step(scenarios: Scenarios) -> dict[tuple[str, str], list[dict[str, object]]]:
    calls: dict[tuple[str, str], list[dict[str, object]]] = {}
    for request_id, step, call in labelled(scenarios.calls()):
        calls.setdefault((request_id, step), []).append(call)
    return calls


def _send_again(installation: Installation, jobs: list[tuple[str, str]]) -> int:
    """Send every step of these jobs in any order, steps of other workflows with their ids, and what is no message."""
    config = CommonSettings(
        _env_file=None, redis_url=installation.embedded.environment["REDIS_URL"]
    )  # as the environment does
    chance, sent = random.Random(SEED), 0
    with celery_app(config) as app:
        steps = [
            (task_name(flow.name, step.name), step.upstream.value, job_id)
            for kind, job_id in jobs
            for flow in (WORKFLOWS[kind], WORKFLOWS["offboard"])
            for step in flow.steps
        ]
        chance.shuffle(steps)
        for name, queue, job_id in steps:
            app.send_task(name, args=(job_id,), queue=queue)
        app.send_task("signup.no_such_step", args=("x",), queue="gitlab")
        app.send_task(steps[0][0], args=([None, "x" * 100_000],), queue="gitlab")
        sent = len(steps) + 2
    for queue in QUEUES:
        for garbage in GARBAGE:
            installation.redis.lpush(f"slipway:{queue}", garbage)
            sent += 1
    return sent
