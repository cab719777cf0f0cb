"""Telemetry of attempts and calls: every outcome is counted, every line has its ids, none contains a secret."""

from __future__ import annotations

import logging
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select, update
from sqlalchemy.exc import StatementError
from sqlalchemy.orm import Session
from support.captured_telemetry import Numbers, heard
from support.raw_server import saying
from support.world import UNCHECKED_SIGNUP, World

from common.database.engine import Database
from common.database.models import Job, Step
from common.errors import NotYet, StepError
from common.telemetry.metrics import JOBS_FINISHED, WORKER, count_when_committed
from common.workflows import task_name
from harbour.faults import Fault
from worker.context import StepContext
from worker.runner import Runner
from worker.upstreams import Upstreams, call_telemetry
from worker.upstreams.http import Http, Limits
from worker.upstreams.transport import Watch

NewName = Callable[[str], str]
STEP, TASK = "create_gitlab_user", "signup.create_gitlab_user"
ATTEMPTS, RETRIES = "slipway_attempt_duration_seconds_count", "slipway_retries_total"
REFUSED, LOST = "slipway_claims_refused_total", "slipway_attempts_lost_total"
CALLS, ERRORS = "slipway_upstream_call_duration_seconds_count", "slipway_upstream_errors_total"
QUICK = Limits(connect_s=0.5, read_s=0.5, total_s=0.3)
CANARY = "canary-of-a-call"


@pytest.fixture
def db_url(migrated_sqlite: Path, tmp_path: Path) -> str:
    """One database will do: what is recorded does not depend on it."""
    return f"sqlite:///{shutil.copy(migrated_sqlite, tmp_path / 'slipway.db')}"


@pytest.fixture
def numbers() -> Numbers:
    return Numbers(WORKER)


def _runner(world: World, task: str, instead: Callable[[StepContext], dict[str, Any] | None]) -> Runner:
    """Return a runner to whom a task is something else."""

    def run(job: StepContext, _upstreams: Upstreams) -> dict[str, Any]:
        return instead(job) or {}

    return Runner(world.context, world.clients, {**world.steps, task: run}, world.limits, worker="w1")


def _end_lease(world: World, job: Job) -> None:
    ended = update(Step).where(Step.job_id == job.id, Step.name == STEP).values(lease_until=world.time())
    world.db.transaction(lambda session: session.execute(ended))


# -- an attempt ---------------------------------------------------------------------------------------------------


def test_a_job_that_is_done_counts_an_attempt_of_each_step_and_one_end(
    world: World, numbers: Numbers, new_name: NewName
) -> None:
    world.drive(world.sign_up(new_name("ada")))

    assert numbers.grown(ATTEMPTS) == {
        ("succeeded", task_name("signup", step.name)): 1 for step in UNCHECKED_SIGNUP.steps
    }
    assert numbers.grown("slipway_jobs_finished_total") == {("signup", "succeeded"): 1}
    assert numbers.grown(RETRIES) == {}


@pytest.mark.parametrize(
    ("status", "outcome", "retries"), [(503, "retrying", {("upstream_unavailable", TASK): 1}), (422, "failed", {})]
)
def test_an_attempt_in_vain_counts_as_what_becomes_of_its_step(
    world: World, numbers: Numbers, new_name: NewName, status: int, outcome: str, retries: Mapping[Any, int]
) -> None:
    job = world.sign_up(new_name("ada"))
    world.harbour.gitlab.inject(Fault(kind="status", status=status))

    world.runner.run(job.id, STEP)

    assert numbers.grown(ATTEMPTS) == {(outcome, TASK): 1}
    assert numbers.grown(RETRIES) == retries


def test_a_look_that_finds_nothing_yet_is_no_retry(world: World, numbers: Numbers, new_name: NewName) -> None:
    def not_yet(_job: StepContext) -> None:
        raise NotYet("It is still being copied.")

    job = world.make_app(new_name("app"))
    _runner(world, "provision.fork_source", lambda _job: None).run(job.id, "fork_source")
    _runner(world, "provision.await_source", not_yet).run(job.id, "await_source")

    assert numbers.grown(ATTEMPTS)["waiting", "provision.await_source"] == 1
    assert numbers.grown(RETRIES) == {}


def test_an_attempt_whose_claim_has_gone_to_another_counts_as_lost(
    world: World, numbers: Numbers, new_name: NewName
) -> None:
    job = world.sign_up(new_name("ada"))

    def be_overtaken(_job: StepContext) -> None:
        _end_lease(world, job)
        world.runner.run(job.id, STEP)

    with heard() as lines:
        _runner(world, TASK, be_overtaken).run(job.id, STEP)

    assert numbers.grown(ATTEMPTS) == {("succeeded", TASK): 1, ("lost", TASK): 1}
    assert numbers.grown(LOST) == {(TASK,): 1}
    assert [line["outcome"] for line in lines if line["event"] == "step_ended"] == ["succeeded", "lost"]


def test_an_attempt_whose_end_the_database_does_not_take_counts_as_unrecorded(
    world: World, numbers: Numbers, new_name: NewName
) -> None:
    def return_what_no_column_takes(_job: StepContext) -> dict[str, object]:
        return {"user": object()}

    runner = _runner(world, TASK, return_what_no_column_takes)

    with pytest.raises(StatementError):
        runner.run(world.sign_up(new_name("ada")).id, STEP)

    assert numbers.grown(ATTEMPTS) == {("unrecorded", TASK): 1}


def test_a_message_that_comes_again_is_counted_by_why_nothing_is_run(
    world: World, numbers: Numbers, new_name: NewName
) -> None:
    job = world.sign_up(new_name("ada"))

    for step in (STEP, STEP, "join_gitlab_group", "join_gitlab_group", "no_such_step"):
        world.runner.run(job.id, step)

    assert numbers.grown(REFUSED) == {("done",): 2, ("unknown",): 1}


def test_every_line_of_an_attempt_has_its_ids_whoever_writes_it(world: World, new_name: NewName) -> None:
    job = world.sign_up(new_name("ada"))

    def say(_job: StepContext) -> None:
        logging.getLogger("a.library").warning("deep below")

    with heard() as lines:
        _runner(world, TASK, say).run(job.id, STEP)
        logging.getLogger("a.library").warning("after it")

    ids = {"job_id": job.id, "step": STEP, "attempt": 1, "kind": "signup", "request_id": "test-request", "worker": "w1"}
    logged = {line["event"]: {name: line[name] for name in ids if name in line} for line in lines}
    assert logged.pop("after it") == {}
    assert set(logged) == {"step_started", "deep below", "step_ended"}
    assert all(each == ids for each in logged.values())


def test_an_end_says_what_became_of_it_why_and_how_long_it_took(world: World, new_name: NewName) -> None:
    world.harbour.gitlab.inject(Fault(kind="status", status=503))

    with heard(logging.INFO) as lines:
        world.runner.run(world.sign_up(new_name("ada")).id, STEP)

    (end,) = (line for line in lines if line["event"] == "step_ended")
    assert (end["outcome"], end["code"]) == ("retrying", "upstream_unavailable")
    assert end["reason"].startswith("GitLab answered 503")
    assert end["ms"] > 0


def test_what_is_rolled_back_is_not_counted(db: Database, numbers: Numbers) -> None:
    counter = JOBS_FINISHED.labels("signup", "failed")
    tries = iter([True, False])

    def work(session: Session) -> None:
        count_when_committed(session, counter)
        session.execute(select(Job))
        if next(tries):
            raise ConnectionError

    with pytest.raises(ConnectionError):
        db.transaction(work)
    assert numbers.grown("slipway_jobs_finished_total") == {}

    db.transaction(work)
    assert numbers.grown("slipway_jobs_finished_total") == {("signup", "failed"): 1}


# -- a call -------------------------------------------------------------------------------------------------------

WELL = b"HTTP/1.1 204 No Content\r\n\r\n"
FAILURES = {
    "broken": (b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf",),
    "timed_out": (b"HTTP/1.1 200 OK\r\n",),
}


@pytest.mark.parametrize("kind", FAILURES)
def test_a_call_without_a_whole_answer_is_counted_by_what_went_wrong(numbers: Numbers, kind: str) -> None:
    with saying(*FAILURES[kind], hold=kind == "timed_out") as url, pytest.raises(StepError):
        Http("GitLab", url, limits=QUICK).send("GET", "version")

    assert numbers.grown(ERRORS) == {(kind, "gitlab"): 1}
    assert numbers.grown(CALLS) == {("GET", "none", "gitlab"): 1}


def test_a_call_that_does_not_get_there_and_one_that_is_no_http_are_told_apart(numbers: Numbers) -> None:
    http = Http("Jenkins", "http://127.0.0.1:1", limits=QUICK)

    with pytest.raises(StepError):
        http.send("GET", "version")
    with pytest.raises(StepError):
        http.send("POST", "version", headers={"X-Name": "two\nlines"})

    assert numbers.grown(ERRORS) == {("unreachable", "jenkins"): 1, ("invalid", "jenkins"): 1}


@pytest.mark.parametrize(
    ("status", "level"), [(200, "DEBUG"), (404, "DEBUG"), (302, "DEBUG"), (429, "WARNING"), (500, "WARNING")]
)
def test_a_call_is_told_of_as_loudly_as_it_went(numbers: Numbers, status: int, level: str) -> None:
    with saying(b"HTTP/1.1 %d What\r\nContent-Length: 0\r\n\r\n" % status) as url, heard() as lines:
        Http("Argo CD", url).send("GET", "api", "version")

    assert numbers.grown(CALLS) == {("GET", f"{status // 100}xx", "argocd"): 1}
    (line,) = (line for line in lines if line["event"] == "upstream_called")
    assert (line["levelname"], line["upstream"], line["path"], line["status"]) == (
        level,
        "argocd",
        "/api/version",
        status,
    )


@pytest.mark.parametrize(("slow_s", "logged"), [(0.0, ["upstream_called"]), (60.0, [])])
def test_a_slow_call_is_logged_whatever_its_result(slow_s: float, logged: list[str]) -> None:
    with (
        heard(logging.INFO) as lines,
        Watch(1.0) as watch,
        call_telemetry.record("GitLab", "GET", "http://gitlab.invalid/version", watch, slow_s=slow_s) as made,
    ):
        made.status = 200

    assert [line["event"] for line in lines] == logged


def test_of_a_call_neither_query_nor_headers_nor_body_are_told() -> None:
    with saying(WELL) as url, heard() as lines:
        Http("GitLab", url, headers={"PRIVATE-TOKEN": CANARY}, auth=("someone", CANARY)).send(
            "POST", "users", params={"private_token": CANARY}, json={"password": CANARY}, headers={"X-More": CANARY}
        )

    assert any(line["event"] == "upstream_called" for line in lines)
    assert CANARY not in repr(lines)


def test_however_strange_a_call_it_makes_no_new_series(numbers: Numbers) -> None:
    for number in range(20):
        with saying(b"HTTP/1.1 %d What\r\nContent-Length: 0\r\n\r\n" % (200 + number)) as url:
            Http(f"upstream {number}", url).send(f"METHOD{number}", f"path-{number}")

    assert numbers.grown(CALLS) == {("other", "2xx", "other"): 20}
