"""Notifications go to the targets of the settings, signed, and nowhere that a name leads to by a trick."""

from __future__ import annotations

import base64
import hashlib
import hmac
import ipaddress
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from threading import Thread

import pytest
from support.raw_server import saying, slowly

from worker.notifications import sender
from worker.notifications.sender import ForbiddenAddressError, Sender, is_forbidden
from worker.notifications.signature import Signer

LOOPBACK = (ipaddress.ip_network("127.0.0.0/8"),)


def test_a_signature_is_as_standard_webhooks_has_it() -> None:
    """The example of the specification."""
    signer = Signer(["whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"])

    headers = signer.headers("msg_p5jXN8AQM9LWM0D4loKWxJek", b'{"test": 2432232314}', at_s=1614265330)

    assert headers["webhook-signature"] == "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="


def test_every_key_signs_so_that_keys_can_be_changed_one_by_one() -> None:
    headers = Signer(["new" * 12, "old" * 12]).headers("id", b"{}", at_s=7)

    expected = [hmac.new(key, b"id.7.{}", hashlib.sha256).digest() for key in (b"new" * 12, b"old" * 12)]
    assert headers["webhook-signature"] == " ".join(f"v1,{base64.b64encode(each).decode()}" for each in expected)


@pytest.mark.parametrize(
    ("address", "expected"),
    [
        ("93.184.216.34", False),
        ("10.1.2.3", False),  # in-house, as most targets are
        ("fd00::1", False),
        ("127.0.0.1", True),
        ("127.255.0.9", True),
        ("0.0.0.0", True),  # noqa: S104 - this machine, to Linux
        ("169.254.169.254", True),
        ("224.0.0.1", True),
        ("255.255.255.255", True),
        ("::1", True),
        ("::", True),
        ("fe80::1", True),
        ("ff02::1", True),
        ("::ffff:127.0.0.1", True),
        ("::ffff:169.254.169.254", True),
        ("64:ff9b::a9fe:a9fe", True),
        ("2002:7f00:1::", True),
        ("::ffff:93.184.216.34", False),
        ("64:ff9b::5db8:d822", False),
        ("fd00:ec2::254", True),
        ("fd20:ce::254", True),
        ("100.100.100.200", True),
        ("192.0.0.192", True),
        ("::ffff:100.100.100.200", True),
        ("64:ff9b:1::a9fe:a9fe", True),
        ("64:ff9b:1:a9fe:a9:fe00::", True),
        ("64:ff9b:1:a9:fe:a9fe::", True),
        ("64:ff9b:1:1:a9:fea9:fe00:0", True),
        ("64:ff9b:1::", True),
        ("64:ff9b:1::5db8:d822", False),
        ("64:ff9b:1:5db8:d8:2200::", False),
    ],
)
def test_what_is_this_machines_own_or_link_local_gets_nothing(address: str, expected: bool) -> None:
    assert is_forbidden(ipaddress.ip_address(address), ()) is expected


@pytest.mark.parametrize("address", ["127.0.0.1", "::ffff:127.0.0.1"])
def test_a_permitted_network_gets_it_however_it_is_written(address: str) -> None:
    assert not is_forbidden(ipaddress.ip_address(address), LOOPBACK)


def test_the_address_of_an_interface_of_this_machine_gets_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sender, "is_forbidden", lambda *_: False)  # as for any other address than 127.0.0.1
    with saying(b"HTTP/1.1 200 OK\r\n\r\n") as url:
        port = int(url.rpartition(":")[2])

        with pytest.raises(ForbiddenAddressError):
            sender.connect("127.0.0.1", port, timeout_s=1.0, permitted=())
        sender.connect("127.0.0.1", port, timeout_s=1.0, permitted=LOOPBACK).close()


def test_what_counts_is_the_address_that_is_connected_to(monkeypatch: pytest.MonkeyPatch) -> None:
    """A name that leads elsewhere at the second look-up gains nothing: there is one, and its answer is what is used."""
    with saying(b"HTTP/1.1 200 OK\r\n\r\n") as url:
        port = int(url.rpartition(":")[2])
        looked_up: list[str] = []

        def resolve(host: str, *_: object, **__: object) -> list[tuple[object, ...]]:
            looked_up.append(host)
            address = "93.184.216.34" if len(looked_up) > 1 else "127.0.0.1"
            return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, port))]

        monkeypatch.setattr(socket, "getaddrinfo", resolve)
        answer = Sender().post(f"http://rebinding.example.com:{port}/x", b"{}", {})

    assert answer.problem.startswith("its name leads to 127.0.0.1")
    assert looked_up == ["rebinding.example.com"]


def test_a_peer_that_is_not_who_was_looked_up_gets_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        answers = [(socket.AF_INET, socket.SOCK_STREAM, 6, "", ("93.184.216.34", port))]
        monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: answers)
        real = socket.socket.connect
        monkeypatch.setattr(socket.socket, "connect", lambda self, _to: real(self, ("127.0.0.1", port)))

        with pytest.raises(ForbiddenAddressError):
            sender.connect("ops.example.com", port, timeout_s=5, permitted=())


@pytest.mark.parametrize(
    ("status", "problem"),
    [
        ("200 OK", ""),
        ("204 No Content", ""),
        ("302 Found\r\nLocation: http://127.0.0.1:1/", "it answered 302, and redirects are not followed"),
        ("500 Internal Server Error", "it answered 500"),
        ("410 Gone", "it answered 410"),
    ],
)
def test_a_target_has_accepted_what_it_answered_with_2xx(status: str, problem: str) -> None:
    with saying(f"HTTP/1.1 {status}\r\nContent-Length: 0\r\n\r\n".encode()) as url:
        answer = Sender(LOOPBACK).post(f"{url}/hook", b"{}", {})

    assert answer.problem.startswith(problem) if problem else not answer.problem


@pytest.mark.parametrize(("asked", "expected"), [("30", 30), ("99999999", 3600), ("soon", 0), ("-1", 0)])
def test_a_target_says_when_to_come_again(asked: str, expected: float) -> None:
    with saying(f"HTTP/1.1 429 Too Many\r\nRetry-After: {asked}\r\nContent-Length: 0\r\n\r\n".encode()) as url:
        assert Sender(LOOPBACK).post(url, b"{}", {}).retry_after_s == expected


@pytest.mark.parametrize(
    ("chunks", "hold"), [((), True), (slowly(b"HTTP/1.1 200 OK\r\n" + b"X-Long: way\r\n" * 50), False)]
)
def test_a_target_that_is_slow_is_given_up(chunks: tuple[bytes, ...], hold: bool) -> None:
    with saying(*chunks, pause_s=0.05, hold=hold) as url:
        assert Sender(LOOPBACK, total_s=0.4).post(url, b"{}", {}).problem


def test_the_request_has_the_body_and_the_headers_and_no_trace_of_ours() -> None:
    with _recorded() as (url, requests):
        answer = Sender(LOOPBACK).post(f"{url}/hook?key=value", b'{"a": 1}', {"webhook-id": "x"})

    ((path, headers, body),) = requests
    assert (answer.problem, path, body) == ("", "/hook?key=value", b'{"a": 1}')
    assert (headers["webhook-id"], headers["Content-Type"]) == ("x", "application/json; charset=utf-8")
    assert "Authorization" not in headers
    assert "Cookie" not in headers


@contextmanager
def _recorded() -> Iterator[tuple[str, list[tuple[str, dict[str, str], bytes]]]]:
    requests: list[tuple[str, dict[str, str], bytes]] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            requests.append((self.path, dict(self.headers), body))
            self.send_response(204)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    with HTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = Thread(target=server.handle_request)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}", requests
        thread.join()
