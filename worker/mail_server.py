"""Connections to the mail server of the settings."""

from __future__ import annotations

import smtplib
import ssl
from collections.abc import Iterator
from contextlib import contextmanager

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
