"""The audit: each act of a person, a command or a worker is a row, written in the transaction of the act.

Rows are only added. Nothing changes one, except `prune` its own, and `prune` alone deletes them, for their age. A row
names people, teams and objects in words, without foreign keys: it stays readable when they are gone, and writing it
locks no other row.
Secrets never get here: `before` and `after` hold what the caller lists, one by one.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from functools import partial
from typing import Any

from sqlalchemy import delete, select
from sqlalchemy.orm import Session

from common.config.settings import Settings
from common.database.engine import Database
from common.database.ids import first_id, new_id
from common.database.models import Action, ApiToken, App, Base, Invite, Job, Project, User

ROWS = 1_000  # deleted in one transaction
REFUSALS_PER_MINUTE = 60  # that one process records
MINUTE_S = 60
SKEW = timedelta(minutes=5)  # an id has the time of the host that made it, `at` that of the database's host
NAME_CHARACTERS, REASON_CHARACTERS = 64, 500


class ActionKind(StrEnum):
    """What was done, as object.verb."""

    USER_SIGN_UP = "user.sign_up"
    USER_CONFIRM = "user.confirm"
    USER_RESEND_MAIL = "user.resend_mail"
    USER_APPROVE = "user.approve"
    USER_REJECT = "user.reject"
    USER_LOG_IN = "user.log_in"
    USER_LOG_IN_REFUSED = "user.log_in_refused"
    USER_LOG_OUT = "user.log_out"
    USER_CREATE_ADMIN = "user.create_admin"
    USER_GRANT_ADMIN = "user.grant_admin"
    USER_REVOKE_ADMIN = "user.revoke_admin"
    USER_RELEASE = "user.release"
    USER_RESTORE = "user.restore"
    USER_ADMIT = "user.admit"
    USER_OFF_BOARD = "user.off_board"
    PASSWORD_CHANGE = "password.change"  # noqa: S105 - the name of an act
    PASSWORD_REQUEST_CODE = "password.request_code"  # noqa: S105 - as above
    PASSWORD_RESET_CODE = "password.reset_code"  # noqa: S105 - as above
    PASSWORD_RESET = "password.reset"  # noqa: S105 - as above
    SESSION_END = "session.end"
    SESSION_END_OTHERS = "session.end_others"
    TOKEN_CREATE = "token.create"  # noqa: S105 - as above
    TOKEN_REVOKE = "token.revoke"  # noqa: S105 - as above
    INVITE_CREATE = "invite.create"
    INVITE_REVOKE = "invite.revoke"
    TEAM_ADD = "team.add"
    PROJECT_CREATE = "project.create"
    APP_CREATE = "app.create"
    APP_FORECAST = "app.forecast"
    APP_COMPARE = "app.compare"
    APP_REPAIR = "app.repair"
    APP_REMOVE = "app.remove"
    APP_PREVIEW_REMOVAL = "app.preview_removal"
    BUILD_START = "build.start"
    DEPLOY_START = "deploy.start"
    DEPLOY_ROLL_BACK = "deploy.roll_back"
    JOB_RETRY = "job.retry"
    JOB_SKIP_STEP = "job.skip_step"
    JOB_CANCEL = "job.cancel"
    JOB_POLL = "job.poll"
    JOBS_RETRY = "jobs.retry"
    JOBS_PRUNE = "jobs.prune"
    UPSTREAM_CHECK = "upstream.check"
    UPSTREAM_PAUSE = "upstream.pause"
    UPSTREAM_RESUME = "upstream.resume"
    KEYS_ROTATE = "keys.rotate"
    SCHEMA_UPGRADE = "schema.upgrade"
    AUDIT_PRUNE = "audit.prune"


INTERVENTIONS = (ActionKind.JOB_RETRY, ActionKind.JOB_SKIP_STEP, ActionKind.JOB_CANCEL, ActionKind.JOB_POLL)


class Channel(StrEnum):
    """session: by a log-in · token: by an API token · visitor: without either · command: typed by an operator ·
    worker: by a worker itself.
    """

    SESSION = "session"
    TOKEN = "token"  # noqa: S105 - a word
    VISITOR = "visitor"
    COMMAND = "command"
    WORKER = "worker"


@dataclass(frozen=True, kw_only=True)
class Origin:
    """Who acts, and from where. `actor`: a login; of a command, the account of the operating system.

    `request_id` is shared by all acts of one request or one run of a command.
    """

    channel: Channel
    actor: str | None = None
    address: str | None = None
    request_id: str | None = None


@dataclass(frozen=True, kw_only=True)
class Subject:
    """What an act is about. `id` is its id or, where it has none, its name; `name` is for people."""

    kind: str
    id: str | None = None
    name: str | None = None
    team_id: str | None = None


def about(row: Base) -> Subject:
    """Return a row as the subject of an act."""
    match row:
        case User():
            return Subject(kind="user", id=row.id, name=row.login, team_id=row.team_id)
        case App() | Project():
            return Subject(kind=row.__tablename__.removesuffix("s"), id=row.id, name=row.name, team_id=row.team_id)
        case Job():
            name = row.input.get("app") or row.input.get("login")
            return Subject(kind="job", id=row.id, name=f"{row.kind} {name}" if name else row.kind, team_id=row.team_id)
        case ApiToken():
            return Subject(kind="token", id=row.id, name=row.name)
        case Invite():
            return Subject(kind="invite", id=row.id, team_id=row.team_id)
    raise TypeError(f"the audit does not know how to name {row!r}")


def record(
    session: Session,
    kind: ActionKind,
    subject: Subject,
    *,
    origin: Origin,
    at: datetime,
    job_id: str | None = None,
    reason: str | None = None,
    before: Mapping[str, Any] | None = None,
    after: Mapping[str, Any] | None = None,
    action_id: str | None = None,
) -> None:
    """Add an act to the caller's transaction. `job_id`: the job that it started or changed."""
    session.add(
        Action(
            id=action_id or new_id(),
            at=at,
            kind=kind,
            actor=origin.actor,
            channel=origin.channel,
            address=origin.address,
            request_id=origin.request_id,
            object_kind=subject.kind,
            object_id=subject.id,
            object_name=subject.name and subject.name[:NAME_CHARACTERS],
            team_id=subject.team_id,
            job_id=job_id,
            reason=reason and reason[:REASON_CHARACTERS],
            before=dict(before) if before else None,
            after=dict(after) if after else None,
        )
    )


def prune(db: Database, *, before: datetime, origin: Origin) -> Iterator[int]:
    """Delete the acts before a time, oldest first, and yield how many after each batch. Any number may run.

    All batches together are one act, recorded with the first and counted up with each. To have deleted nothing but
    earlier acts of this kind is none: otherwise each would be the cause of another one, for ever.
    """
    act = Pruning(id=new_id(), before=before, origin=origin)
    while deleted := db.transaction(partial(_prune_some, db, act)):
        yield deleted


def count_before(session: Session, before: datetime, *, at_most: int) -> int:
    """Return how many acts `prune` would delete, counting no further than `at_most`."""
    return len(session.scalars(_before(before).limit(at_most)).all())


def _before(before: datetime) -> Any:
    return select(Action.id).where(Action.id < first_id(before + SKEW), Action.at < before).order_by(Action.id)


@dataclass(frozen=True, kw_only=True)
class Pruning:
    """A run of `prune`; `id` is that of its act."""

    id: str
    before: datetime
    origin: Origin


def _prune_some(db: Database, run: Pruning, session: Session) -> int:
    """Lock first: what another one deletes at this moment is left to it, and counted there."""
    wanted = _before(run.before).add_columns(Action.kind).limit(ROWS).with_for_update(skip_locked=True)
    kinds = {row.id: row.kind for row in session.execute(wanted)}
    if not kinds:
        return 0
    unnoticed = {"synchronize_session": False}
    session.execute(delete(Action).where(Action.id.in_(kinds)), execution_options=unnoticed)
    recorded = session.get(Action, run.id)
    if recorded is not None:
        recorded.after = {**(recorded.after or {}), "deleted": (recorded.after or {}).get("deleted", 0) + len(kinds)}
    elif set(kinds.values()) != {ActionKind.AUDIT_PRUNE}:
        after = {"before": run.before.isoformat(), "deleted": len(kinds)}
        subject, at = Subject(kind="audit"), db.now()
        record(session, ActionKind.AUDIT_PRUNE, subject, origin=run.origin, at=at, after=after, action_id=run.id)
    return len(kinds)


class AuditPruner:
    """Deletes old acts periodically, as AUDIT_RETENTION_DAYS requires, one batch at a time."""

    def __init__(self, db: Database, settings: Settings) -> None:
        self._db = db
        self._days = settings.audit_retention_days

    def prune_some(self) -> None:
        """Delete one batch; does nothing when no days are set."""
        if self._days:
            before = self._db.now() - timedelta(days=self._days)
            next(prune(self._db, before=before, origin=Origin(channel=Channel.WORKER)), 0)


class RefusalBound:
    """Lets a number of refusals a minute be recorded, and counts the others: strangers cause as many as they like."""

    def __init__(self, per_minute: int = REFUSALS_PER_MINUTE) -> None:
        self._per_minute = per_minute
        self._lock = threading.Lock()
        self._minute, self._taken, self._left_out = -1, 0, 0

    def take(self) -> int | None:
        """Return how many were left out since the last one, None when this one is left out, too."""
        with self._lock:
            minute = int(time.monotonic() // MINUTE_S)
            if minute != self._minute:
                self._minute, self._taken = minute, 0
            if self._taken >= self._per_minute:
                self._left_out += 1
                return None
            self._taken += 1
            left_out, self._left_out = self._left_out, 0
            return left_out
