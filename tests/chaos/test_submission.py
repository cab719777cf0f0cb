"""Requests while broker or database is away: with the broker so all are accepted in time, without the database none is.

What is refused leaves nothing behind, and what is accepted is settled once everything is well again.
"""

from __future__ import annotations

import math
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import pytest
import requests
from support.chaos import figures
from support.chaos.callers import new_request_id, sign_up_body
from support.chaos.faults import FAULTS, Fault, Party
from support.chaos.installation import BIG, Installation
from support.chaos.scenarios import Accepted, Scenarios
from support.runs import runs

REQUESTS = runs(12, "SLIPWAY_CHAOS_REQUESTS")
AT_ONCE = 4
CUT = 6  # requests, one after the other
ACCEPTED_P99_S, REFUSED_S = 1.0, 3.0
NOTHING = Fault(name="nothing", party=Party.BROKER, begin=lambda _installation, _worker: None)


@dataclass(frozen=True)
class Answer:
    status: int
    took_s: float
    body: dict[str, Any]
    request_id: str


def _named(*names: str) -> list[Fault]:
    return [next(fault for fault in FAULTS if fault.name == name) for name in names]


BROKER_AWAY = _named(
    "broker away", "broker hung", "broker demoted", "broker half-open", "broker full", "broker forbids"
)  # fmt: skip
SHORT = _named("broker hung", "broker demoted", "database hung", "database read-only")
DATABASE_AWAY = _named("database killed", "database hung", "database read-only", "database half-open")


def test_requests_are_accepted_without_a_broker_and_refused_in_time_without_a_database(
    installation: Installation, scenarios: Scenarios, is_quick: bool
) -> None:
    rows, problems, usual_s = [], list[str](), math.inf
    for fault in (NOTHING, *(SHORT if is_quick else (*BROKER_AWAY, *DATABASE_AWAY))):
        answers, found = _submit(installation, scenarios, fault, usual_s)
        took_s = [answer.took_s for answer in answers]
        if fault is NOTHING:
            usual_s = figures.quantile(took_s, 0.99)  # what this machine takes anyway
        statuses = dict(Counter(answer.status for answer in answers))
        rows.append((fault.name, statuses, figures.quantile(took_s, 0.5), figures.quantile(took_s, 0.99), max(took_s)))
        problems += found

    table = "\n".join(f"{name:<24} {s!s:<16} {p50:6.2f} {p99:6.2f} {most:6.2f}" for name, s, p50, p99, most in rows)
    text = f"{REQUESTS} sign-ups each          answers          median    p99    max (s)\n{table}"
    figures.report("submission", text, rows=rows, problems=problems)
    assert problems == []
    installation.is_well = True


@pytest.mark.parametrize("is_done", [False, True], ids=["before it arrived", "after it was done"])
def test_a_request_whose_commit_was_cut_is_accepted_once_when_it_is_sent_again(
    installation: Installation, scenarios: Scenarios, *, is_done: bool
) -> None:
    caller = installation.caller()
    relay = installation.relays["api-database"]
    ids = [new_request_id("signup") for _ in range(CUT)]

    first = []
    for request_id in ids:
        relay.lose_commits(1, is_done=is_done)
        first.append(caller.send("POST", "/signup", sign_up_body(request_id), request_id=request_id).status_code)
    relay.heal()
    jobs = [
        Accepted("signup", caller.sign_up(request_id, request_id=request_id)["job_id"], request_id)
        for request_id in ids
    ]
    rows = installation.rows("SELECT request_id, COUNT(*) AS jobs FROM jobs WHERE request_id IN %s GROUP BY 1", ids)

    assert set(first) <= {202, 503}
    assert {row["request_id"]: row["jobs"] for row in rows} == dict.fromkeys(ids, 1)
    assert set(scenarios.settle(jobs).values()) == {"succeeded"}
    installation.is_well = True


def _submit(
    installation: Installation, scenarios: Scenarios, fault: Fault, usual_s: float
) -> tuple[list[Answer], list[str]]:
    fault.begin(installation, BIG)
    try:
        with ThreadPoolExecutor(AT_ONCE) as crowd:
            answers = list(crowd.map(lambda _: _sign_up(installation), range(REQUESTS)))
    finally:
        fault.end(installation, BIG)
    problems = _late(fault, answers, usual_s)
    accepted = [
        Accepted("signup", answer.body["job_id"], answer.request_id) for answer in answers if answer.status == 202
    ]
    states = Counter(scenarios.settle(accepted).values())
    if states != Counter(succeeded=len(accepted)):
        problems.append(f"{fault.name}: {len(accepted)} accepted, {dict(states)}")
    return answers, problems + _left_behind(installation, fault, answers)


def _sign_up(installation: Installation) -> Answer:
    request_id = new_request_id("signup")
    began_s = time.monotonic()
    try:
        answer = installation.caller().send("POST", "/signup", sign_up_body(request_id), request_id=request_id)
    except requests.RequestException:
        return Answer(0, time.monotonic() - began_s, {}, request_id)
    return Answer(answer.status_code, time.monotonic() - began_s, answer.json(), request_id)


def _late(fault: Fault, answers: list[Answer], usual_s: float) -> list[str]:
    took_s = [answer.took_s for answer in answers]
    if fault.party is Party.BROKER:
        wanted, limit_s, slowest_s = 202, ACCEPTED_P99_S, figures.quantile(took_s, 0.99)
    else:
        wanted, limit_s, slowest_s = 503, REFUSED_S, max(took_s)
    wrong = [f"{fault.name}: {answer.status} {answer.body}" for answer in answers if answer.status != wanted]
    return wrong[:3] + ([f"{fault.name}: answered after {slowest_s:.2f} s"] if slowest_s > limit_s + usual_s else [])


def _left_behind(installation: Installation, fault: Fault, answers: list[Answer]) -> list[str]:
    """Return what a refused request wrote: a user without a job, a job without steps, a job at all."""
    refused = [answer.request_id for answer in answers if answer.status != 202] or [""]
    found = installation.rows("SELECT request_id FROM jobs WHERE request_id IN %s", refused)
    found += installation.rows("SELECT login FROM users WHERE login IN %s", refused)
    found += installation.rows("SELECT id FROM jobs WHERE id NOT IN (SELECT job_id FROM steps)")
    return [f"{fault.name}: left behind {row}" for row in found]
