"""The doctor's check of the mail server."""

from __future__ import annotations

import smtplib

from common.config.settings import WorkerSettings
from worker.mail_server import connected
from worker.upstreams.check import Check, CheckFailedError


class MailChecks:
    def __init__(self, settings: WorkerSettings) -> None:
        self._settings = settings

    def all(self) -> tuple[Check, ...]:
        """Return none where no mails are sent."""
        if self._settings.smtp_host is None:
            return ()
        return (
            Check(
                name="mail server",
                question="Does it take our mails?",
                remedy="correct SMTP_HOST, SMTP_PORT, SMTP_TLS, SMTP_CA_FILE, SMTP_USER or SMTP_PASSWORD",
                run=self._takes_mail,
            ),
        )

    def _takes_mail(self) -> str:
        try:
            with connected(self._settings) as server:
                code, _ = server.mail(str(self._settings.smtp_from))
        except (OSError, smtplib.SMTPException) as error:
            raise CheckFailedError(f"it did not let us in: {type(error).__name__}") from None
        if code != 250:
            raise CheckFailedError(f"it answered {code} to the sender {self._settings.smtp_from}")
        return f"it takes mails of {self._settings.smtp_from}"
