"""Connections to the mail server of the settings."""

from __future__ import annotations

import smtplib
import socket
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from email.message import EmailMessage

from common.config.settings import WorkerSettings

ANSWERS_WITHIN_S = 10.0  # each command of SMTP
PORTS = {"starttls": 587, "implicit": 465, "none": 25}


@contextmanager
def connected(settings: WorkerSettings) -> Iterator[smtplib.SMTP]:
    """Yield a connection to the mail server, encrypted and logged in as the settings say.

    Raises OSError, SMTPException; a server that offers no STARTTLS gets nothing in clear.
    """
    host, mode = str(settings.smtp_host), settings.smtp_tls
    port = settings.smtp_port or PORTS[mode]
    context = ssl.create_default_context(cafile=str(settings.smtp_ca_file) if settings.smtp_ca_file else None)
    if mode == "implicit":
        server: smtplib.SMTP = smtplib.SMTP_SSL(host, port, timeout=ANSWERS_WITHIN_S, context=context)
    else:
        server = smtplib.SMTP(host, port, timeout=ANSWERS_WITHIN_S)
    with server:
        if mode == "starttls":
            server.starttls(context=context)
        if settings.smtp_user and settings.smtp_password:
            server.login(settings.smtp_user, settings.smtp_password.get_secret_value())
        yield server


def send(server: smtplib.SMTP, message: EmailMessage, *, within_s: float) -> None:
    """Send a message, or hang up when that takes too long, however slowly the server answers.

    The limit of one answer does not suffice: it begins anew with each byte. Raises OSError, SMTPException.
    """
    timer = threading.Timer(max(within_s, 0), _hang_up, [server])
    timer.daemon = True
    timer.start()
    try:
        server.send_message(message)
    finally:
        timer.cancel()


def _hang_up(server: smtplib.SMTP) -> None:
    if server.sock is not None:
        with suppress(OSError):  # the connection has ended by itself
            socket.socket.shutdown(server.sock, socket.SHUT_RDWR)  # that of TLS would let the rest go in clear
