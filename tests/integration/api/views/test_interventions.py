"""What people do to jobs: retry what failed, skip a step, cancel the rest, read what a build printed."""

from __future__ import annotations

import pytest
from flask.testing import FlaskClient
from sqlalchemy import delete, func, select, update
from support.api import PASSWORD, V1, Api, add_app, add_project, remove_app, row_counts
from support.fake_worker import (
    ABSENT,
    add_provisioned,
    attempts_of,
    claim,
    fail,
    job,
    names,
    prints,
    step,
    succeed,
)
from support.world import Time

from common.audit import ActionKind
from common.database.engine import Database
from common.database.models import Action, App, ConsoleChunk, Secret
from common.jobs import attempts, build_log, outcomes
from common.jobs.claims import ClaimLostError, ClaimRefused
from common.states import JobState, Outcome, StepState
from common.workflows import BUILD, PROVISION, SIGNUP, find_step

pytestmark = pytest.mark.one_database

DAY_S = 24 * 3600.0


@pytest.fixture
def failed(dev: FlaskClient, db: Database) -> str:
    """A provisioning in which one step of one lane failed, the other lane is done."""
    job_id: str = add_app(dev, add_project(dev), "compiler").json["job_id"]
    succeed(db, job_id, but=("open_to_developers",))
    fail(db, job_id, "open_to_developers")
    return job_id


@pytest.fixture
def build(dev: FlaskClient, db: Database) -> str:
    app_id = add_provisioned(db, dev)
    job_id: str = dev.post(f"{V1}/app/{app_id}/builds", json={}).json["job_id"]
    return job_id


# -- retry --------------------------------------------------------------------------------------------------------


def test_a_retry_takes_up_the_failed_steps_only_under_the_same_id(dev: FlaskClient, db: Database, failed: str) -> None:
    done = {name: step(db, failed, name).finished_at for name in names(db, failed, StepState.SUCCEEDED)}

    answer = dev.post(f"{V1}/jobs/{failed}/retry", json={})

    assert (answer.status_code, answer.json["job_id"], job(db, failed).state) == (202, failed, JobState.RUNNING)
    assert names(db, failed, StepState.READY) == ["open_to_developers"]
    assert names(db, failed, StepState.PENDING) == ["create_pipeline"]
    assert {name: step(db, failed, name).finished_at for name in names(db, failed, StepState.SUCCEEDED)} == done
    succeed(db, failed)
    assert job(db, failed).state is JobState.SUCCEEDED
    outcomes = [each.outcome for each in attempts_of(db, failed, "open_to_developers")]
    assert outcomes == [Outcome.FAILED, Outcome.SUCCEEDED]


def test_after_a_retry_a_step_has_all_its_attempts_again(
    dev: FlaskClient, db: Database, time: Time, failed: str
) -> None:
    plan = find_step("provision", "open_to_developers")
    assert plan is not None
    dev.post(f"{V1}/jobs/{failed}/retry", json={})

    for number in range(1, plan.retry.attempts + 1):
        claimed = claim(db, failed, "open_to_developers")
        assert (claimed.tries, claimed.attempt) == (number, number + 1)
        state = outcomes.record_retry(db, claimed, code="busy", reason="GitLab is busy.", delay_s=1)
        time.advance(1)

    assert state is StepState.FAILED
    assert len(attempts_of(db, failed, "open_to_developers")) == plan.retry.attempts + 1
    assert dev.post(f"{V1}/jobs/{failed}/retry", json={}).status_code == 202


@pytest.mark.parametrize("state", ["queued", "running", "succeeded", "cancelled"])
def test_only_a_failed_job_is_taken_up_again(dev: FlaskClient, db: Database, state: str) -> None:
    job_id = add_app(dev, add_project(dev), "compiler").json["job_id"]
    if state == "running":
        claim(db, job_id, "fork_source")
    elif state == "succeeded":
        succeed(db, job_id)
    elif state == "cancelled":
        dev.post(f"{V1}/jobs/{job_id}/cancel", json={})

    answer = dev.post(f"{V1}/jobs/{job_id}/retry", json={})

    assert (answer.status_code, answer.json["code"]) == (409, "not_failed")
    assert job(db, job_id).state == state


def _expired_sign_up(api: Api, db: Database, time: Time) -> str:
    job_id: str = api.sign_up("grace").json["job_id"]
    succeed(db, job_id, but=("create_kibana_user",))
    fail(db, job_id, "create_kibana_user")
    time.advance(DAY_S)
    db.transaction(lambda session: session.execute(delete(Secret)))  # as the clock does with what has expired
    return job_id


def test_a_password_that_was_deleted_is_asked_for_and_must_be_the_same(api: Api, db: Database, time: Time) -> None:
    job_id = _expired_sign_up(api, db, time)
    path = f"{V1}/jobs/{job_id}/retry"

    without = api.visitor.post(path, json={})
    wrong = api.visitor.post(path, json={"password": "another fine password"})
    counts = row_counts(db)
    right = api.visitor.post(path, json={"password": PASSWORD})

    assert (without.status_code, without.json["code"]) == (409, "password_needed")
    assert (wrong.status_code, wrong.json["errors"][0]["field"], wrong.json["errors"][0]["code"]) == (
        422,
        "password",
        "wrong",
    )
    assert counts["secrets"] == 0, "a wrong password is not kept"
    assert (right.status_code, right.json["job_id"], row_counts(db)["secrets"]) == (202, job_id, 1)
    succeed(db, job_id)
    assert (job(db, job_id).state, row_counts(db)["secrets"]) == (JobState.SUCCEEDED, 0)


def test_a_password_for_a_sign_up_that_did_not_fail_is_not_kept(api: Api, db: Database) -> None:
    job_id = api.sign_up("grace").json["job_id"]
    succeed(db, job_id)

    answer = api.visitor.post(f"{V1}/jobs/{job_id}/retry", json={"password": PASSWORD})

    assert (answer.status_code, answer.json["code"], row_counts(db)["secrets"]) == (409, "not_failed", 0)


@pytest.mark.parametrize("act", ["retry", "steps/open_to_developers/skip"])
@pytest.mark.parametrize(("then", "code"), [("another job", "busy"), ("removal", "is_over")])
def test_what_time_has_passed_over_is_not_taken_up_again(
    dev: FlaskClient, chief: FlaskClient, db: Database, failed: str, act: str, then: str, code: str
) -> None:
    app_id = job(db, failed).app_id
    removal = remove_app(dev, app_id).json["job_id"]
    if then == "removal":
        succeed(db, removal)
        db.transaction(lambda session: session.execute(update(App).values(claimed_name=None)))

    body = {"reason": "Done by hand"} if "skip" in act else {}
    answer = chief.post(f"{V1}/jobs/{failed}/{act}", json=body)

    assert (answer.status_code, answer.json["code"]) == (409, code)
    assert job(db, failed).state is JobState.FAILED


@pytest.mark.parametrize("is_older", [False, True], ids=["accepted later", "retried later"])
def test_a_removal_that_failed_is_over_once_the_app_was_repaired(
    dev: FlaskClient, chief: FlaskClient, db: Database, time: Time, is_older: bool
) -> None:
    app_id = add_provisioned(db, dev)

    def begin_repair() -> str:
        job_id: str = dev.post(f"{V1}/app/{app_id}/reconcile", json={}).json["job_id"]
        return job_id

    if is_older:
        repair = begin_repair()
        fail(db, repair, "fork_source")
        succeed(db, repair)
    removal = remove_app(dev, app_id).json["job_id"]
    succeed(db, removal, but=("delete_pipeline",))
    fail(db, removal, "delete_pipeline")
    wanted = {"kind": "deprovision", "dry_run": True}
    before = chief.post(f"{V1}/jobs/retry", json=wanted).json["retried"]
    time.advance(1)
    if is_older:
        assert dev.post(f"{V1}/jobs/{repair}/retry", json={}).status_code == 202
    succeed(db, repair if is_older else begin_repair())

    alone = dev.post(f"{V1}/jobs/{removal}/retry", json={})
    skipped = chief.post(f"{V1}/jobs/{removal}/steps/delete_pipeline/skip", json={"reason": "It is gone."})
    together = chief.post(f"{V1}/jobs/retry", json=wanted)

    assert [each["job_id"] for each in before] == [removal]
    assert [(each.status_code, each.json["code"]) for each in (alone, skipped)] == [(409, "is_over")] * 2
    assert (together.json["retried"], together.json["refused"]) == ([], [])
    assert job(db, removal).state is JobState.FAILED


# -- skip ---------------------------------------------------------------------------------------------------------


def test_a_skipped_step_keeps_its_reason_and_the_lane_goes_on(chief: FlaskClient, db: Database, failed: str) -> None:
    answer = chief.post(f"{V1}/jobs/{failed}/steps/open_to_developers/skip", json={"reason": "Done by hand"})

    skipped = step(db, failed, "open_to_developers")
    assert (answer.status_code, answer.json["job_id"]) == (202, failed)
    assert (skipped.state, skipped.reason) == (StepState.SKIPPED, "Done by hand (chief)")
    assert names(db, failed, StepState.READY) == ["create_pipeline"]
    succeed(db, failed)
    assert job(db, failed).state is JobState.SUCCEEDED


def test_skipping_the_last_failed_step_of_a_lane_ends_the_job(api: Api, chief: FlaskClient, db: Database) -> None:
    job_id = api.sign_up("grace").json["job_id"]
    succeed(db, job_id, but=("assign_jenkins_role",))
    fail(db, job_id, "assign_jenkins_role")

    answer = chief.post(f"{V1}/jobs/{job_id}/steps/assign_jenkins_role/skip", json={"reason": "Done by hand"})

    assert (answer.status_code, job(db, job_id).state) == (202, JobState.SUCCEEDED)


@pytest.mark.parametrize(
    ("name", "code"),
    [
        ("fork_source", "not_skippable"),
        ("fork_helm", "not_failed"),
        ("create_pipeline", "not_failed"),
        ("x", "not_failed"),
    ],
)
def test_what_cannot_be_skipped_is_refused(
    dev: FlaskClient, chief: FlaskClient, db: Database, name: str, code: str
) -> None:
    job_id = add_app(dev, add_project(dev), "compiler").json["job_id"]
    succeed(db, job_id, but=("fork_source",))
    fail(db, job_id, "fork_source")

    answer = chief.post(f"{V1}/jobs/{job_id}/steps/{name}/skip", json={"reason": "Done by hand"})

    assert (answer.status_code, answer.json["code"]) == (409, code)
    assert job(db, job_id).state is JobState.FAILED


def test_a_job_that_runs_is_not_skipped_in(chief: FlaskClient, dev: FlaskClient, db: Database) -> None:
    job_id = add_app(dev, add_project(dev), "compiler").json["job_id"]
    succeed(db, job_id, but=("fork_helm", "open_to_developers"))
    fail(db, job_id, "open_to_developers")

    answer = chief.post(f"{V1}/jobs/{job_id}/steps/open_to_developers/skip", json={"reason": "Done by hand"})

    assert (answer.status_code, answer.json["code"]) == (409, "not_failed")


@pytest.mark.parametrize("body", [{}, {"reason": ""}, {"reason": "x" * 501}, {"reason": "fine", "force": True}])
def test_a_skip_needs_a_reason(chief: FlaskClient, db: Database, failed: str, body: dict[str, object]) -> None:
    answer = chief.post(f"{V1}/jobs/{failed}/steps/open_to_developers/skip", json=body)

    assert answer.status_code == 422
    assert step(db, failed, "open_to_developers").state is StepState.FAILED


# -- cancel -------------------------------------------------------------------------------------------------------


def test_a_job_that_has_not_begun_is_cancelled_at_once(dev: FlaskClient, db: Database, build: str) -> None:
    answer = dev.post(f"{V1}/jobs/{build}/cancel", json={})

    assert (answer.status_code, answer.json["job_id"], job(db, build).state) == (202, build, JobState.CANCELLED)
    assert names(db, build, StepState.CANCELLED) == [each.name for each in BUILD.lanes[0].steps]
    assert attempts.claim(db, build, "start_build", worker="w", limits={}) is ClaimRefused.OVER


def test_a_running_step_of_a_cancelled_job_can_record_nothing(dev: FlaskClient, db: Database) -> None:
    job_id = add_app(dev, add_project(dev), "compiler").json["job_id"]
    running = claim(db, job_id, "fork_source")

    answer = dev.post(f"{V1}/jobs/{job_id}/cancel", json={})

    assert (answer.status_code, job(db, job_id).state) == (202, JobState.CANCELLED)
    with pytest.raises(ClaimLostError):
        outcomes.record_success(db, running, {})
    assert [each.outcome for each in attempts_of(db, job_id, "fork_source")] == [Outcome.CANCELLED]
    assert len(names(db, job_id, StepState.CANCELLED)) == len(PROVISION.steps)


def test_a_cancelled_build_is_stopped_by_a_last_step(dev: FlaskClient, db: Database, build: str) -> None:
    succeed(db, build, but=("await_result",))

    first, second = (dev.post(f"{V1}/jobs/{build}/cancel", json={}) for _ in range(2))

    assert (first.status_code, second.status_code, job(db, build).state) == (202, 202, JobState.CANCELLING)
    acts = select(func.count()).where(Action.kind == ActionKind.JOB_CANCEL)
    assert db.read(lambda session: session.scalar(acts)) == 1, "twice is one act"
    assert names(db, build, StepState.READY) == ["stop_build"]
    shown = dev.get(f"{V1}/jobs/{build}").json
    assert (shown["state"], shown["lanes"][-1]["name"]) == ("cancelling", "cancel")
    succeed(db, build)
    assert job(db, build).state is JobState.CANCELLED


def test_a_build_that_could_not_be_stopped_has_failed_and_can_be_retried(
    dev: FlaskClient, db: Database, build: str
) -> None:
    succeed(db, build, but=("await_result",))
    dev.post(f"{V1}/jobs/{build}/cancel", json={})
    fail(db, build, "stop_build")
    assert job(db, build).state is JobState.FAILED

    answer = dev.post(f"{V1}/jobs/{build}/retry", json={})

    assert answer.status_code == 202
    assert names(db, build, StepState.READY) == ["stop_build"]
    succeed(db, build)
    assert job(db, build).state is JobState.CANCELLED


@pytest.mark.parametrize("end", ["succeeded", "failed", "cancelled"])
def test_what_is_over_cannot_be_cancelled(dev: FlaskClient, db: Database, build: str, end: str) -> None:
    if end == "failed":
        fail(db, build, "start_build")
    elif end == "cancelled":
        dev.post(f"{V1}/jobs/{build}/cancel", json={})
    else:
        succeed(db, build)

    answer = dev.post(f"{V1}/jobs/{build}/cancel", json={})

    assert (answer.status_code, answer.json["code"], job(db, build).state) == (409, "is_over", end)


def test_a_cancelled_job_is_no_longer_in_the_way(dev: FlaskClient, db: Database, build: str) -> None:
    app_id = job(db, build).app_id
    dev.post(f"{V1}/jobs/{build}/cancel", json={})

    answer = dev.post(f"{V1}/app/{app_id}/builds", json={})

    assert answer.status_code == 202
    assert answer.json["job_id"] != build


def test_a_sign_up_can_be_cancelled_by_its_team(dev: FlaskClient, api: Api, db: Database) -> None:
    job_id = api.sign_up("hopper").json["job_id"]
    claim(db, job_id, "check_gitlab_name")

    assert dev.post(f"{V1}/jobs/{job_id}/cancel", json={}).status_code == 202
    assert len(names(db, job_id, StepState.CANCELLED)) == len(SIGNUP.steps)


# -- log ----------------------------------------------------------------------------------------------------------


def test_a_console_is_read_from_where_the_last_answer_ended(dev: FlaskClient, db: Database, build: str) -> None:
    claim(db, build, "start_build")
    prints(db, build, "Zwölf Boxkämpfer \U0001f6a2\n")
    first = dev.get(f"{V1}/jobs/{build}/log").json
    prints(db, build, "+ ls\nJenkinsfile\n")
    second = dev.get(f"{V1}/jobs/{build}/log", query_string={"start": first["next_start"]}).json
    third = dev.get(f"{V1}/jobs/{build}/log", query_string={"start": second["next_start"]}).json

    assert (first["text"], first["start"], first["next_start"], first["more"]) == (
        "Zwölf Boxkämpfer \U0001f6a2\n",
        0,
        19,
        True,
    )
    assert (second["text"], second["start"]) == ("+ ls\nJenkinsfile\n", 19)
    assert (third["text"], third["start"], third["next_start"], third["more"]) == ("", 36, 36, True)


@pytest.mark.parametrize("start", range(8))
def test_an_offset_counts_characters_and_may_lie_inside_a_piece(
    dev: FlaskClient, db: Database, build: str, start: int
) -> None:
    for piece in ("äö", "\U0001f6a2\U0001f6a2", "ü\n"):
        prints(db, build, piece)
    text = "äö\U0001f6a2\U0001f6a2ü\n"

    answer = dev.get(f"{V1}/jobs/{build}/log", query_string={"start": start}).json

    assert (answer["text"], answer["start"], answer["next_start"]) == (text[start:], start, max(start, len(text)))


def test_a_page_is_bounded_and_nothing_is_left_out_between_pages(dev: FlaskClient, db: Database, build: str) -> None:
    text = "".join(f"{number:09}ä" for number in range(15_000))
    for begin in range(0, len(text), 40_000):
        prints(db, build, text[begin : begin + 40_000])
    succeed(db, build)

    read, more, pages = "", True, 0
    while more:
        page = dev.get(f"{V1}/jobs/{build}/log", query_string={"start": len(read)}).json
        assert len(page["text"]) <= build_log.PAGE_CHARACTERS
        read, more, pages = read + page["text"], page["more"], pages + 1

    assert read == text
    assert pages == 3
    assert page["truncated"] is False


def test_what_is_too_much_is_cut_and_said(dev: FlaskClient, db: Database, build: str) -> None:
    for _ in range(5):
        prints(db, build, "x" * 300_000)
    succeed(db, build)

    last = dev.get(f"{V1}/jobs/{build}/log", query_string={"start": build_log.CHARACTERS - 10}).json

    assert (last["text"], last["more"], last["truncated"]) == ("x" * 10, False, True)
    kept = db.read(lambda session: session.scalar(select(func.sum(func.length(ConsoleChunk.text)))))
    assert kept == build_log.CHARACTERS


def test_a_finished_build_without_a_console_has_an_empty_one(dev: FlaskClient, db: Database, build: str) -> None:
    succeed(db, build)

    assert dev.get(f"{V1}/jobs/{build}/log").json == {
        "text": "",
        "start": 0,
        "next_start": 0,
        "more": False,
        "truncated": False,
    }


@pytest.mark.parametrize("start", ["-1", "x", "1.5", "", "1000001", str(2**31), str(2**63), "9" * 40])
def test_an_offset_that_is_none_is_refused(dev: FlaskClient, build: str, start: str) -> None:
    answer = dev.get(f"{V1}/jobs/{build}/log", query_string={"start": start})

    assert (answer.status_code, answer.json["errors"][0]["field"]) == (422, "start")


def test_a_foreign_console_looks_like_an_absent_one(api: Api, db: Database, build: str) -> None:
    prints(db, build, "secret of the team")
    ops = api.member("linus", team="ops")

    foreign, absent = (ops.get(f"{V1}/jobs/{each}/log") for each in (build, ABSENT))

    assert (foreign.status_code, absent.status_code) == (404, 404)
    assert "secret" not in foreign.text
