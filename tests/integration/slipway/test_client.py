"""The client and the real server mean the same: gunicorn as in production, a database, no workers.

What gets lost on the way is lost by a stand-in between the two.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import requests
from sqlalchemy import update
from support.api import PASSWORD, admit, row_counts, serve
from support.stand_in import BASE, Asked, Say, StandIn, lost, problem, standing_in

from common.database.engine import Database
from common.database.models import User
from common.workflows import EXTERNAL
from slipway import Client, ProblemError, RetryPolicy

KEPT = ("Content-Type", "ETag", "Retry-After", "Idempotency-Replayed")
SENT = ("Authorization", "Idempotency-Key", "If-None-Match")
AT_ONCE = RetryPolicy(sleep=lambda _: None)

Forward = Callable[[Asked], Say]


@pytest.fixture(scope="module")
def db_file(migrated_sqlite: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return Path(shutil.copy(migrated_sqlite, tmp_path_factory.mktemp("client") / "slipway.db"))


@pytest.fixture(scope="module")
def url(db_file: Path) -> Iterator[str]:
    with serve(f"sqlite:///{db_file}", db_file.parent / "gunicorn.log") as (host, port):
        yield f"http://{host}:{port}"


@pytest.fixture(scope="module")
def token(url: str, db_file: Path) -> str:
    """The log-in of a member of a team."""
    with Client(url) as visitor:
        _sign_up(visitor, "grace")
        _admit(db_file, "grace")
        return str(visitor.log_in("grace", PASSWORD)["token"])


def _admit(db_file: Path, login: str) -> None:
    db = Database(f"sqlite:///{db_file}")
    admit(db, login)
    db.dispose()


@pytest.fixture
def member(url: str, token: str) -> Iterator[Client]:
    with Client(url, token) as member:
        yield member


@pytest.fixture
def chief(url: str, db_file: Path) -> Iterator[Client]:
    """The log-in of an administrator."""
    db = Database(f"sqlite:///{db_file}")
    with Client(url) as chief:
        _sign_up(chief, "chief")
        db.transaction(lambda session: session.execute(update(User).where(User.login == "chief").values(is_admin=True)))
        _admit(db_file, "chief")
        chief.log_in("chief", PASSWORD)
        yield chief
    db.dispose()


@pytest.fixture
def between() -> Iterator[StandIn]:
    with standing_in() as between:
        yield between


@pytest.fixture
def forward(url: str) -> Forward:
    """Return what makes a stand-in pass a request on to the server."""

    def forward(asked: Asked) -> Say:
        headers = {name: asked.headers[name] for name in SENT if name in asked.headers}
        address = f"{url}{BASE}{asked.path}"
        answer = requests.request(
            asked.method, address, params=asked.query, json=asked.body, headers=headers, timeout=60
        )
        kept = {name: answer.headers[name] for name in KEPT if name in answer.headers}
        return Say(status=answer.status_code, body=answer.content, headers=kept)

    return forward


@pytest.fixture
def jobs_made(db_file: Path) -> Iterator[Callable[[], int]]:
    db = Database(f"sqlite:///{db_file}")
    yield lambda: row_counts(db)["jobs"]
    db.dispose()


def _sign_up(slipway: Client, login: str) -> str:
    accepted = slipway.sign_up(login, email=f"{login}@example.com", name="Grace Hopper", password=PASSWORD, team="dev")
    return str(accepted["job_id"])


def test_a_sign_up_whose_answer_is_lost_twice_is_made_once(
    between: StandIn, forward: Forward, jobs_made: Callable[[], int]
) -> None:
    answers: list[Say] = []

    def lose(asked: Asked) -> Say:
        answers.append(forward(asked))
        return lost()

    between.on("POST", "/signup", lose, lose, forward)
    before = jobs_made()

    with Client(between.url, retry=AT_ONCE) as slipway:
        job_id = _sign_up(slipway, "lost-and-found")

    assert jobs_made() == before + 1
    assert [job_id in answer.body.decode() for answer in answers] == [True, True]
    assert [answer.headers.get("Idempotency-Replayed") for answer in answers] == [None, "true"]


def test_a_log_in_whose_answer_is_lost_is_the_one_that_was_made(
    url: str, token: str, between: StandIn, forward: Forward
) -> None:
    between.on("POST", "/login", lambda asked: forward(asked) and lost(), forward)

    with Client(between.url, retry=AT_ONCE) as visitor:
        newer = visitor.log_in("grace", PASSWORD)["token"]

    assert newer != token
    with Client(url, newer) as member:
        assert member.get_me()["id"] == "grace"


@pytest.mark.parametrize("has_stream", [True, False])
def test_a_job_is_followed_by_its_stream_and_by_held_answers(
    member: Client, url: str, token: str, between: StandIn, forward: Forward, has_stream: bool
) -> None:
    project_id = member.create_project(f"followed-{int(has_stream)}")["project_id"]
    job_id = member.create_app(project_id, f"cobol-{int(has_stream)}", type="Flask")["job_id"]
    between.on("GET", f"/jobs/{job_id}", forward)
    between.on("GET", f"/jobs/{job_id}/events", problem(404, "not_found"))

    with Client(url if has_stream else between.url, token) as watcher:
        changes = watcher.follow(job_id, within_s=50)
        states = [next(changes)["state"]]
        member.cancel_job(job_id)
        states += [job["state"] for job in changes]

    assert states == ["queued", "cancelled"]


def test_the_events_of_a_job_that_is_over_are_told_to_their_end(member: Client) -> None:
    project_id = member.create_project("over")["project_id"]
    job_id = member.create_app(project_id, "fortran", type="Flask")["job_id"]
    member.cancel_job(job_id)

    heard = list(member.events(job_id))

    numbers = [event.number for event in heard]
    assert [event.state for event in heard] == ["queued", "cancelled"]
    assert [event.number for event in member.events(job_id, after=numbers[0])] == numbers[1:]
    assert list(member.events(job_id, after=numbers[-1])) == []


def test_lists_are_read_over_pages_and_every_filter_is_known(member: Client) -> None:
    names = [f"listed-{number}" for number in range(3)]
    for name in names:
        member.create_project(name)

    listed = [project["name"] for project in member.list_projects("dev")]
    since = datetime.now(UTC) - timedelta(hours=1)
    signups = list(member.list_jobs(state="queued", kind="signup", user="grace", team="dev", since=since, limit=1))

    assert [name for name in listed if name in names] == names[::-1]
    assert [job["kind"] for job in signups] == ["signup"]
    with pytest.raises(ProblemError, match="Not found"):
        next(member.list_jobs(team="ops"))
    assert list(member.list_jobs(since=datetime.now(UTC) + timedelta(hours=1))) == []


def test_every_call_about_an_app_is_understood(member: Client) -> None:
    project_id = member.create_project("understood", description="A project")["project_id"]
    made = member.create_app(project_id, "algol", type="Flask", description="An app")
    app_id = made["app_id"]
    member.cancel_job(made["job_id"])

    assert [app["app_id"] for app in member.list_apps(project_id)] == [app_id]
    assert (member.get_app(app_id)["state"], member.get_app(app_id)["job_state"]) == ("incomplete", "cancelled")
    assert (list(member.list_builds(app_id)), list(member.list_deploys(app_id))) == ([], [])
    preview = member.preview_removal(app_id)
    assert (preview["goes"], preview["stays"]) == ([], [])
    member.cancel_job(preview["job_id"])
    assert member.read_log(made["job_id"])["text"] == ""
    for start in (member.compare_app, member.reconcile_app):
        member.cancel_job(start(app_id)["job_id"])
    member.cancel_job(member.plan_app(project_id, "simula", type="Flask")["job_id"])
    assert member.delete_app(app_id, confirm="algol")["app_id"] == app_id


def test_administrators_pause_resume_and_check_upstreams(chief: Client) -> None:
    paused = chief.pause_upstream("jenkins", reason="Upgrade to 2.541")
    listed = {each["name"]: each["state"] for each in chief.list_upstreams()["upstreams"]}
    resumed = chief.resume_upstream("jenkins")
    check_up = chief.get_job(chief.check_upstreams()["job_id"])

    assert (paused["state"], paused["paused_by"], paused["reason"]) == ("paused", "chief", "Upgrade to 2.541")
    assert listed == {**dict.fromkeys(EXTERNAL, "open"), "jenkins": "paused"}
    assert (resumed["state"], check_up["kind"]) == ("open", "checkup")


def test_refusals_keep_their_code_and_say_what_to_do(member: Client, url: str) -> None:
    calls: dict[str, Callable[[], object]] = {
        "not_found": lambda: member.get_app("01a20680-0000-7000-8000-000000000000"),
        "invalid_fields": lambda: member.create_project("No Such Name"),
        "not_admin": lambda: member.remove_person("grace"),
        "invalid_credentials": lambda: Client(url).log_in("grace", "not the password"),
        "not_logged_in": lambda: Client(url).get_me(),
    }

    for code, call in calls.items():
        with pytest.raises(ProblemError) as caught:
            call()
        assert caught.value.code == code
        assert caught.value.remedy
        assert caught.value.request_id


def test_a_log_out_ends_the_token(url: str) -> None:
    with Client(url) as member:
        token = member.log_in("grace", PASSWORD)["token"]
        member.log_out()

    with Client(url, token) as late, pytest.raises(ProblemError, match="Login required"):
        late.get_me()
