"""A request is whole at the very byte from which gunicorn's parser needs no more, in whatever pieces it comes."""

from __future__ import annotations

import contextlib
import random
from collections.abc import Iterator
from itertools import pairwise

import pytest
from gunicorn.config import Config
from gunicorn.http import get_parser
from gunicorn.http.errors import NoMoreData, ParseException

from api.contract import parsing
from server import arrival
from server.arrival import Arrival, Progress

POST = b"POST / HTTP/1.1\r\nHost: x\r\n"
CHUNKED = POST + b"Transfer-Encoding: chunked\r\n\r\n"
WELL_FORMED = [
    b"GET / HTTP/1.1\r\nHost: x\r\n\r\n",
    b"GET / HTTP/1.0\r\n\r\n",
    b"\r\nGET / HTTP/1.1\r\nHost: x\r\n\r\n",
    POST + b"Content-Length: 0\r\n\r\n",
    POST + b"Content-Length: 5\r\n\r\nabcde",
    POST + b"content-length:5\r\n\r\na\r\n\r\n",
    POST + b"CONTENT-LENGTH: \t 5 \t\r\nX: y\r\n\r\nabcde",
    POST + b"X-Content-Length: 9\r\nContent-Length: 2\r\n\r\nab",
    POST + b"X: Content-Length: 9\r\n\r\n",
    CHUNKED + b"0\r\n\r\n",
    CHUNKED + b"5\r\nabcde\r\n0\r\n\r\n",
    CHUNKED + b"5\r\n0\r\n\r\n\r\nA\r\n0123456789\r\n0\r\n\r\n",
    CHUNKED + b"5;name=value\r\nabcde\r\n000\r\n\r\n",
    CHUNKED + b"1\r\na\r\n0\r\nTrailer: x\r\nOther: y\r\n\r\n",
    POST + b"transfer-encoding:\tgzip, Chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n",
]
REFUSED = [
    b"GET / HTTP/1.1\nHost: x\n\n",
    b"GET / HTTP/1.1\r\nHost: x\n\r\n",
    b"nonsense\r\n\r\n",
    b"\r\n\r\n",
    POST + b"Content-Length: -5\r\n\r\n",
    POST + b"Content-Length: 5, 5\r\n\r\n",
    CHUNKED + b"x\r\n",
    CHUNKED + b"-5\r\n",
    CHUNKED + b"0x5\r\n",
    CHUNKED + b"\r\n",
    POST + b"Transfer-Encoding: identity\r\n\r\n",
    POST + b"Content-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
]


def _whole_after(pieces: list[bytes]) -> int | None:
    """Return the number of bytes after which the request was said to be whole."""
    coming = Arrival(0)
    for piece in pieces:
        if coming.add(piece) is Progress.WHOLE:
            return len(coming.received)
    return None


def _bytes_of(request: bytes) -> list[bytes]:
    return [bytes([byte]) for byte in request]


def _is_enough_for_gunicorn(received: bytes) -> bool:
    asked_for_more = []

    def source() -> Iterator[bytes]:
        yield received
        asked_for_more.append(True)
        raise NoMoreData

    with contextlib.suppress(NoMoreData, ParseException):
        next(get_parser(Config(), source(), ("127.0.0.1", 1))).body.read()
    return not asked_for_more


@pytest.mark.parametrize("request_bytes", WELL_FORMED, ids=ascii)
def test_a_request_is_whole_when_gunicorn_needs_no_more(request_bytes: bytes) -> None:
    sent = request_bytes + b"GET /next HTTP/1.1\r\n\r\n"

    needed = next(length for length in range(1, len(sent)) if _is_enough_for_gunicorn(sent[:length]))

    assert needed == len(request_bytes)
    assert _whole_after(_bytes_of(sent)) == needed


@pytest.mark.parametrize("request_bytes", REFUSED, ids=ascii)
def test_what_gunicorn_refuses_is_not_waited_for(request_bytes: bytes) -> None:
    whole_after = _whole_after(_bytes_of(request_bytes))

    assert whole_after is not None
    assert _is_enough_for_gunicorn(request_bytes[:whole_after])


@pytest.mark.parametrize("request_bytes", WELL_FORMED, ids=ascii)
def test_it_does_not_matter_how_it_is_cut_up(request_bytes: bytes) -> None:
    chance = random.Random(1)

    for _ in range(20):
        cuts = sorted({0, len(request_bytes), *chance.choices(range(len(request_bytes)), k=3)})
        pieces = [request_bytes[at:to] for at, to in pairwise(cuts)]
        assert _whole_after(pieces) == len(request_bytes)


def test_who_wants_to_be_told_to_go_on_is_told_once() -> None:
    coming = Arrival(0)

    told = [coming.add(piece) for piece in (POST + b"Expect: 100-Continue\r\nContent-Length: 2\r\n\r\n", b"a", b"b")]

    assert told == [Progress.EXPECTING, Progress.PARTIAL, Progress.WHOLE]


def test_who_does_not_wait_to_be_told_is_not() -> None:
    assert Arrival(0).add(POST + b"Expect: 100-continue\r\nContent-Length: 1\r\n\r\na") is Progress.WHOLE


def test_a_head_without_end_is_too_large() -> None:
    coming = Arrival(0)

    assert coming.add(b"GET / HTTP/1.1\r\nX: " + b"x" * (arrival.HEAD_BYTES - 20)) is Progress.PARTIAL
    assert coming.add(b"x" * 20) is Progress.HEAD_TOO_LARGE


@pytest.mark.parametrize(
    ("announced", "progress"), [(arrival.BODY_BYTES, Progress.PARTIAL), (arrival.BODY_BYTES + 1, Progress.WHOLE)]
)
def test_a_body_that_is_refused_for_its_length_is_not_waited_for(announced: int, progress: Progress) -> None:
    assert Arrival(0).add(POST + b"Content-Length: %d\r\n\r\n" % announced) is progress


def test_chunks_without_end_are_not_collected_for_ever() -> None:
    coming = Arrival(0)
    coming.add(CHUNKED)

    assert all(coming.add(b"400\r\n" + b"x" * 1024 + b"\r\n") is Progress.PARTIAL for _ in range(250))
    assert coming.add(b"ffffff\r\n" + b"x" * 8192) is Progress.BODY_TOO_LARGE


def test_the_api_takes_no_more_than_is_waited_for() -> None:
    assert parsing.BODY_BYTES <= arrival.BODY_BYTES
