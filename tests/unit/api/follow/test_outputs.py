"""A client that reads slowly, or not at all, gets what it is owed once, and then its place is somebody else's."""

from __future__ import annotations

import socket
from collections.abc import Iterator

import pytest
from flask import Response

from api.follow.outputs import MAX_RECEIVED_BYTES, MAX_UNSENT_BYTES, STALL_TIMEOUT_S, SocketOutput

LARGE = b"x" * 90_000


class Clock:
    def __init__(self) -> None:
        self.now_s = 0.0

    def __call__(self) -> float:
        return self.now_s


@pytest.fixture
def ends() -> Iterator[tuple[socket.socket, socket.socket]]:
    """Our end, whose buffer is small, and the client's."""
    ours, theirs = socket.socketpair()
    with ours, theirs:
        ours.setblocking(False)
        for end in (ours, theirs):
            end.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4096)
        yield ours, theirs


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def line(ends: tuple[socket.socket, socket.socket], clock: Clock) -> SocketOutput:
    return SocketOutput(ends[0], clock_s=clock)


def _read_all(line: SocketOutput, client: socket.socket) -> bytes:
    """Read until our end says that nothing follows, flushing as the selector would."""
    client.settimeout(5)
    received = b""
    while piece := client.recv(65_536):
        received += piece
        line.flush()
    return received


def test_a_large_answer_arrives_whole_and_once(line: SocketOutput, ends: tuple[socket.socket, socket.socket]) -> None:
    line.answer(Response(LARGE))
    line.end()
    assert (line.is_ending, line.has_unsent, line.is_closed) == (True, True, False)

    head, _, body = _read_all(line, ends[1]).partition(b"\r\n\r\n")

    assert b"Content-Length: 90000" in head
    assert body == LARGE
    assert line.is_closed


def test_an_answer_may_be_larger_than_a_streams_backlog(line: SocketOutput) -> None:
    line.answer(Response(b"x" * (MAX_UNSENT_BYTES + 1)))

    assert not line.is_closed


def test_a_stream_that_is_not_read_is_let_go_when_too_much_waits(line: SocketOutput) -> None:
    for _ in range(4):
        line.send(LARGE)

    assert line.is_closed


def test_a_client_that_takes_nothing_any_more_is_let_go(line: SocketOutput, clock: Clock) -> None:
    line.send(LARGE)
    clock.now_s = STALL_TIMEOUT_S - 1
    line.close_if_stalled()
    assert not line.is_closed

    clock.now_s = STALL_TIMEOUT_S
    line.close_if_stalled()

    assert line.is_closed


def test_a_quiet_stream_is_not_a_stuck_one(line: SocketOutput, clock: Clock) -> None:
    line.send(b": still here\n\n")
    clock.now_s = 10 * STALL_TIMEOUT_S
    line.close_if_stalled()

    assert not line.is_closed


def test_an_end_that_is_read_drop_by_drop_ends_all_the_same(
    line: SocketOutput, ends: tuple[socket.socket, socket.socket], clock: Clock
) -> None:
    line.answer(Response(LARGE))
    line.end()
    clock.now_s = STALL_TIMEOUT_S - 1
    ends[1].recv(8192)
    line.flush()
    clock.now_s = STALL_TIMEOUT_S
    line.close_if_stalled()

    assert line.is_closed


def test_a_client_that_keeps_sending_is_no_follower(
    line: SocketOutput, ends: tuple[socket.socket, socket.socket]
) -> None:
    client = ends[1]
    client.setblocking(False)
    sent = 0
    while sent <= MAX_RECEIVED_BYTES:
        sent += client.send(b"y" * 1024)
        line.receive()

    assert line.is_closed


def test_a_client_that_hangs_up_is_noticed(line: SocketOutput, ends: tuple[socket.socket, socket.socket]) -> None:
    line.receive()
    assert not line.is_closed

    ends[1].close()
    line.receive()

    assert line.is_closed
