"""Clients that send slowly, do not read or never leave are many; all others are answered as if they were not there."""

from __future__ import annotations

import re
import resource
import select
import shutil
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, suppress
from http.client import HTTPConnection
from pathlib import Path

import pytest
from support.api import V1, serve

from server import worker
from server.crowd import PER_ADDRESS

CROWD = 40  # more than twice the threads of both processes
ANSWERS_WITHIN_S = 2.0
WATCHED_S = 3.0
POST = f"POST {V1}/login HTTP/1.1\r\nHost: slipway\r\nContent-Type: application/json\r\n".encode()
GET = b"GET /healthz HTTP/1.1\r\nHost: slipway\r\n"
BEGINNINGS = {
    "silence": b"",
    "half a line": b"GET /heal",
    "half a head": GET + b"X-Slow: ",
    "no body": POST + b"Content-Length: 100\r\n\r\n",
    "half a body": POST + b"Content-Length: 100\r\n\r\n{",
    "half a chunk": POST + b"Transfer-Encoding: chunked\r\n\r\n64\r\n{\r\n0\r\n\r\n",
    "no last chunk": POST + b"Transfer-Encoding: chunked\r\n\r\n1\r\n{\r\n",
    "a promise": POST + b"Content-Length: 100000\r\n\r\n{",
    "no goodbye": GET + b"Connection: close\r\n\r\n",
}
"""What each client of a crowd sends before it falls silent."""

LONG_ANSWER = b"GET /docs/assets/swagger-ui-bundle.js HTTP/1.1\r\nHost: slipway\r\nConnection: close\r\n\r\n"
Address = tuple[str, int]


@pytest.fixture(scope="module")
def log(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("gunicorn") / "gunicorn.log"


@pytest.fixture(scope="module")
def address(migrated_sqlite: Path, log: Path) -> Iterator[Address]:
    file = shutil.copy(migrated_sqlite, log.parent / "slipway.db")
    with serve(f"sqlite:///{file}", log) as opened:
        _get(opened)
        yield opened


def _get(address: Address, path: str = "/healthz") -> int:
    connection = HTTPConnection(*address, timeout=60)
    connection.request("GET", path, headers={"Connection": "close"})
    answer = connection.getresponse()
    answer.read()
    connection.close()
    return answer.status


def _crowd(stack: ExitStack, address: Address, beginning: bytes) -> list[socket.socket]:
    clients = [stack.enter_context(socket.create_connection(address, timeout=60)) for _ in range(CROWD)]
    for client in clients:
        client.sendall(beginning)
    return clients


def _longest_wait_s(address: Address, for_s: float, meanwhile: Callable[[], object] = lambda: None) -> float:
    """Ask again and again for so long, and return the longest that an answer took."""
    longest_s, ends_at = 0.0, time.monotonic() + for_s
    while time.monotonic() < ends_at:
        began_at = time.monotonic()
        assert _get(address) == 200
        longest_s = max(longest_s, time.monotonic() - began_at)
        meanwhile()
        time.sleep(0.05)
    return longest_s


def _last_words(client: socket.socket) -> bytes:
    """Return what a client gets until the server closes."""
    return b"".join(iter(lambda: client.recv(65536), b""))


@pytest.mark.parametrize("beginning", BEGINNINGS.values(), ids=BEGINNINGS)
def test_a_crowd_that_falls_silent_keeps_nobody_waiting(address: Address, beginning: bytes) -> None:
    with ExitStack() as stack:
        _crowd(stack, address, beginning)

        assert _longest_wait_s(address, WATCHED_S) < ANSWERS_WITHIN_S


def test_one_address_gives_up_its_oldest_requests_for_new_ones_and_no_other_address_waits(address: Address) -> None:
    beyond = 50
    with ExitStack() as stack:
        clients = [
            stack.enter_context(socket.create_connection(address, timeout=worker.ARRIVES_WITHIN_S / 2))
            for _ in range(2 * PER_ADDRESS + beyond)  # of two processes
        ]
        for client in clients:
            with suppress(OSError):
                client.sendall(GET)

        neighbour = stack.enter_context(socket.create_connection(address, timeout=5, source_address=("127.0.0.2", 0)))
        neighbour.sendall(GET + b"Connection: close\r\n\r\n")
        assert _last_words(neighbour).startswith(b"HTTP/1.1 200 ")
        until_s = time.monotonic() + worker.ARRIVES_WITHIN_S / 2
        while len(_closed(clients)) < beyond and time.monotonic() < until_s:
            time.sleep(0.05)
        assert beyond <= len(_closed(clients)) < 2 * beyond


def _closed(clients: list[socket.socket]) -> list[socket.socket]:
    """Return those that the server has closed: it has sent nothing that could be read."""
    return select.select(clients, (), (), 0)[0]


def test_a_crowd_that_sends_byte_by_byte_keeps_nobody_waiting(address: Address) -> None:
    with ExitStack() as stack:
        clients = _crowd(stack, address, GET)

        def drip() -> None:
            for client in clients:
                client.sendall(b"X")

        assert _longest_wait_s(address, WATCHED_S, drip) < ANSWERS_WITHIN_S


def test_who_takes_too_long_is_told_so_and_the_log_is_quiet(address: Address, log: Path) -> None:
    before = log.read_text()
    with ExitStack() as stack:
        (slow, *_), (silent, *_) = _crowd(stack, address, b"GET /heal"), _crowd(stack, address, b"")
        began_at = time.monotonic()

        words = _last_words(slow), _last_words(silent)

    assert words[0].startswith(b"HTTP/1.1 408 Request Timeout\r\nConnection: close\r\n")
    assert words[1] == b""
    assert worker.ARRIVES_WITHIN_S - 1 < time.monotonic() - began_at < worker.ARRIVES_WITHIN_S + 5
    assert log.read_text() == before


def test_who_is_slow_but_not_too_slow_is_served(address: Address) -> None:
    body = b'{"id": "nobody", "password": "nothing"}'
    with socket.create_connection(address, timeout=60) as client:
        for byte in POST + b"Connection: close\r\nContent-Length: %d\r\n\r\n" % len(body) + body:
            client.sendall(bytes([byte]))
            time.sleep(0.005)

        assert _last_words(client).startswith(b"HTTP/1.1 401 ")


def test_requests_that_come_together_are_answered_one_by_one(address: Address) -> None:
    with socket.create_connection(address, timeout=60) as client:
        client.sendall((GET + b"\r\n") * 3 + GET + b"Connection: close\r\n\r\n")

        assert _last_words(client).count(b"HTTP/1.1 200 OK\r\n") == 4


def test_a_kept_connection_is_used_again(address: Address) -> None:
    connection = HTTPConnection(*address, timeout=60)
    statuses = []
    for path in ("/healthz", f"{V1}/me", "/nowhere", "/healthz"):
        connection.request("GET", path)
        answer = connection.getresponse()
        statuses.append(answer.status)
        answer.read()
        own_port = connection.sock.getsockname()[1] if connection.sock else None

    assert statuses == [200, 401, 404, 200]
    assert own_port is not None
    connection.close()


def test_who_waits_to_be_told_to_go_on_is_told(address: Address) -> None:
    body = b'{"id": "nobody", "password": "nothing"}'
    head = POST + b"Expect: 100-continue\r\nConnection: close\r\nContent-Length: %d\r\n\r\n" % len(body)
    with socket.create_connection(address, timeout=60) as client:
        client.sendall(head)
        told = client.recv(1000)
        client.sendall(body)

        assert told == b"HTTP/1.1 100 Continue\r\n\r\n"
        assert _last_words(client).startswith(b"HTTP/1.1 401 ")


@pytest.mark.parametrize(
    ("sent", "status"),
    [
        (b"GET / HTTP/1.1\nHost: x\n\n", b"400"),
        (b"nonsense\r\n\r\n", b"400"),
        (b"GET /" + b"x" * 5000 + b" HTTP/1.1\r\n\r\n", b"414"),
        (b"GET / HTTP/1.1\r\n" + b"X: y\r\n" * 60 + b"\r\n", b"431"),
        (b"GET / HTTP/1.1\r\nX: " + b"y" * 40_000, b"431"),
        (POST + b"Transfer-Encoding: chunked\r\n\r\nnonsense\r\n", b"400"),
        (POST + b"Transfer-Encoding: chunked\r\n\r\n2\r\n{}  0\r\n\r\n", b"400"),
        (POST + b"Transfer-Encoding: chunked\r\n\r\nffffff\r\n" + b" " * 300_000, b"413"),
    ],
    ids=["line feeds", "nonsense", "long line", "many fields", "endless head", "no size", "no end", "endless body"],
)
def test_what_makes_no_sense_is_refused_at_once(address: Address, sent: bytes, status: bytes) -> None:
    with socket.create_connection(address, timeout=60) as client:
        client.sendall(sent)

        assert _last_words(client).split()[1] == status


def test_who_does_not_read_keeps_nobody_waiting(address: Address) -> None:
    with ExitStack() as stack:
        clients = [stack.enter_context(socket.socket()) for _ in range(CROWD)]
        for client in clients:
            client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 2048)
            client.setsockopt(socket.IPPROTO_TCP, socket.TCP_MAXSEG, 536)  # over loopback the kernel would take it all
            client.connect(address)
            client.sendall(LONG_ANSWER)

        assert _longest_wait_s(address, WATCHED_S) < ANSWERS_WITHIN_S
        assert len(_last_words(clients[0])) > 1_000_000, "who reads late gets all of it"


def test_processes_may_open_as_many_files_as_the_host_allows(address: Address, log: Path) -> None:  # noqa: ARG001 - it runs
    started = re.findall(r"Booting worker with pid: (\d+)", log.read_text())
    limits = [resource.prlimit(int(pid), resource.RLIMIT_NOFILE) for pid in started]

    assert len(limits) == 2
    assert all(soft == min(hard, 65_536) for soft, hard in limits)
