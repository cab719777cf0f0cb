"""A mail server on loopback that takes what a strict one takes, with or without TLS, and refuses when it is told to."""

from __future__ import annotations

import ssl
import threading
import time
from base64 import b64decode
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from email import message_from_bytes
from email.message import EmailMessage
from email.policy import SMTP
from socketserver import StreamRequestHandler, ThreadingTCPServer

LONGEST_LINE = 1000  # RFC 5321, with its end


@dataclass
class MailServer:
    """What the server does and what it has got. `refusals` maps a command to the answer that it gets."""

    port: int = 0
    tls: ssl.SSLContext | None = None  # offered by STARTTLS
    login: tuple[str, str] | None = None  # asked for before any mail
    refusals: dict[str, str] = field(default_factory=dict)
    drips: int = 0  # so many lines, one each 20 ms, come before the answer to DATA
    messages: list[EmailMessage] = field(default_factory=list)
    recipients: list[list[str]] = field(default_factory=list)
    connections: int = 0


class _Session(StreamRequestHandler):
    server: _Server
    timeout = 5

    def setup(self) -> None:
        super().setup()
        self.is_encrypted = self.is_logged_in = False
        self.to: list[str] | None = None

    def handle(self) -> None:
        with suppress(OSError):  # clients that trust no certificate hang up
            self._talk()

    def finish(self) -> None:
        with suppress(OSError):
            super().finish()
        self.connection.close()  # the encrypted one, if it was

    def _talk(self) -> None:
        told = self.server.told
        told.connections += 1
        self._say("220 mail.example.com")
        while line := self.rfile.readline(LONGEST_LINE + 1):
            assert line.endswith(b"\r\n"), line
            command, _, rest = line.decode("ascii").strip().partition(" ")
            command = command.upper()
            if answer := told.refusals.get(command):
                self._say(answer)
            elif command == "QUIT":
                self._say("221 Bye")
                return
            else:
                getattr(self, f"_{command.lower()}", self._unknown)(rest)

    def _ehlo(self, _name: str) -> None:
        told = self.server.told
        offers = ["STARTTLS"] if told.tls and not self.is_encrypted else []
        offers += ["AUTH PLAIN"] if told.login else []
        lines = ["mail.example.com", *offers]
        for each in lines[:-1]:
            self._say(f"250-{each}")
        self._say(f"250 {lines[-1]}")

    def _starttls(self, _rest: str) -> None:
        context = self.server.told.tls
        assert context is not None
        self._say("220 Go on")
        self.connection = context.wrap_socket(self.connection, server_side=True)
        self.rfile, self.wfile = self.connection.makefile("rb"), self.connection.makefile("wb")
        self.is_encrypted = True

    def _auth(self, rest: str) -> None:
        _, user, password = b64decode(rest.partition(" ")[2]).decode().split("\0")
        self.is_logged_in = (user, password) == self.server.told.login
        self._say("235 Welcome" if self.is_logged_in else "535 Wrong login")

    def _mail(self, rest: str) -> None:
        if self.server.told.login and not self.is_logged_in:
            self._say("530 Log in first")
            return
        assert rest.startswith("FROM:<"), rest
        self.to = []
        self._say("250 OK")

    def _rcpt(self, rest: str) -> None:
        assert self.to is not None
        self.to.append(rest.removeprefix("TO:<").removesuffix(">"))
        self._say("250 OK")

    def _data(self, _rest: str) -> None:
        assert self.to
        self._say("354 Go on")
        lines = iter(self.rfile.readline, b".\r\n")
        text = b"".join(line.removeprefix(b".") if line.startswith(b"..") else line for line in lines)
        for _ in range(self.server.told.drips):
            self._say("250-Wait")
            time.sleep(0.02)
        self.server.told.messages.append(message_from_bytes(text, EmailMessage, policy=SMTP))
        self.server.told.recipients.append(self.to)
        self._say("250 Taken")

    def _rset(self, _rest: str) -> None:
        self.to = None
        self._say("250 OK")

    def _unknown(self, _rest: str) -> None:
        self._say("502 Unknown command")

    def _say(self, line: str) -> None:
        self.wfile.write(f"{line}\r\n".encode())
        self.wfile.flush()


class _Server(ThreadingTCPServer):
    allow_reuse_address = daemon_threads = True

    def __init__(self, told: MailServer) -> None:
        self.told = told
        super().__init__(("127.0.0.1", told.port), _Session)


@contextmanager
def serving(told: MailServer) -> Iterator[MailServer]:
    """Serve until the block ends; `told.port` is the port by then, and may be used again."""
    with _Server(told) as server:
        told.port = server.server_address[1]
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
        thread.start()
        try:
            yield told
        finally:
            server.shutdown()
            thread.join()
