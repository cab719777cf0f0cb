"""Acts of people and commands for the audit: who acts, and how the request or the command came in."""

from __future__ import annotations

import getpass
from collections.abc import Mapping
from typing import Any

from flask import g, has_request_context, request
from sqlalchemy.orm import Session

from api.credentials import Credential
from api.service import service
from common import audit
from common.audit import ActionKind, Channel, Origin, Subject, about
from common.database.models import Base, Job, User

ADDRESS_CHARACTERS = ACTOR_CHARACTERS = 64
UNKNOWN = "unknown"  # the actor, where an account has no name or none that can be stored


def record(
    session: Session,
    kind: ActionKind,
    subject: Base | Subject,
    *,
    by: User | None = None,
    channel: Channel = Channel.VISITOR,
    job: Job | None = None,
    reason: str | None = None,
    before: Mapping[str, Any] | None = None,
    after: Mapping[str, Any] | None = None,
) -> None:
    """Record an act in the caller's transaction.

    `by` and `channel`: who acts and how, where that is not the user of the request: somebody who logs in or signs up.
    `before` and `after` are what the act changed, without secrets.
    """
    audit.record(
        session,
        kind,
        subject if isinstance(subject, Subject) else about(subject),
        origin=_origin_of(by, channel) if by is not None else origin(),
        at=service().db.now(),
        job_id=job.id if job is not None else None,
        reason=reason,
        before=before,
        after=after,
    )
    g.acts = g.get("acts", 0) + 1
    if by is not None:
        g.login = by.login


def record_if(is_new: bool, session: Session, kind: ActionKind, subject: Base, **what: Any) -> None:
    """Record an act that changed something; what is asked for once more and is so already is none."""
    if is_new:
        record(session, kind, subject, **what)
    else:
        nothing_done()


def nothing_done() -> None:
    """Note that a request that may write has done nothing: there is no act to record."""
    g.acts = g.get("acts", 0) + 1


def require_recorded() -> None:
    """Raises RuntimeError, which undoes the work, when a request that writes has recorded no act."""
    if not g.get("acts"):
        raise RuntimeError("this call writes and records no act: see api/access/audit.py")


def record_refused_log_in(person: User | None, reason: str) -> None:
    """Record a refused log-in, unless there were too many of them within a minute.

    `person` None: there is no such account. What was typed as its name is not recorded: it may be a password.
    """
    count = service().refused_log_ins.take()
    if count is None:
        return
    subject = about(person) if person is not None else Subject(kind="user")
    after = {"not_recorded": count} if count else None
    visitor = _origin_of(None, Channel.VISITOR)

    def work(session: Session) -> None:
        at = service().db.now()
        kind = ActionKind.USER_LOG_IN_REFUSED
        audit.record(session, kind, subject, origin=visitor, at=at, reason=reason, after=after)

    service().db.transaction(work)


def origin() -> Origin:
    """Return who acts here and how; outside a request, it is an operator's command."""
    if not has_request_context():
        return Origin(channel=Channel.COMMAND, actor=_account(), request_id=g.get("request_id"))
    credential: Credential | None = g.get("credential")  # a call that does not ask who sends it is a visitor's
    if credential is None:
        return _origin_of(None, Channel.VISITOR)
    return _origin_of(credential.user, Channel.TOKEN if credential.scope else Channel.SESSION)


def _origin_of(user: User | None, channel: Channel) -> Origin:
    address = (request.remote_addr or "")[:ADDRESS_CHARACTERS]
    return Origin(channel=channel, actor=user.login if user else None, address=address, request_id=g.get("request_id"))


def _account() -> str:
    """Return the account that types a command, in the characters of a login; never an empty text."""
    try:
        name = getpass.getuser()
    except (KeyError, OSError):  # a container may run as a number without a name
        return UNKNOWN
    kept = "".join(char for char in name if char.isascii() and char.isprintable()).strip()
    return kept[:ACTOR_CHARACTERS] or UNKNOWN
