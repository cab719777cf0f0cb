"""The HTTP layer keeps its guarantees against servers that break theirs."""

from __future__ import annotations

import ssl
import time
import traceback
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from pathlib import Path

import pytest
from support.certificates import certify
from support.raw_server import saying, slowly
from werkzeug.wrappers import Request, Response

from common.errors import ActionBy, Permanent, StepError, Transient
from common.telemetry import sent
from harbour.faults import Fault
from harbour.server import Service, route
from worker.upstreams.base import origin_of
from worker.upstreams.error_text import cleaned, reason_in
from worker.upstreams.http import Deadline, Http, Limits, build_url, unexpected
from worker.upstreams.replies import Reply, retry_after_s

QUICK = Limits(connect_s=0.5, read_s=0.5, total_s=0.6, body_bytes=64 * 1024)
CANARY = "c4nary-Pa55/wörd"
BASE = "http://host/prefix"


class Echo(Service):
    """Answers what it was asked, and some things that it was not."""

    name = "echo"

    @route("GET", "/echo/:word")
    def echo(self, request: Request, word: str) -> Response:
        cookie, auth = request.headers.get("Cookie", ""), request.headers.get("Authorization", "")
        return Response(f"{word}|{cookie}|{auth}", headers={"Set-Cookie": "session=1; Path=/"})

    @route("POST", "/echo/:word")
    def repeat(self, request: Request, word: str) -> Response:
        return Response(request.get_data(), headers={"Content-Type": request.content_type or word})

    @route("GET", "/away")
    def away(self, _request: Request) -> Response:
        return Response("x" * 1000, 302, {"Location": f"{self.url}/echo/elsewhere"})

    @route("GET", "/big")
    def big(self, _request: Request) -> Response:
        return Response(b"x" * 5 * 1024 * 1024, 200)


@pytest.fixture
def echo() -> Iterator[Echo]:
    service = Echo()
    service.start()
    yield service
    service.stop()


@pytest.fixture
def http(echo: Echo) -> Http:
    return Http("GitLab", echo.url, limits=QUICK)


def reply(status: int = 200, body: bytes = b"", headers: Mapping[str, str] | None = None) -> Reply:
    return Reply(upstream="GitLab", method="GET", path="/", status=status, headers=headers or {}, body=body)


# -- addresses ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("segment", ["", ".", "..", "a\\b", "a\x00", "a\r\nb", "\x7f", "\ud800", "x" * 256])
def test_a_segment_that_could_leave_its_place_is_refused(segment: str) -> None:
    with pytest.raises(Permanent):
        build_url(BASE, "jobs", segment)


@pytest.mark.parametrize("segment", ["../x", "%2e%2e", "a/b", "a?b", "a#b", "a b", "é", "a;b", "@", "..."])
def test_any_other_segment_stays_one_segment_below_the_base(segment: str) -> None:
    rest = build_url(BASE + "/", "jobs", segment).removeprefix(f"{BASE}/jobs/")

    assert rest
    assert not set(rest) & set("/?# ")


def test_an_encoded_slash_arrives_as_it_was_sent(echo: Echo, http: Http) -> None:
    assert http.send("GET", "echo", "dev/shop").text.startswith("dev/shop|")
    assert echo.calls[0].path == "/echo/dev%2Fshop"


# -- what is sent ---------------------------------------------------------------------------------------------


def test_cookies_are_not_kept(http: Http) -> None:
    http.send("GET", "echo", "a")

    assert http.send("GET", "echo", "a").text == "a||"


def test_the_environment_has_no_say(http: Http, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / ".netrc").write_text("machine 127.0.0.1 login spy password spy\n")
    monkeypatch.setenv("NETRC", str(tmp_path / ".netrc"))
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")
    monkeypatch.delenv("NO_PROXY", raising=False)
    monkeypatch.delenv("no_proxy", raising=False)

    assert http.send("GET", "echo", "a").text == "a||"


def test_headers_about_the_format_are_no_secret(echo: Echo) -> None:
    login = {"PRIVATE-TOKEN": CANARY, "Content-Type": "application/json", "Accept-Language": "en-GB"}
    http = Http("GitLab", echo.url, headers=login, limits=QUICK)

    http.send("GET", "echo", "a")

    assert sent.hide(f"no application/json in en-GB for {CANARY}") == "no application/json in en-GB for •••"


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("https://git.example:8443/dev/shop.git", "https://git.example:8443"),
        ("http://u:p@git.example/dev", "http://git.example"),
        ("https://git.example:port/dev", "no address"),
        ("javascript:alert(1)", "no address"),
    ],
)
def test_an_address_is_named_with_scheme_and_port_and_nothing_else(url: str, shown: str) -> None:
    assert origin_of(url) == shown


def test_basic_credentials_are_utf_8(http: Http) -> None:
    assert http.send("GET", "echo", "a", auth=("ann", "wörd")).text.endswith("|Basic YW5uOnfDtnJk")


def test_what_is_accepted_with_another_login_does_not_speak_for_ours(http: Http) -> None:
    bounded = http.within(Deadline.within(60))

    bounded.send("GET", "echo", "a", auth=("ann", "hers"))
    assert not bounded.has_accepted(is_write=False)
    bounded.send("GET", "echo", "a")
    assert bounded.has_accepted(is_write=False)


def test_a_body_goes_as_json_as_a_form_or_as_it_is(http: Http) -> None:
    as_json = http.send("POST", "echo", "a", json={})
    as_form = http.send("POST", "echo", "a", form={"a": "b c"})
    as_is = http.send("POST", "echo", "a", content=("application/xml", b"<a/>"))

    assert (as_json.body, as_json.headers["content-type"]) == (b"{}", "application/json")
    assert (as_form.body, as_form.headers["CONTENT-TYPE"]) == (b"a=b+c", "application/x-www-form-urlencoded")
    assert (as_is.body, as_is.headers["Content-Type"]) == (b"<a/>", "application/xml")


@pytest.mark.parametrize("value", ["a\r\nEvil: 1", "\u4e00"])
def test_a_header_that_is_none_is_permanent_and_not_shown(http: Http, value: str) -> None:
    with pytest.raises(Permanent) as caught:
        http.send("GET", "echo", "a", headers={"PRIVATE-TOKEN": CANARY + value})

    assert_silent(caught.value)


# -- what comes back ------------------------------------------------------------------------------------------


def test_a_redirect_is_an_answer_and_not_followed(echo: Echo, http: Http) -> None:
    assert http.send("GET", "away").status == 302
    assert [call.path for call in echo.calls] == ["/away"]


def test_a_redirect_to_nowhere_is_an_answer_too() -> None:
    with saying(b"HTTP/1.1 302 Found\r\nLocation: http://[\r\nContent-Length: 0\r\n\r\n") as url:
        http = Http("GitLab", url, limits=QUICK)
        answer = http.send("GET", "astray")

    assert answer.status == 302
    assert isinstance(unexpected(http, answer, "reading"), Permanent)


def test_a_body_above_the_cap_is_not_read(http: Http) -> None:
    with pytest.raises(Transient, match="more than 65536 bytes"):
        http.send("GET", "big")


def test_a_reply_shows_neither_headers_nor_body() -> None:
    assert "c4nary" not in repr(reply(200, CANARY.encode(), {"Token": CANARY}))


@pytest.mark.parametrize("body", [b"<html>fine</html>", b"", b"\xff\xfe", b"[" * 100_000, b'{"a": 1'])
def test_what_is_not_json_is_transient(body: bytes) -> None:
    with pytest.raises(Transient, match="not JSON"):
        reply(200, body).json()


@dataclass(frozen=True)
class Point:
    x: int


@pytest.mark.parametrize("body", [b"null", b"[]", b"3", b'"x"', b"{}", b'{"x": null}', b'{"x": {}}', b'{"x": "a"}'])
def test_json_of_another_shape_is_transient(body: bytes) -> None:
    with pytest.raises(Transient, match="unknown shape"):
        reply(200, body).read_as(Point)


def test_unknown_keys_are_ignored() -> None:
    assert reply(200, b'[{"x": 1, "y": 2}]').read_as(list[Point]) == [Point(1)]


# -- time -----------------------------------------------------------------------------------------------------


def unknown_outcome() -> pytest.RaisesExc[Transient]:
    return pytest.raises(Transient, match="outcome is unknown")


LENGTHLESS = b"HTTP/1.1 200 OK\r\n\r\n" + b"x" * 100
SLOW = {
    "headers": slowly(b"HTTP/1.1 200 OK\r\nX-Long: " + b"a" * 200),
    "body": (b"HTTP/1.1 200 OK\r\nContent-Length: 200\r\n\r\n", *slowly(b"x" * 200)),
    "body without length": slowly(LENGTHLESS),
    "nothing": (),
}


@pytest.mark.parametrize("chunks", SLOW.values(), ids=SLOW.keys())
def test_no_drip_outlives_the_total(chunks: tuple[bytes, ...]) -> None:
    began_s = time.monotonic()

    with saying(*chunks, pause_s=0.05, hold=True) as url, unknown_outcome():
        Http("GitLab", url, limits=QUICK).send("GET", "slow")

    assert time.monotonic() - began_s < 3 * QUICK.total_s


def test_a_call_ends_by_its_deadline(echo: Echo, http: Http) -> None:
    echo.inject(Fault(kind="drip", delay_s=0.05))
    began_s = time.monotonic()

    with unknown_outcome():
        http.within(Deadline.within(0.2)).send("GET", "echo", "a" * 200)

    assert time.monotonic() - began_s < QUICK.total_s


def test_a_deadline_that_has_passed_makes_no_call(echo: Echo, http: Http) -> None:
    with pytest.raises(Transient, match="used up"):
        http.within(Deadline.within(0)).send("GET", "echo", "a")

    assert echo.calls == []


def test_a_call_may_ask_for_less_time(echo: Echo, http: Http) -> None:
    echo.inject(Fault(kind="drip", delay_s=0.05))
    began_s = time.monotonic()

    with pytest.raises(Transient):
        http.send("GET", "echo", "a" * 200, total_s=0.2)

    assert time.monotonic() - began_s < QUICK.total_s


# -- what breaks ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["reset", "lost", "truncate"])
def test_a_broken_answer_leaves_the_outcome_unknown_and_is_not_retried(echo: Echo, http: Http, kind: str) -> None:
    echo.inject(Fault(kind=kind))

    with pytest.raises(Transient, match="GitLab did not finish its answer: the outcome is unknown"):
        http.send("POST", "echo", "a", json={"a": "b"})

    assert len(echo.calls) == 1


def test_a_closed_port_was_never_reached() -> None:
    with saying() as url:
        pass

    with pytest.raises(Transient, match="GitLab could not be reached"):
        Http("GitLab", url, limits=QUICK).send("GET", "a")


@pytest.mark.parametrize("base", ["http://name.invalid", "https://{echo}"])
def test_no_name_and_no_tls_was_never_reached(echo: Echo, base: str) -> None:
    url = base.format(echo=echo.url.removeprefix("http://"))

    with pytest.raises(Transient, match="GitLab could not be reached"):
        Http("GitLab", url, limits=QUICK).send("GET", "a")


@pytest.mark.parametrize("kind", ["reset", "truncate"])
def test_an_error_carries_nothing_of_the_request(echo: Echo, kind: str) -> None:
    echo.inject(Fault(kind=kind))
    http = Http("GitLab", echo.url, limits=QUICK, headers={"Token": "c4nary"}, auth=("ann", CANARY))

    with pytest.raises(Transient) as caught:
        http.send("POST", "echo", "a", json={"password": CANARY})

    assert_silent(caught.value)


def assert_silent(error: StepError) -> None:
    assert "c4nary" not in "".join(traceback.format_exception(error)) + repr(error) + repr(vars(error))


# -- TLS ------------------------------------------------------------------------------------------------------


@pytest.fixture
def tls(tmp_path: Path) -> tuple[ssl.SSLContext, str]:
    return certify(tmp_path)


def test_our_own_authority_is_trusted_and_no_other(tls: tuple[ssl.SSLContext, str]) -> None:
    context, ca_file = tls
    answer = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi"

    with saying(answer, tls=context) as url:
        assert Http("GitLab", url, ca_file=ca_file, limits=QUICK).send("GET", "a").text == "hi"
    with saying(answer, tls=context) as url, pytest.raises(Transient, match="could not be reached"):
        Http("GitLab", url, limits=QUICK).send("GET", "a")


def test_no_drip_outlives_the_total_under_tls(tls: tuple[ssl.SSLContext, str]) -> None:
    context, ca_file = tls
    began_s = time.monotonic()

    with saying(*slowly(LENGTHLESS), pause_s=0.05, tls=context) as url, unknown_outcome():
        Http("GitLab", url, ca_file=ca_file, limits=QUICK).send("GET", "a")

    assert time.monotonic() - began_s < 3 * QUICK.total_s


# -- what a status means --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "wait_s"),
    [("7", 7.0), ("0", 0.0), ("86400", 600.0), ("", None), ("soon", None), ("-5", None), ("1.5", None), ("²", None)],
)
def test_retry_after_in_seconds(text: str, wait_s: float | None) -> None:
    assert retry_after_s(reply(429, headers={"Retry-After": text})) == wait_s


def test_retry_after_as_a_date() -> None:
    soon, past = (datetime.now(UTC) + timedelta(seconds=s) for s in (30, -30))

    assert retry_after_s(reply(503, headers={"Retry-After": format_datetime(soon, usegmt=True)})) == pytest.approx(
        30, abs=5
    )
    assert retry_after_s(reply(503, headers={"Retry-After": format_datetime(past, usegmt=True)})) == 0


@pytest.mark.parametrize("status", [408, 425, 429, 500, 502, 503, 504, 507])
def test_a_stumble_is_transient_and_keeps_the_servers_hint(http: Http, status: int) -> None:
    error = unexpected(http, reply(status, b"Retry later", headers={"Retry-After": "9"}), "looking")

    assert isinstance(error, Transient)
    assert error.retry_after_s == 9
    assert str(error) == f"GitLab answered {status} while looking: “Retry later”"


@pytest.mark.parametrize(
    ("status", "action_by"),
    [
        (202, ActionBy.UPSTREAM),
        (302, ActionBy.OPERATOR),
        (400, ActionBy.OPERATOR),
        (401, ActionBy.OPERATOR),
        (403, ActionBy.OPERATOR),
        (404, ActionBy.OPERATOR),
        (422, ActionBy.OPERATOR),
    ],
)
def test_everything_else_is_permanent(http: Http, status: int, action_by: ActionBy) -> None:
    error = unexpected(http, reply(status), "looking")

    assert isinstance(error, Permanent)
    assert (error.action_by, error.upstream) == (action_by, "GitLab")


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (b'{"message":"404 Project Not Found"}', "404 Project Not Found"),
        (b'{"message":{"password":["is weak","is short"]}}', "password: is weak; is short"),
        (b'{"message":["Name has been taken","Path too"]}', "Name has been taken; Path too"),
        (b'{"message":{"error":"too often"}}', "too often"),
        (b'{"error":"email is missing"}', "email is missing"),
        (b'{"error":"invalid_token","error_description":"Token is expired."}', "Token is expired."),
        (b'{"error":{"root_cause":[],"type":"x","reason":"Validation Failed"},"status":400}', "Validation Failed"),
        (b"<html><head><title>t</title></head><body><h1>502</h1>\n Bad&nbsp;Gateway</body>", "502 Bad Gateway"),
        (b"Retry later\n", "Retry later"),
        (b"\x1b[31mred\x00\r\nline", "red line"),
        (b"{}", ""),
        (b"", ""),
        (b"[[[[[[[[[[1]]]]]]]]]]", ""),
    ],
)
def test_a_reason_is_one_clean_line(body: bytes, reason: str) -> None:
    assert reason_in(body) == reason


def test_a_reason_is_short() -> None:
    assert len(cleaned("x " * 10_000)) == 300


@pytest.mark.parametrize(
    "body",
    [
        '{"message":"bad c4nary<\\"&/b"}',
        "bad c4nary&lt;&quot;&amp;/b",
        "bad c4nary%3C%22%26%2Fb",
        '{"m":"c4nary<\\"&/b',
    ],
)
def test_an_echoed_secret_is_replaced_in_every_spelling(body: str) -> None:
    assert "c4nary" not in reason_in(body.encode(), secrets=('c4nary<"&/b',))


@pytest.mark.parametrize(("body", "secret"), [(b"c4nary  x", "c4nary  x"), (b"c4nary&#60;", "c4nary<")])
def test_a_secret_is_found_before_and_after_cleaning(body: bytes, secret: str) -> None:
    assert reason_in(body, secrets=(secret,)) == "•••"


def test_a_secret_is_not_cut_in_half_by_the_cap() -> None:
    assert "c4n" not in cleaned("x" * 297 + CANARY, secrets=(CANARY,))
