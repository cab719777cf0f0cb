"""The health check of a container says yes to a 2xx and to nothing else."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest
from support.services import free_port

from server.probe import is_well


class _Answering(BaseHTTPRequestHandler):
    """Answers each path, which is a status, with that status."""

    def do_GET(self) -> None:
        self.send_response(int(self.path[1:]))
        self.send_header("Location", "/200")
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """Keep quiet."""


@pytest.fixture
def url() -> Iterator[str]:
    with HTTPServer(("127.0.0.1", 0), _Answering) as server:
        threading.Thread(target=server.serve_forever, args=(0.01,)).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


@pytest.mark.parametrize(
    ("status", "well"), [(200, True), (204, True), (302, False), (401, False), (404, False), (500, False), (503, False)]
)
def test_an_answer_is_well_or_not_by_its_status(url: str, status: int, well: bool) -> None:
    assert is_well(f"{url}/{status}") is well


def test_a_proxy_of_the_environment_is_not_asked(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("http_proxy", f"http://127.0.0.1:{free_port()}")

    assert is_well(f"{url}/200")


def test_nobody_there_is_not_well() -> None:
    assert not is_well(f"http://127.0.0.1:{free_port()}/200")


def test_what_speaks_no_http_is_not_well() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        threading.Thread(target=_greet, args=(listening,)).start()

        assert not is_well(f"http://127.0.0.1:{listening.getsockname()[1]}/200")


def _greet(listening: socket.socket) -> None:
    with listening.accept()[0] as connection:
        connection.sendall(b"220 mail.example.com\r\n")
