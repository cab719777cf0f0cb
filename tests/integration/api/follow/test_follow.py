"""Following a job: nothing is missed, nothing comes twice, nobody keeps a thread, and it ends when the job does."""

from __future__ import annotations

import itertools
import threading
import time as clock
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from typing import Any

import pytest
import requests
from flask import Response
from sqlalchemy import select
from support.api import V1, Api, newcomer, serve, settings
from support.fake_worker import claim, fail, succeed
from support.following import Address, Stream, poll
from support.services import mariadb_database
from support.world import Time

from api.follow.hub import Hub
from api.follow.outputs import QueueOutput
from api.follow.subscribers import KEEP_ALIVE_S, STREAM_LIFETIME_S, StreamSubscriber, Update
from api.presentation.durations import StepDurations
from api.presentation.job_view import JobView
from common.database import migrate
from common.database.engine import Database
from common.database.models import Event
from common.jobs import events, outcomes
from common.jobs.events import EventBatch
from common.states import JobState

FIRST = "create_kibana_user"


class Server:
    """gunicorn over a database of its own; people have names that no other test uses."""

    def __init__(self, address: Address, db: Database) -> None:
        self.address = address
        self.db = db
        self._numbers = itertools.count(1)

    def sign_up(self) -> str:
        """Return the id of a new sign-up's job."""
        answer = self.post("/signup", newcomer(f"grace-{next(self._numbers)}"))
        assert answer.status_code == 202, answer.text
        return str(answer.json()["job_id"])

    def post(self, path: str, body: dict[str, Any]) -> requests.Response:
        host, port = self.address
        return requests.post(f"http://{host}:{port}{V1}{path}", json=body, timeout=20)

    def recorded(self, job_id: str) -> list[int]:
        return [event.number for event in events_of(self.db, job_id)]


@pytest.fixture(scope="module", params=["sqlite", "mariadb"])
def server(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with ExitStack() as stack:
        place = tmp_path_factory.mktemp("follow")
        on_mariadb = request.param == "mariadb"
        url = stack.enter_context(mariadb_database()) if on_mariadb else f"sqlite:///{place}/slipway.db"
        db = Database(url)
        stack.callback(db.dispose)
        migrate.upgrade(db)
        yield Server(stack.enter_context(serve(url, place / "gunicorn.log")), db)


def events_of(db: Database, job_id: str) -> list[Event]:
    statement = select(Event).where(Event.job_id == job_id).order_by(Event.number)
    return list(db.read(lambda session: session.scalars(statement).all()))


def test_a_stream_tells_all_and_ends_with_the_job(server: Server) -> None:
    job_id = server.sign_up()
    stream = Stream(server.address, job_id)
    assert (stream.next_event() or {})["state"] == "queued"

    succeed(server.db, job_id)
    heard = stream.to_the_end()

    assert heard.numbers == server.recorded(job_id)
    assert (heard.events[-1]["state"], heard.end) == ("succeeded", {"state": "succeeded"})
    assert heard.headers["Content-Type"].startswith("text/event-stream")
    assert (heard.headers["X-Accel-Buffering"], heard.headers["Cache-Control"]) == ("no", "no-store")


def test_whoever_comes_again_gets_the_rest_and_only_that(server: Server) -> None:
    job_id = server.sign_up()
    succeed(server.db, job_id, but=(FIRST,))
    first = Stream(server.address, job_id)
    for _ in range(3):
        first.next_event()
    first.close()

    succeed(server.db, job_id)
    second = Stream(server.address, job_id, after=first.heard.numbers[-1]).to_the_end()

    assert first.heard.numbers + second.numbers == server.recorded(job_id)


def test_whoever_has_everything_of_a_job_that_is_over_is_told_not_to_come_again(server: Server) -> None:
    job_id = server.sign_up()
    succeed(server.db, job_id)

    assert Stream(server.address, job_id, after=server.recorded(job_id)[-1]).to_the_end().status == 204
    assert Stream(server.address, job_id, after=999_999_999).to_the_end().status == 204


def test_a_poll_is_held_until_the_job_changes(server: Server) -> None:
    job_id = server.sign_up()
    _, headers, _, _ = poll(server.address, job_id, wait=0)

    with ThreadPoolExecutor(1) as pool:
        held = pool.submit(poll, server.address, job_id, wait=15, etag=headers["ETag"])
        poll(server.address, job_id, wait=0)  # answered behind the held one: that waits by now
        claim(server.db, job_id, "check_kibana_name")
        status, told, job, took_s = held.result()

    assert (status, job and job["version"], job and job["state"]) == (200, 2, "running")
    assert took_s < 10
    assert told["ETag"] != headers["ETag"]
    assert {"X-Request-Id", "X-Content-Type-Options", "Retry-After", "Content-Length", "Date"} <= set(told)


def test_a_poll_whose_time_is_over_is_told_that_nothing_changed(server: Server) -> None:
    job_id = server.sign_up()
    _, headers, _, _ = poll(server.address, job_id, wait=0)

    status, told, job, took_s = poll(server.address, job_id, wait=1, etag=headers["ETag"])
    without, _, document, _ = poll(server.address, job_id, wait=1)

    assert (status, job, told["ETag"]) == (304, None, headers["ETag"])
    assert took_s >= 1
    assert (without, document and document["version"]) == (200, 1)


def test_a_poll_with_an_old_tag_and_one_of_a_job_that_is_over_are_not_held(server: Server) -> None:
    job_id = server.sign_up()
    _, headers, _, _ = poll(server.address, job_id, wait=0)
    claim(server.db, job_id, FIRST)
    changed = poll(server.address, job_id, wait=15, etag=headers["ETag"])
    over = server.sign_up()
    succeed(server.db, over)
    done = poll(server.address, over, wait=15)

    assert (changed[0], done[0]) == (200, 200)
    assert max(changed[3], done[3]) < 5


def test_a_client_that_changes_between_poll_and_stream_misses_and_repeats_nothing(server: Server) -> None:
    job_id = server.sign_up()
    succeed(server.db, job_id, but=(FIRST,))
    _, _, job, _ = poll(server.address, job_id, wait=0)
    assert job is not None

    claimed = claim(server.db, job_id, FIRST)
    stream = Stream(server.address, job_id, after=job["version"])
    event = stream.next_event()
    assert event is not None
    stream.close()
    outcomes.record_success(server.db, claimed, {})
    status, _, last, _ = poll(server.address, job_id, wait=15, etag=f'W/"{job_id}-{event["number"]}"')

    assert event["number"] == job["version"] + 1
    assert (status, last and last["state"]) == (200, "succeeded")


def test_a_hundred_followers_leave_the_threads_to_the_others(server: Server) -> None:
    """gunicorn has 2 x 8 threads here: held ones would make the next request wait for ever."""
    job_ids = [server.sign_up() for _ in range(5)]
    with ThreadPoolExecutor(50) as pool:
        streams = [Stream(server.address, job_id) for job_id in job_ids * 10]
        polls = [pool.submit(poll, server.address, job_id, wait=15) for job_id in job_ids * 10]

        assert poll(server.address, job_ids[0], wait=0)[0] == 200
        for job_id in job_ids:
            succeed(server.db, job_id)

        heard = [stream.to_the_end() for stream in streams]
        held = [each.result() for each in polls]

    recorded = {job_id: server.recorded(job_id) for job_id in job_ids}
    assert [each.numbers for each in heard] == [recorded[job_id] for job_id in job_ids * 10]
    assert {status for status, _, _, _ in held} == {200}


def test_a_retried_job_goes_on_under_its_numbers(server: Server) -> None:
    job_id = server.sign_up()
    succeed(server.db, job_id, but=(FIRST,))
    fail(server.db, job_id, FIRST)
    first = Stream(server.address, job_id).to_the_end()
    assert first.events[-1]["state"] == "failed"

    server.post(f"/jobs/{job_id}/retry", {})
    stream = Stream(server.address, job_id, after=first.numbers[-1])
    succeed(server.db, job_id)
    second = stream.to_the_end()

    assert first.numbers + second.numbers == server.recorded(job_id)
    assert second.events[-1]["state"] == "succeeded"


# -- without gunicorn's sockets: a thread each, and few of them -----------------------------------------------------


def test_where_no_connection_can_be_had_a_thread_is_held(api: Api, db: Database) -> None:
    job_id = api.sign_up("grace").json["job_id"]
    succeed(db, job_id)

    answer = api.visitor.get(f"{V1}/jobs/{job_id}/events?after=3")

    assert answer.status_code == 200
    assert [int(line[4:]) for line in answer.text.splitlines() if line.startswith("id: ")] == [
        event.number for event in events_of(db, job_id)
    ][3:]


def test_a_held_poll_is_answered_there_too(api: Api, db: Database) -> None:
    job_id = api.sign_up("grace").json["job_id"]
    answers: list[Any] = []
    thread = threading.Thread(target=lambda: answers.append(api.app.test_client().get(f"{V1}/jobs/{job_id}?wait=15")))
    thread.start()
    claim(db, job_id, FIRST)
    thread.join(10)

    assert (answers[0].status_code, answers[0].json["state"]) == (200, "running")


@pytest.mark.parametrize("number", ["x", "-1", "1.0", "", "9" * 10, "١"])
def test_a_last_event_id_that_is_none_is_refused_by_name(api: Api, number: str) -> None:
    job_id = api.sign_up("grace").json["job_id"]

    answer = api.visitor.get(f"{V1}/jobs/{job_id}/events", headers={"Last-Event-ID": number.encode().decode("latin-1")})

    assert (answer.status_code, answer.json["errors"][0]["field"]) == (422, "Last-Event-ID")


@pytest.mark.parametrize("wait", ["61", "-1", "x", "1.5", " 1", "1_0", "01"])
def test_a_wait_that_is_none_is_refused_by_name(api: Api, wait: str) -> None:
    job_id = api.sign_up("grace").json["job_id"]

    answer = api.visitor.get(f"{V1}/jobs/{job_id}", query_string={"wait": wait})

    assert (answer.status_code, answer.json["errors"][0]["field"]) == (422, "wait")


def test_only_whoever_may_see_a_job_may_follow_it(api: Api) -> None:
    grace, linus = api.member("grace"), api.member("linus", team="ops")
    project = grace.post(f"{V1}/project", json={"name": "compilers"}).json["project_id"]
    job_id = grace.post(f"{V1}/app", json={"project_id": project, "name": "abc", "type": "Flask"}).json["job_id"]

    assert linus.get(f"{V1}/jobs/{job_id}/events").status_code == 404
    assert api.app.test_client(use_cookies=False).get(f"{V1}/jobs/{job_id}/events").status_code == 401


# -- what is an event ---------------------------------------------------------------------------------------------


def test_looks_that_find_nothing_new_are_no_events(api: Api, db: Database, time: Time) -> None:
    grace = api.member("grace")
    project = grace.post(f"{V1}/project", json={"name": "compilers"}).json["project_id"]
    job_id = grace.post(f"{V1}/app", json={"project_id": project, "name": "abc", "type": "Flask"}).json["job_id"]
    outcomes.record_success(db, claim(db, job_id, "fork_source"), {})
    before = len(events_of(db, job_id))

    for reason in ("copying", "copying", "copying", "nearly there"):
        outcomes.record_wait(db, claim(db, job_id, "await_source"), code="not_yet", reason=reason, retry_after_s=2)
        time.advance(2)

    told = [(step["state"], step["reason"]) for event in events_of(db, job_id)[before:] for step in event.steps]
    assert told == [("running", None), ("waiting", "copying"), ("waiting", "nearly there")]


def test_an_event_tells_the_headline_of_a_reason_only(api: Api, db: Database) -> None:
    job_id = api.sign_up("grace").json["job_id"]

    fail(db, job_id, FIRST, reason=f"It broke.\n{'console ' * 1000}")

    assert events_of(db, job_id)[-1].steps[0]["reason"] == "It broke."


class Paper:
    """A line that keeps what it is sent."""

    def __init__(self) -> None:
        self.sent: list[bytes] = []
        self.is_ended = False

    def send(self, content: bytes) -> None:
        self.sent.append(content)

    def answer(self, response: Response) -> None:
        raise AssertionError(f"a watcher has no answer such as {response}")

    def end(self) -> None:
        self.is_ended = True


def test_a_quiet_stream_is_kept_alive_and_ends_in_time() -> None:
    line = Paper()
    watcher = StreamSubscriber("a job", line, number=3, now_s=0.0)

    for second in range(int(STREAM_LIFETIME_S)):
        watcher.tick(float(second))

    assert sum(content.startswith(b":") for content in line.sent) == (STREAM_LIFETIME_S - 1) // KEEP_ALIVE_S
    assert not line.is_ended
    watcher.tick(STREAM_LIFETIME_S)
    assert line.is_ended


def test_events_that_are_read_in_portions_are_all_told_before_the_end() -> None:
    line = Paper()
    watcher = StreamSubscriber("a job", line, number=0, now_s=0.0)
    rows = [Event(job_id="a job", number=n, at=Time()(), state=JobState.RUNNING, steps=[]) for n in (1, 2, 3, 4)]

    for some, is_all in ((rows[:2], False), (rows[:4], False), (rows[3:], True)):
        assert (watcher.version < 4, line.is_ended) == (True, False)
        watcher.deliver(Update(4, JobState.SUCCEEDED, EventBatch(some, is_all), document=None), 0.0)

    numbers = [b"id: 1", b"id: 2", b"id: 3", b"id: 4"]
    assert [content.partition(b"\n")[0] for content in line.sent[1:]] == [*numbers, b"event: end"]
    assert line.is_ended


def test_an_event_that_is_newer_than_the_look_at_its_job_does_not_hide_the_end() -> None:
    """The job is read before its events: the last one may come in between."""
    line = Paper()
    watcher = StreamSubscriber("a job", line, number=0, now_s=0.0)
    rows = [Event(job_id="a job", number=n, at=Time()(), state=JobState.RUNNING, steps=[]) for n in (1, 2)]

    watcher.deliver(Update(1, JobState.RUNNING, EventBatch(rows, is_all=True), document=None), 0.0)
    assert (watcher.number, watcher.version, line.is_ended) == (2, 1, False)
    watcher.deliver(Update(2, JobState.SUCCEEDED, EventBatch((), is_all=True), document=None), 0.0)

    assert line.is_ended
    assert len(line.sent) == 4  # the opening, each event once, and the end


def test_a_portion_says_of_which_jobs_there_may_be_more(api: Api, db: Database) -> None:
    job_ids = sorted(api.sign_up(f"grace-{number}").json["job_id"] for number in range(3))
    for job_id in job_ids:
        succeed(db, job_id)
    each = len(events_of(db, job_ids[0]))

    told = db.read(lambda session: events.read(session, dict.fromkeys(job_ids, 0), limit=each + 3))

    assert [(len(told[job_id].events), told[job_id].is_all) for job_id in job_ids] == [
        (each, True),
        (3, False),
        (0, False),
    ]


class Follower:
    """One that keeps what happens to it; told anything, it fails."""

    def __init__(self, job_id: str) -> None:
        self.job_id, self.version, self.moments, self.token_hash = job_id, 0, 0, None

    def deliver(self, news: Update, now_s: float) -> None:
        raise ValueError(f"{news.version} at {now_s}: of a kind that this version does not know")

    def tick(self, now_s: float) -> None:
        self.moments += now_s >= 0

    def detach(self) -> None:
        pass


def _await(what: Callable[[], bool]) -> None:
    deadline = clock.monotonic() + 10
    while not what():
        assert clock.monotonic() < deadline
        clock.sleep(0.01)


def test_time_passes_for_followers_while_the_database_is_away() -> None:
    away = Database("mysql+pymysql://slipway:none@127.0.0.1:1/slipway", now=Time(), tries=1)
    hub, follower = Hub(away, JobView(settings("sqlite:///x"), StepDurations(away)), tick_s=0.01), Follower("a job")

    hub.subscribe(follower, QueueOutput())
    _await(lambda: follower.moments > 0)

    hub.stop()


def test_a_follower_that_fails_takes_none_of_the_others_with_it(api: Api, db: Database) -> None:
    job_id = api.sign_up("grace").json["job_id"]
    hub, broken, line = Hub(db, api.service.view, tick_s=0.01), QueueOutput(), QueueOutput()

    hub.subscribe(Follower(job_id), broken)
    hub.subscribe(StreamSubscriber(job_id, line, number=0, now_s=0.0), line)
    pieces = line.stream()
    next(pieces)  # the opening

    assert next(pieces).startswith(b"id: 1\n")
    assert list(broken.stream()) == []
    hub.stop()
