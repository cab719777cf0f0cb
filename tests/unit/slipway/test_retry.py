"""A request is sent again when that may help and cannot harm; who may not hear a token does not."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from support.stand_in import Clock, Say, StandIn, lost, ok, page, problem, standing_in

from slipway import Client, ProblemError, RetryPolicy, UnreachableError
from slipway.retry import SHORT_S

TOKEN, PASSWORD = "canary-token-3f1c", "canary-password-77aa"
ACCEPTED = ok({"job_id": "j", "status_url": "/api/v1/jobs/j", "app_id": "a"}, 202)
KEY = re.compile(r"[A-Za-z0-9._:-]{8,128}")
APP = "/app/a/builds"


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
    with Client(server.url, TOKEN, read_s=5, retry=retry) as slipway:
        yield slipway


@pytest.mark.parametrize("stumble", [lost(), problem(503, "unavailable"), page(502), page(504)])
def test_a_write_whose_answer_is_lost_is_sent_again_under_the_same_key(
    server: StandIn, slipway: Client, stumble: object
) -> None:
    server.on("POST", APP, stumble, stumble, ACCEPTED)

    accepted = slipway.start_build("a", image_tag="7")

    asked = server.calls("POST", APP)
    assert accepted["job_id"] == "j"
    assert len(asked) == 3
    assert len({each.headers["Idempotency-Key"] for each in asked}) == 1
    assert [each.body for each in asked] == [{"image_tag": "7"}] * 3


def test_two_writes_have_two_keys_of_the_promised_shape(server: StandIn, slipway: Client) -> None:
    server.on("POST", APP, ACCEPTED)
    server.on("DELETE", "/app/a", ACCEPTED)
    server.on("GET", "/app/a/drift", ACCEPTED)

    for write in (slipway.start_build, slipway.start_build, slipway.delete_app, slipway.compare_app):
        write("a")

    keys = [asked.headers["Idempotency-Key"] for asked in server.asked]
    assert len(set(keys)) == 4
    assert all(KEY.fullmatch(key) for key in keys)


def test_a_read_is_sent_again_and_has_no_key(server: StandIn, slipway: Client) -> None:
    server.on("GET", "/me", lost(), ok({"id": "ada"}))

    assert slipway.get_me() == {"id": "ada"}
    assert all("Idempotency-Key" not in asked.headers for asked in server.asked)


def test_the_pauses_grow_and_it_gives_up_after_six_tries(server: StandIn, slipway: Client, clock: Clock) -> None:
    server.on("POST", APP, lost())

    with pytest.raises(UnreachableError, match="cannot be reached"):
        slipway.start_build("a")

    assert len(server.asked) == 6
    assert clock.slept == [0.25, 0.5, 1.0, 2.0, 4.0]


def test_chance_takes_up_to_half_of_a_pause_away() -> None:
    assert RetryPolicy(chance=lambda: 0.0).pause_s(3) == 0.5
    assert RetryPolicy(chance=lambda: 1.0).pause_s(3) == 1.0


def test_the_servers_own_pause_is_kept(server: StandIn, slipway: Client, clock: Clock) -> None:
    server.on("POST", APP, problem(503, "unavailable", retry_after="7"), ACCEPTED)

    slipway.start_build("a")

    assert clock.slept == [7.0]


def test_nobody_waits_longer_than_the_budget(server: StandIn, slipway: Client, clock: Clock) -> None:
    server.on("POST", APP, problem(503, "unavailable", retry_after="60"))

    with pytest.raises(ProblemError) as caught:
        slipway.start_build("a")

    assert (caught.value.code, caught.value.retry_after_s) == ("unavailable", 60.0)
    assert clock.slept == []


def test_too_many_requests_are_repeated_after_a_short_while_only(
    server: StandIn, slipway: Client, clock: Clock
) -> None:
    short, long = str(int(SHORT_S)), str(int(SHORT_S) + 1)
    server.on("POST", "/login", problem(429, "too_many_requests", retry_after=short), ok({"token": "t"}, 201))
    slipway.log_in("ada", PASSWORD)
    server.on("POST", "/login", problem(429, "too_many_requests", retry_after=long))

    with pytest.raises(ProblemError, match="Too many requests"):
        slipway.log_in("ada", PASSWORD)

    assert clock.slept == [SHORT_S]
    assert len(server.asked) == 3


@pytest.mark.parametrize("status", [400, 401, 403, 404, 409, 422, 500])
def test_a_refusal_is_an_answer(server: StandIn, slipway: Client, status: int) -> None:
    server.on("POST", APP, problem(status, "some_code"))

    with pytest.raises(ProblemError) as caught:
        slipway.start_build("a")

    assert (caught.value.status, caught.value.code, len(server.asked)) == (status, "some_code", 1)


def test_a_problem_tells_everything_that_it_was_told(server: StandIn, slipway: Client) -> None:
    fields = [{"field": "name", "code": "taken", "message": "An app of this name exists."}]
    told = {"detail": "So it is.", "remedy": "Choose another.", "errors": fields, "job_id": "j"}
    server.on("POST", APP, problem(409, "taken", **told))

    with pytest.raises(ProblemError) as caught:
        slipway.start_build("a")

    error = caught.value
    assert str(error) == "Taken. So it is. name: An app of this name exists. Choose another."
    assert (error.errors, error.job_id, error.request_id) == (fields, "j", "0a1b2c3d")


@pytest.mark.parametrize("answer", [page(), page(404), page(500), ok(["no", "problem"], 400)])
def test_what_is_not_slipways_answer_is_none(server: StandIn, slipway: Client, answer: object) -> None:
    server.on("GET", "/me", answer)

    with pytest.raises(UnreachableError, match="not as Slipway does"):
        slipway.get_me()


def test_a_token_is_not_carried_to_where_a_redirect_points(server: StandIn, slipway: Client) -> None:
    with standing_in() as other:
        server.on("GET", "/me", page(307, Location=f"{other.url}/api/v1/me"))

        with pytest.raises(UnreachableError, match="redirects to"):
            slipway.get_me()

        assert other.asked == []


def test_log_in_sends_no_older_token_and_later_calls_the_new_one(server: StandIn, slipway: Client) -> None:
    server.on("POST", "/login", ok({"token": "newer", "user": {}}, 201, Set_Cookie="session=newer"))
    server.on("GET", "/me", ok({"id": "ada"}))

    slipway.log_in("ada", PASSWORD)
    slipway.get_me()

    login, me = server.asked
    assert "Authorization" not in login.headers
    assert me.headers["Authorization"] == "Bearer newer"
    assert "Cookie" not in me.headers


def test_a_log_out_whose_answer_was_lost_is_a_log_out(server: StandIn, slipway: Client) -> None:
    server.on("POST", "/logout", lost(), Say(status=204))

    slipway.log_out()

    assert "has_token=False" in repr(slipway)


def test_neither_netrc_nor_a_proxy_has_a_say_on_this_machine(
    server: StandIn, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    netrc = tmp_path / "netrc"
    netrc.write_text("machine 127.0.0.1 login somebody password else\n")
    monkeypatch.setenv("NETRC", str(netrc))
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:1")
    server.on("GET", "/me", ok({"id": "ada"}))

    with Client(server.url) as visitor:
        visitor.get_me()

    assert "Authorization" not in server.asked[0].headers


def test_no_secret_is_in_what_is_raised_or_shown(server: StandIn, slipway: Client) -> None:
    server.on("POST", "/signup", lost())

    with pytest.raises(UnreachableError) as caught:
        slipway.sign_up("ada", email="ada@example.com", name="Ada", password=PASSWORD, team="dev")

    assert caught.value.__suppress_context__
    assert TOKEN not in repr(slipway) + repr(caught.value)
    assert PASSWORD not in repr(slipway) + repr(caught.value)


@pytest.mark.parametrize("token", ["", "two words", "a\nb", "ümlaut", "\x7f"])
def test_what_cannot_be_a_token_is_refused_without_repeating_it(server: StandIn, token: str) -> None:
    with pytest.raises(ValueError, match="printable ASCII"):
        Client(server.url, token)


@pytest.mark.parametrize(
    "url", ["", "slipway", "ftp://slipway", "http://", "http://ada:pw@slipway", "http://x?y", "http://x:y"]
)
def test_what_is_no_servers_address_is_refused(url: str) -> None:
    with pytest.raises(ValueError):
        Client(url)


@pytest.mark.parametrize("job_id", ["", ".", ".."])
def test_an_id_cannot_leave_its_place_in_the_address(server: StandIn, slipway: Client, job_id: str) -> None:
    with pytest.raises(ValueError, match="id"):
        slipway.get_job(job_id)

    assert server.asked == []


def test_a_slash_in_an_id_stays_within_it(server: StandIn, slipway: Client) -> None:
    with pytest.raises(ProblemError, match="Not found"):
        slipway.get_job("../me")

    assert server.asked[0].path == "/jobs/..%2Fme"


def test_pages_are_read_as_far_as_they_are_asked_for(server: StandIn, slipway: Client) -> None:
    pages = [
        ok({"jobs": [{"job_id": "3"}, {"job_id": "2"}], "next": "2"}),
        ok({"jobs": [{"job_id": "1"}], "next": None}),
    ]
    server.on("GET", "/jobs", *pages)

    listed = slipway.list_jobs(state="failed", limit=2)

    assert next(listed)["job_id"] == "3"
    assert [asked.query for asked in server.asked] == [{"state": "failed", "limit": "2"}]
    assert [job["job_id"] for job in listed] == ["2", "1"]
    assert server.asked[1].query == {"state": "failed", "limit": "2", "cursor": "2"}
