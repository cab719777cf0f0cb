"""A job is followed to its end, whatever lies between: no change is missed, none is shown twice."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from support.stand_in import (
    JOB_ID,
    Clock,
    JobScript,
    Say,
    StandIn,
    event,
    job_of,
    lost,
    ok,
    page,
    problem,
    standing_in,
    stream,
)

from slipway import Client, JobFailedError, NotOverError, ProblemError, RetryPolicy, UnreachableError
from slipway.events import parse

JOB, EVENTS = f"/jobs/{JOB_ID}", f"/jobs/{JOB_ID}/events"
FOUR = ("queued", "running", "running", "succeeded")


@pytest.fixture
def server() -> Iterator[StandIn]:
    with standing_in() as server:
        yield server


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def slipway(server: StandIn, clock: Clock) -> Iterator[Client]:
    retry = RetryPolicy(sleep=clock.sleep, clock=clock, chance=lambda: 1.0)
    with Client(server.url, "t", read_s=5, silence_s=0.2, retry=retry) as slipway:
        yield slipway


# -- the stream ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("told", [1, 2, 3, 100])
def test_events_come_once_and_in_order_however_often_the_stream_ends(
    server: StandIn, slipway: Client, told: int
) -> None:
    JobScript(server, "queued", "running", "running", "running", "succeeded", told=told)

    numbers = [each.number for each in slipway.events(JOB_ID)]

    assert numbers == [1, 2, 3, 4, 5]


def test_a_stream_goes_on_behind_the_last_event_that_was_heard(server: StandIn, slipway: Client) -> None:
    JobScript(server, *FOUR, told=2)

    list(slipway.events(JOB_ID))

    assert [asked.headers.get("Last-Event-ID") for asked in server.calls("GET", EVENTS)] == [None, "2", "4"]


def test_an_event_that_is_cut_in_the_middle_is_heard_on_the_next_connection(server: StandIn, slipway: Client) -> None:
    server.on("GET", EVENTS, stream(event(1), event(2)[:-9]), stream(event(2), event(3)), Say(status=204))

    assert [each.number for each in slipway.events(JOB_ID)] == [1, 2, 3]
    assert server.asked[1].headers["Last-Event-ID"] == "1"


def test_a_server_that_tells_again_is_heard_once(server: StandIn, slipway: Client) -> None:
    server.on("GET", EVENTS, stream(event(1), event(2)), stream(event(1), event(2), event(3)), Say(status=204))

    assert [each.number for each in slipway.events(JOB_ID)] == [1, 2, 3]


def test_a_failure_that_was_retried_is_not_the_end_of_the_stream(server: StandIn, slipway: Client) -> None:
    server.on("GET", EVENTS, stream(event(1, "failed"), event(2, "queued"), event(3, "succeeded")), Say(status=204))

    assert [each.state for each in slipway.events(JOB_ID)] == ["failed", "queued", "succeeded"]


def test_a_server_that_is_away_for_a_moment_is_asked_again(server: StandIn, slipway: Client, clock: Clock) -> None:
    server.on("GET", EVENTS, lost(), lost(), stream(event(1)), Say(status=204))

    assert [each.number for each in slipway.events(JOB_ID)] == [1]
    assert clock.slept[:2] == [0.5, 0.5]


def test_no_stream_at_all_is_said(server: StandIn, slipway: Client) -> None:
    server.on("GET", EVENTS, page())

    with pytest.raises(UnreachableError, match="not as Slipway does"):
        list(slipway.events(JOB_ID))


@pytest.mark.parametrize(
    ("text", "heard"),
    [
        (b": hello\n\n", [None]),
        (event(7), [7]),
        (event(7).replace(b"\n", b"\r\n"), [7]),
        (event(7) + b": there\n" + event(8), [7, None, 8]),
        (event(7).replace(b'"at": ', b'"at":\ndata: '), [7]),  # one event on two lines
        (b"retry: 500\nunknown: x\n\n" + event(7), [7]),
        (event(7).replace(b"change", b"farewell"), []),
        (event(7)[:-1], []),  # its end has not come
    ],
)
def test_lines_are_read_as_the_standard_says(text: bytes, heard: list[int | None]) -> None:
    lines = [line.removesuffix(b"\r") for line in text.split(b"\n")[:-1]]

    assert [each and each.number for each in parse(lines)] == heard


@pytest.mark.parametrize("told", [b"[]", b"{", b'{"number": "x"}', b"null"])
def test_what_slipway_does_not_write_is_no_event(told: bytes) -> None:
    with pytest.raises(UnreachableError, match="not in Slipway's format"):
        list(parse([b"event: change", b"data: " + told, b""]))


# -- the job ------------------------------------------------------------------------------------------------------


def test_the_job_is_shown_as_it_is_and_after_each_change(server: StandIn, slipway: Client) -> None:
    JobScript(server, *FOUR, told=1)

    shown = [(job["version"], job["state"]) for job in slipway.follow(JOB_ID)]

    assert shown == [(1, "queued"), (2, "running"), (3, "running"), (4, "succeeded")]
    assert server.calls("GET", EVENTS)[0].headers["Last-Event-ID"] == "1"  # what was seen need not be told


def test_many_events_at_once_are_one_look(server: StandIn, slipway: Client) -> None:
    JobScript(server, *FOUR)

    shown = [job["version"] for job in slipway.follow(JOB_ID)]

    assert shown == [1, 4]
    assert len(server.calls("GET", JOB)) == 2


def test_a_job_that_is_over_is_shown_once_and_no_stream_is_opened(server: StandIn, slipway: Client) -> None:
    JobScript(server, "succeeded")

    assert [job["state"] for job in slipway.follow(JOB_ID)] == ["succeeded"]
    assert server.calls("GET", EVENTS) == []


@pytest.mark.parametrize(
    "obstacle",
    [
        problem(404, "not_found"),
        problem(406, "bad_request"),
        page(501),
        page(),
        problem(503, "unavailable", retry_after="5"),
        problem(429, "too_many_requests", retry_after="1"),
        lost(),
        stream(),  # ended without a word
        stream(is_held=True),  # held back by something on the way
        stream(b"event: change\ndata: nonsense\n\n"),
    ],
)
def test_without_a_stream_the_job_is_asked_for_by_its_tag(server: StandIn, slipway: Client, obstacle: Say) -> None:
    JobScript(server, *FOUR)
    server.on("GET", EVENTS, obstacle)

    shown = [(job["version"], job["state"]) for job in slipway.follow(JOB_ID)]

    assert shown == [(1, "queued"), (2, "running"), (3, "running"), (4, "succeeded")]
    assert len(server.calls("GET", EVENTS)) == 1
    assert {asked.query.get("wait") for asked in server.calls("GET", JOB)[1:]} == {"25"}
    assert [asked.headers["If-None-Match"][-2:] for asked in server.calls("GET", JOB)[1:]] == ['1"', '2"', '3"']


def test_a_stream_that_is_cut_and_does_not_come_back_is_replaced_by_asking(server: StandIn, slipway: Client) -> None:
    script = JobScript(server, *FOUR, told=1)
    server.on("GET", EVENTS, script.tell, problem(404, "not_found"))

    assert [job["version"] for job in slipway.follow(JOB_ID)] == [1, 2, 3, 4]


def test_a_server_that_is_restarted_meanwhile_is_waited_for(server: StandIn, slipway: Client, clock: Clock) -> None:
    script = JobScript(server, "running", "succeeded")
    server.on("GET", EVENTS, lost())
    server.on("GET", JOB, script.look, *[lost()] * 12, script.look)

    assert [job["state"] for job in slipway.follow(JOB_ID)] == ["running", "succeeded"]
    assert 30 < sum(clock.slept) < 120


def test_a_server_that_holds_nothing_back_is_not_asked_all_the_time(
    server: StandIn, slipway: Client, clock: Clock
) -> None:
    tag = {"ETag": "same"}
    server.on("GET", EVENTS, problem(404, "not_found"))
    server.on(
        "GET",
        JOB,
        ok(job_of("running", 1), ETag="same"),
        *[Say(status=304, headers=tag)] * 3,
        ok(job_of("succeeded", 2)),
    )

    list(slipway.follow(JOB_ID))

    assert clock.slept == [1.0, 1.0, 1.0]


def test_a_proxy_that_takes_the_tag_off_makes_nothing_shown_twice(server: StandIn, slipway: Client) -> None:
    server.on("GET", EVENTS, problem(404, "not_found"))
    server.on("GET", JOB, *[ok(job_of("running", 1))] * 3, ok(job_of("succeeded", 2)))

    assert [job["version"] for job in slipway.follow(JOB_ID)] == [1, 2]


def test_who_stops_waiting_is_told_that_the_job_goes_on(server: StandIn, slipway: Client, clock: Clock) -> None:
    JobScript(server, "running")
    server.on("GET", EVENTS, problem(404, "not_found"))

    with pytest.raises(TimeoutError, match="It continues") as caught:
        list(slipway.follow(JOB_ID, within_s=5))

    assert isinstance(caught.value, NotOverError)
    assert sum(clock.slept) == 5


def test_whoever_waits_a_short_time_hears_no_stream_that_might_not_end_on_time(server: StandIn, clock: Clock) -> None:
    JobScript(server, "running")
    retry = RetryPolicy(sleep=clock.sleep, clock=clock)

    with Client(server.url, "t", silence_s=20, retry=retry) as slipway, pytest.raises(NotOverError):
        list(slipway.follow(JOB_ID, within_s=5))

    assert server.calls("GET", EVENTS) == []
    assert [asked.query.get("wait") for asked in server.calls("GET", JOB)] == [None, "5", "4", "3", "2", "1"]


def test_a_log_in_that_ends_meanwhile_ends_the_following(server: StandIn, slipway: Client) -> None:
    server.on("GET", JOB, ok(job_of("running")), problem(401, "not_logged_in"))
    server.on("GET", EVENTS, problem(401, "not_logged_in"))

    with pytest.raises(ProblemError, match="Not logged in"):
        list(slipway.follow(JOB_ID))


def test_a_job_that_does_not_exist_is_a_problem_at_once(server: StandIn, slipway: Client) -> None:
    with pytest.raises(ProblemError, match="Not found"):
        list(slipway.follow(JOB_ID))

    assert len(server.asked) == 1


@pytest.mark.parametrize("state", ["failed", "cancelled"])
def test_a_job_that_does_not_succeed_says_why(server: StandIn, slipway: Client, state: str) -> None:
    JobScript(server, "running", state)
    shown: list[str] = []

    with pytest.raises(JobFailedError) as caught:
        slipway.await_job(JOB_ID, show=lambda job: shown.append(job["state"]))

    assert shown == ["running", state]
    assert caught.value.job["state"] == state
    assert ("await_result: It broke." in str(caught.value)) == (state == "failed")


# -- the console --------------------------------------------------------------------------------------------------


def _piece(text: str, start: int, *, more: bool) -> Say:
    return ok({"text": text, "start": start, "next_start": start + len(text), "more": more, "truncated": False})


def test_a_console_is_read_to_where_it_has_got(server: StandIn, slipway: Client) -> None:
    server.on(
        "GET", f"{JOB}/log", _piece("one\n", 0, more=True), _piece("two\n", 4, more=True), _piece("", 8, more=True)
    )

    assert [piece["text"] for piece in slipway.read_whole_log(JOB_ID)] == ["one\n", "two\n"]
    assert [asked.query["start"] for asked in server.asked] == ["0", "4", "8"]


def test_a_console_is_followed_until_the_build_is_over(server: StandIn, slipway: Client, clock: Clock) -> None:
    pieces = [
        _piece("one\n", 0, more=True),
        _piece("", 4, more=True),
        _piece("", 4, more=True),
        _piece("two\n", 4, more=False),
    ]
    server.on("GET", f"{JOB}/log", *pieces)

    assert [piece["text"] for piece in slipway.read_whole_log(JOB_ID, is_followed=True)] == ["one\n", "two\n"]
    assert clock.slept == [1.0, 1.0]
