"""The thread that sends mails from the outbox, over SMTP, while the mail server takes them.

A mail stays in the outbox until the server has taken it: whoever dies before, and however long the server is away, it
is sent later. When the answer of a server that took it is lost, another one follows, and the link in that one counts.
"""

from __future__ import annotations

import logging
import secrets
import smtplib
import time
from collections.abc import Iterator
from email.message import EmailMessage
from email.policy import SMTP
from email.utils import formatdate, make_msgid
from functools import partial
from itertools import chain

from sqlalchemy.orm import Session

from common.config.settings import WorkerSettings
from common.database.engine import Database
from common.database.models import User
from common.jobs import outbox, reset_codes, signup_reviews
from common.jobs.outbox import TakenMail
from worker.mail_server import connected, send

log = logging.getLogger(__name__)

EVERY_S = 5.0
IN_A_ROUND = 50
TOKEN_BYTES = 32
CONFIRM_SUBJECT = "Confirm your e-mail address"
RESET_SUBJECT = "Your code for a new password"
RESET_TEXT = """\
Somebody, probably you, has asked for a new password of {login}.

To set one, type

    slipway password --reset {login}

and enter this code within an hour:

{code}

If it was not you, do nothing: the password stays as it is.
"""
CONFIRM_TEXT = """\
Somebody, probably you, has signed up as {login} with this e-mail address.

To go on, open this link within 24 hours, and press the button there:

{link}

If it was not you, do nothing: no account is made, and the sign-up ends by itself.
"""


class Mailer:
    """Sends what is due; without SMTP_HOST nothing is."""

    def __init__(self, db: Database, settings: WorkerSettings) -> None:
        self._db = db
        self._settings = settings

    def send_due(self) -> int:
        """Send what is due, over one connection, and return how many mails the server took.

        A round ends with the first error of the server: each mail that was tried is due again after a pause.
        """
        if self._settings.smtp_host is None:
            return 0
        due, sent = self._take_due(), 0
        first = next(due, None)
        if first is None:
            return 0
        try:
            with connected(self._settings) as server:
                for mail, until_s in chain([first], due):
                    sent += self._send(server, mail, until_s)
        except (OSError, smtplib.SMTPException) as error:  # its text may quote the address
            log.warning("mail_server_failed", extra={"error": type(error).__name__})
        return sent

    def _take_due(self) -> Iterator[tuple[TakenMail, float]]:
        """Take one mail after the other, each with the time of the monotonic clock until which it has to be sent."""
        for _ in range(IN_A_ROUND):
            until_s = time.monotonic() + outbox.SENT_WITHIN_S
            mail = outbox.take_next(self._db)
            if mail is None:
                return
            yield mail, until_s

    def _send(self, server: smtplib.SMTP, mail: TakenMail, until_s: float) -> int:
        if time.monotonic() >= until_s:  # connecting has taken long: somebody else may take the mail soon
            raise TimeoutError("no time is left to send the mail")
        message = self._db.transaction(partial(self._compose, mail))
        if message is None:
            return 0
        try:
            send(server, message, within_s=until_s - time.monotonic())
        except smtplib.SMTPRecipientsRefused as refused:
            if not all(code >= 500 for code, _ in refused.recipients.values()):
                raise  # it may take it later
            log.warning("mail_refused", extra={"kind": mail.kind})
            taken = 0
        else:
            taken = 1
        self._db.transaction(partial(outbox.remove, mail=mail))
        return taken

    def _compose(self, mail: TakenMail, session: Session) -> EmailMessage | None:
        """Return the message, with a new secret whose hash is stored; None, and no mail any more, if it is no use."""
        compose = {outbox.CONFIRM_SIGNUP: self._confirmation, outbox.RESET_PASSWORD: self._reset}.get(mail.kind)
        message = compose(mail, session) if compose is not None else None
        if message is None:
            outbox.remove(session, mail)
        return message

    def _confirmation(self, mail: TakenMail, session: Session) -> EmailMessage | None:
        token = secrets.token_urlsafe(TOKEN_BYTES)
        job = signup_reviews.renew_link(session, mail.user_id, token, self._db.now())
        if job is None:
            return None
        link = f"{self._settings.slipway_ext_url}/confirm#{token}"
        text = CONFIRM_TEXT.format(login=job.input["login"], link=link)
        return message_to(job.input["email"], self._sender, subject=CONFIRM_SUBJECT, text=text)

    def _reset(self, mail: TakenMail, session: Session) -> EmailMessage | None:
        person = session.get_one(User, mail.user_id)
        if not reset_codes.is_mailed_to(person):
            return None
        code, _ = reset_codes.create(session, person, self._db.now())
        text = RESET_TEXT.format(login=person.login, code=code)
        return message_to(person.email, self._sender, subject=RESET_SUBJECT, text=text)

    @property
    def _sender(self) -> str:
        return str(self._settings.smtp_from)


def message_to(address: str, sender: str, *, subject: str, text: str) -> EmailMessage:
    """Return a mail of plain text. Raises ValueError for an address with a line break: it could add headers."""
    message = EmailMessage(policy=SMTP)
    message["From"] = f"Slipway <{sender}>"
    message["To"] = address
    message["Subject"] = subject
    message["Date"] = formatdate()
    message["Message-ID"] = make_msgid(domain=sender.partition("@")[2])
    message["Auto-Submitted"] = "auto-generated"  # RFC 3834: nobody's absence notice answers it
    message.set_content(text)
    return message
