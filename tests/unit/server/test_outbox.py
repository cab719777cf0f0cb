"""What a client does not take at once is kept in order until it does."""

from __future__ import annotations

import socket
from collections.abc import Iterator

import pytest

from server.outbox import Outbox

ANSWER = bytes(range(256)) * 8192  # 2 MiB: more than the kernel keeps


@pytest.fixture
def ends() -> Iterator[tuple[Outbox, socket.socket]]:
    near, far = socket.socketpair()
    outbox = Outbox(near)
    outbox.setblocking(False)
    with outbox, far:
        yield outbox, far


def test_who_writes_does_not_wait_for_who_reads(ends: tuple[Outbox, socket.socket]) -> None:
    outbox, client = ends

    outbox.sendall(ANSWER)
    outbox.sendall(b"the end")

    received = b""
    while not outbox.flush():
        received += client.recv(65536)
    outbox.close()
    received += b"".join(iter(lambda: client.recv(65536), b""))
    assert received == ANSWER + b"the end"


def test_what_is_taken_at_once_is_not_kept(ends: tuple[Outbox, socket.socket]) -> None:
    outbox, client = ends

    outbox.sendall(b"short")

    assert outbox.flush()
    assert client.recv(100) == b"short"


def test_a_client_that_has_gone_is_noticed(ends: tuple[Outbox, socket.socket]) -> None:
    outbox, client = ends
    outbox.sendall(ANSWER)

    client.close()

    with pytest.raises(OSError, match=r"pipe|reset"):
        outbox.flush()


def test_it_does_not_wait_even_when_somebody_has_made_it_blocking(ends: tuple[Outbox, socket.socket]) -> None:
    """gunicorn does so whenever it writes an error page."""
    outbox, _ = ends
    outbox.setblocking(True)

    outbox.sendall(ANSWER)

    assert not outbox.flush()
