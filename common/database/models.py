"""The tables and their columns.

The same models serve MySQL/MariaDB and SQLite. Identities are ASCII and compared byte by byte: a case-insensitive
collation would regard `root`, `Root` and `róot` as one name.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import (
    JSON,
    BigInteger,
    Boolean,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    String,
    Text,
    UniqueConstraint,
)
from sqlalchemy.dialects import mysql
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column, relationship

from common.database.ids import new_id
from common.database.types import ID, NAME, UtcDateTime, identity, states
from common.states import JobState, Outcome, Provenance, ReviewState, StepState

TABLE_OPTIONS = {"mysql_engine": "InnoDB", "mysql_charset": "utf8mb4", "mysql_collate": "utf8mb4_unicode_ci"}


class Base(DeclarativeBase):
    metadata = MetaData(
        naming_convention={
            "ix": "ix_%(table_name)s_%(column_0_N_name)s",
            "uq": "uq_%(table_name)s_%(column_0_N_name)s",
            "ck": "ck_%(table_name)s_%(constraint_name)s",
            "fk": "fk_%(table_name)s_%(column_0_name)s_%(referred_table_name)s",
            "pk": "pk_%(table_name)s",
        }
    )
    __table_args__: Any = TABLE_OPTIONS


def _table(*parts: Any) -> Any:
    return (*parts, TABLE_OPTIONS)


class Team(Base):
    """A team of the catalog, so that people and projects can refer to it."""

    __tablename__ = "teams"

    id: Mapped[str] = mapped_column(NAME, primary_key=True)


class Invite(Base):
    """The right to join a team at sign-up; the code itself is not stored, only its SHA-256. Kept when it is over."""

    __tablename__ = "invites"

    id: Mapped[str] = mapped_column(ID, primary_key=True, default=new_id)
    code_hash: Mapped[str] = mapped_column(identity(64), unique=True)
    team_id: Mapped[str] = mapped_column(ForeignKey("teams.id"), index=True)
    uses: Mapped[int] = mapped_column(Integer)  # people that may use it
    used: Mapped[int] = mapped_column(Integer, default=0)
    created_at: Mapped[datetime] = mapped_column(UtcDateTime)
    expires_at: Mapped[datetime] = mapped_column(UtcDateTime)  # a revoked one has expired then


class User(Base):
    __tablename__ = "users"

    id: Mapped[str] = mapped_column(ID, primary_key=True, default=new_id)
    login: Mapped[str] = mapped_column(NAME, unique=True)
    email: Mapped[str] = mapped_column(identity(254), unique=True)  # lower case
    name: Mapped[str] = mapped_column(String(128))
    password_hash: Mapped[str] = mapped_column(String(255))
    team_id: Mapped[str] = mapped_column(ForeignKey("teams.id"), index=True)
    is_admin: Mapped[bool] = mapped_column(Boolean, default=False)
    invite_id: Mapped[str | None] = mapped_column(ID, index=True)  # the one they used
    admitted_at: Mapped[datetime | None] = mapped_column(UtcDateTime)  # first log-in, or an administrator's word
    left_at: Mapped[datetime | None] = mapped_column(UtcDateTime)  # off-boarded: no more log-ins
    email_confirmed_at: Mapped[datetime | None] = mapped_column(UtcDateTime)  # they opened a link that was mailed to it
    created_at: Mapped[datetime] = mapped_column(UtcDateTime)


class LoginSession(Base):
    """One login, and where it came from; the token itself is not stored, only its SHA-256."""

    __tablename__ = "sessions"

    token_hash: Mapped[str] = mapped_column(identity(64), primary_key=True)
    user_id: Mapped[str] = mapped_column(ForeignKey("users.id"), index=True)
    created_at: Mapped[datetime] = mapped_column(UtcDateTime)
    last_seen_at: Mapped[datetime] = mapped_column(UtcDateTime)
    expires_at: Mapped[datetime] = mapped_column(UtcDateTime, index=True)
    address: Mapped[str | None] = mapped_column(identity(64))  # None: of older sessions
    user_agent: Mapped[str | None] = mapped_column(String(200))


class ApiToken(Base):
    """A token of a person for automation; only its SHA-256 is stored. Deleted when it is revoked or expires.

    `number` makes the limit on the tokens of one person a constraint, which no two requests at once can exceed.
    """

    __tablename__ = "api_tokens"
    __table_args__ = _table(UniqueConstraint("user_id", "name"), UniqueConstraint("user_id", "number"))

    id: Mapped[str] = mapped_column(ID, primary_key=True, default=new_id)
    user_id: Mapped[str] = mapped_column(ForeignKey("users.id"))
    number: Mapped[int] = mapped_column(Integer)
    name: Mapped[str] = mapped_column(NAME)
    scope: Mapped[str] = mapped_column(NAME)
    token_hash: Mapped[str] = mapped_column(identity(64), unique=True)
    created_at: Mapped[datetime] = mapped_column(UtcDateTime)
    expires_at: Mapped[datetime] = mapped_column(UtcDateTime, index=True)
    last_used_at: Mapped[datetime | None] = mapped_column(UtcDateTime)  # to the minute


class PasswordReset(Base):
    """A person's one-time code to set a new password, one at a time; only its SHA-256 is stored."""

    __tablename__ = "password_resets"

    user_id: Mapped[str] = mapped_column(ForeignKey("users.id"), primary_key=True)
    code_hash: Mapped[str] = mapped_column(identity(64))
    created_at: Mapped[datetime] = mapped_column(UtcDateTime)
    expires_at: Mapped[datetime] = mapped_column(UtcDateTime, index=True)


class Project(Base):
    __tablename__ = "projects"
    __table_args__ = _table(UniqueConstraint("team_id", "name"), Index(None, "team_id", "id"))

    id: Mapped[str] = mapped_column(ID, primary_key=True, default=new_id)
    team_id: Mapped[str] = mapped_column(ForeignKey("teams.id"))
    name: Mapped[str] = mapped_column(NAME)
    description: Mapped[str] = mapped_column(String(500), default="")
    created_by: Mapped[str] = mapped_column(ForeignKey("users.id"), index=True)
    created_at: Mapped[datetime] = mapped_column(UtcDateTime)


class App(Base):
    __tablename__ = "apps"
    __table_args__ = _table(Index(None, "project_id", "id"), Index(None, "team_id", "id", "claimed_name"))

    id: Mapped[str] = mapped_column(ID, primary_key=True, default=new_id)
    project_id: Mapped[str] = mapped_column(ForeignKey("projects.id"))
    team_id: Mapped[str] = mapped_column(ForeignKey("teams.id"), index=True)
    name: Mapped[str] = mapped_column(NAME)
    claimed_name: Mapped[str | None] = mapped_column(NAME, unique=True)  # `name` until the app is removed, then free
    type: Mapped[str] = mapped_column(NAME)
    namespace: Mapped[str | None] = mapped_column(NAME, index=True)  # None, of older apps: `name`
    image_tag: Mapped[str | None] = mapped_column(String(128))  # what the last deployment set; None: the chart's own
    build_count: Mapped[int | None] = mapped_column(Integer)  # builds accepted so far; None: none since it is counted
    description: Mapped[str] = mapped_column(String(500), default="")
    created_by: Mapped[str] = mapped_column(ForeignKey("users.id"), index=True)
    created_at: Mapped[datetime] = mapped_column(UtcDateTime)

    @property
    def kubernetes_namespace(self) -> str:
        """The namespace in which the app runs."""
        return self.namespace or self.name


class Job(Base):
    """One run of a workflow. Its steps are rows of their own: the plan it began with."""

    __tablename__ = "jobs"
    __table_args__ = _table(
        # Lists read ranges of these (api/contract/pagination.py). Each takes about 80 MB per million jobs: not every
        # filter has one.
        Index(None, "team_id", "id"),
        Index(None, "team_id", "kind", "id"),
        Index(None, "team_id", "state", "id"),
        Index(None, "team_id", "kind", "state", "id"),
        Index(None, "app_id", "id"),
        Index(None, "app_id", "kind", "id"),
        Index(None, "app_id", "state", "id"),
        Index(None, "user_id", "id"),
        Index(None, "user_id", "state", "id"),
        Index(None, "state", "id"),
        Index(None, "subject_id"),
    )

    id: Mapped[str] = mapped_column(ID, primary_key=True, default=new_id)
    kind: Mapped[str] = mapped_column(NAME)
    state: Mapped[JobState] = mapped_column(states(JobState))
    version: Mapped[int] = mapped_column(Integer, default=1)  # grows with every change: the ETag
    subject_id: Mapped[str] = mapped_column(ID)  # the user or the app: what the marker on outside things names
    team_id: Mapped[str] = mapped_column(ForeignKey("teams.id"))
    user_id: Mapped[str | None] = mapped_column(ForeignKey("users.id"))  # who asked for it
    app_id: Mapped[str | None] = mapped_column(ForeignKey("apps.id"))
    input: Mapped[dict[str, Any]] = mapped_column(JSON)  # never a secret
    request_id: Mapped[str] = mapped_column(identity(64))
    traceparent: Mapped[str | None] = mapped_column(identity(55))  # of that request, where requests are traced
    created_at: Mapped[datetime] = mapped_column(UtcDateTime)
    started_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    finished_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    updated_at: Mapped[datetime] = mapped_column(UtcDateTime)


class SignupReview(Base):
    """The review of one sign-up, whose job is pending until it is decided; its id is the job's. Kept when it is over.

    First the person confirms the e-mail address, then an administrator approves: as far as the settings ask for it.
    """

    __tablename__ = "signup_reviews"
    __table_args__ = _table(Index(None, "state", "id"), Index(None, "state", "expires_at"))

    id: Mapped[str] = mapped_column(ForeignKey("jobs.id"), primary_key=True)
    user_id: Mapped[str] = mapped_column(ForeignKey("users.id"), index=True)
    state: Mapped[ReviewState] = mapped_column(states(ReviewState))
    created_at: Mapped[datetime] = mapped_column(UtcDateTime)
    expires_at: Mapped[datetime] = mapped_column(UtcDateTime)  # undecided until then, it ends by itself
    token_hash: Mapped[str | None] = mapped_column(identity(64), unique=True)  # SHA-256, of the link mailed last
    confirmed_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    decided_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    decided_by: Mapped[str | None] = mapped_column(ID)  # an administrator; None: a command, or nobody
    reason: Mapped[str | None] = mapped_column(String(500))  # of a rejection


class Mail(Base):
    """A mail that is to be sent, one of a kind to a person; deleted when it was sent.

    What is secret in it is made when it is sent, so that no row has it.
    """

    __tablename__ = "mails"

    user_id: Mapped[str] = mapped_column(ForeignKey("users.id"), primary_key=True)
    kind: Mapped[str] = mapped_column(NAME, primary_key=True)
    attempts: Mapped[int] = mapped_column(Integer, default=0)
    due_at: Mapped[datetime] = mapped_column(UtcDateTime, index=True)
    expires_at: Mapped[datetime] = mapped_column(UtcDateTime, index=True)


class Step(Base):
    """One step of one job: its turn, its claim, its outcome."""

    __tablename__ = "steps"
    __table_args__ = _table(
        UniqueConstraint("job_id", "name"), Index(None, "name", "finished_at"), Index(None, "upstream", "parked_at")
    )

    id: Mapped[str] = mapped_column(ID, primary_key=True, default=new_id)
    job_id: Mapped[str] = mapped_column(ForeignKey("jobs.id"))
    lane: Mapped[str] = mapped_column(NAME)
    position: Mapped[int] = mapped_column(Integer)  # within the whole plan; a lane's steps are consecutive
    name: Mapped[str] = mapped_column(NAME)
    upstream: Mapped[str] = mapped_column(NAME)
    needs_secret: Mapped[bool] = mapped_column(Boolean, default=False)
    state: Mapped[StepState] = mapped_column(states(StepState))
    attempts: Mapped[int] = mapped_column(Integer, default=0)
    forgiven: Mapped[int] = mapped_column(Integer, default=0)  # attempts that do not count
    output: Mapped[dict[str, Any] | None] = mapped_column(JSON)
    code: Mapped[str | None] = mapped_column(NAME)  # why it waits, retries or failed
    reason: Mapped[str | None] = mapped_column(Text)
    remedy: Mapped[list[str] | None] = mapped_column(JSON)  # what can be done about a failure
    claim_token: Mapped[str | None] = mapped_column(identity(32))
    lease_until: Mapped[datetime | None] = mapped_column(UtcDateTime)
    due_at: Mapped[datetime | None] = mapped_column(UtcDateTime)  # not to be begun before
    nudge_at: Mapped[datetime | None] = mapped_column(UtcDateTime, index=True)  # when the clock dispatches it next
    nudges: Mapped[int] = mapped_column(Integer, default=0)  # messages sent since the state last changed
    parked_at: Mapped[datetime | None] = mapped_column(UtcDateTime)  # held back since then: its upstream cannot take it
    waiting_since: Mapped[datetime | None] = mapped_column(UtcDateTime)
    started_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    finished_at: Mapped[datetime | None] = mapped_column(UtcDateTime)


class Attempt(Base):
    """One try of a step; kept as long as its job. Polls of a wait belong to the attempt that waits."""

    __tablename__ = "attempts"
    __table_args__ = _table(UniqueConstraint("step_id", "number"))

    id: Mapped[str] = mapped_column(ID, primary_key=True, default=new_id)
    step_id: Mapped[str] = mapped_column(ForeignKey("steps.id"))
    number: Mapped[int] = mapped_column(Integer)
    polls: Mapped[int] = mapped_column(Integer, default=0)
    worker: Mapped[str] = mapped_column(String(128))
    outcome: Mapped[Outcome | None] = mapped_column(states(Outcome))
    code: Mapped[str | None] = mapped_column(NAME)
    reason: Mapped[str | None] = mapped_column(Text)
    started_at: Mapped[datetime] = mapped_column(UtcDateTime)
    finished_at: Mapped[datetime | None] = mapped_column(UtcDateTime)


class Resource(Base):
    """The ledger: one object on an upstream that a job created or found."""

    __tablename__ = "resources"
    __table_args__ = _table(UniqueConstraint("subject_id", "upstream", "kind", "ref"))

    id: Mapped[str] = mapped_column(ID, primary_key=True, default=new_id)
    subject_id: Mapped[str] = mapped_column(ID)
    upstream: Mapped[str] = mapped_column(NAME)
    kind: Mapped[str] = mapped_column(NAME)
    ref: Mapped[str] = mapped_column(identity(255))  # its natural name there, known before it exists
    outside_id: Mapped[str | None] = mapped_column(String(255))
    url: Mapped[str | None] = mapped_column(String(1000))
    provenance: Mapped[Provenance] = mapped_column(states(Provenance))
    job_id: Mapped[str] = mapped_column(ForeignKey("jobs.id"), index=True)
    step: Mapped[str] = mapped_column(NAME)
    attempt: Mapped[int] = mapped_column(Integer)
    created_at: Mapped[datetime] = mapped_column(UtcDateTime)
    updated_at: Mapped[datetime] = mapped_column(UtcDateTime)


class UpstreamStatus(Base):
    """What all workers know of one upstream: whether it answers, whether it is paused, when the next call may go."""

    __tablename__ = "upstreams"

    name: Mapped[str] = mapped_column(NAME, primary_key=True)
    failures: Mapped[int] = mapped_column(Integer, default=0)  # in a row, over all workers
    reason: Mapped[str | None] = mapped_column(String(500))  # of the last failure
    down_since: Mapped[datetime | None] = mapped_column(UtcDateTime)
    looks: Mapped[int] = mapped_column(Integer, default=0)  # probes without an answer, since it is down
    look_at: Mapped[datetime | None] = mapped_column(UtcDateTime)  # the next probe: until it answers, no step is sent
    open_since: Mapped[datetime | None] = mapped_column(UtcDateTime)  # it came back then: few steps at first
    paused_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    paused_by: Mapped[str | None] = mapped_column(NAME)
    pause_reason: Mapped[str | None] = mapped_column(String(500))
    next_call_us: Mapped[int] = mapped_column(BigInteger, default=0)  # microseconds since the epoch: not before
    refusals: Mapped[list[Refusal]] = relationship(  # loaded by `outages.read` only
        primaryjoin="UpstreamStatus.name == foreign(Refusal.upstream)", viewonly=True, lazy="raise"
    )


class Refusal(Base):
    """Whether an upstream refuses one login in general, so that the steps of the workers that use it wait.

    Kept when it is over. Workers whose settings have another login are not held.
    """

    __tablename__ = "refusals"

    upstream: Mapped[str] = mapped_column(NAME, primary_key=True)
    login: Mapped[str] = mapped_column(identity(16), primary_key=True)  # a keyed hash of address and credentials
    since: Mapped[datetime | None] = mapped_column(UtcDateTime)  # null: it is over
    cause: Mapped[str] = mapped_column(String(500))
    remedy: Mapped[str] = mapped_column(String(500))
    is_write: Mapped[bool] = mapped_column(Boolean)  # whether the refused call was one: only such a call ends it
    looks: Mapped[int] = mapped_column(Integer)  # checks and trials in vain
    # The next check; during a trial, until when one step goes; while nothing is held, until when somebody asks.
    look_at: Mapped[datetime] = mapped_column(UtcDateTime)
    trial_since: Mapped[datetime | None] = mapped_column(UtcDateTime)  # the checks passed: one step at a time goes
    over_at: Mapped[datetime | None] = mapped_column(UtcDateTime)  # when the last one ended: few steps at first
    accepted_at: Mapped[datetime | None] = mapped_column(UtcDateTime)  # when a trial last was accepted


class Slot(Base):
    """The right of one step to run on an upstream; free when `until` is past."""

    __tablename__ = "slots"

    upstream: Mapped[str] = mapped_column(NAME, primary_key=True)
    number: Mapped[int] = mapped_column(Integer, primary_key=True, autoincrement=False)
    holder: Mapped[str | None] = mapped_column(identity(32))  # the claim's token
    until: Mapped[datetime] = mapped_column(UtcDateTime)


class Secret(Base):
    """A sealed secret that a job needs; deleted after its last use, at the latest at `expires_at`."""

    __tablename__ = "secrets"

    job_id: Mapped[str] = mapped_column(ForeignKey("jobs.id"), primary_key=True)
    purpose: Mapped[str] = mapped_column(NAME, primary_key=True)
    key_id: Mapped[str] = mapped_column(identity(16))
    sealed: Mapped[bytes] = mapped_column(LargeBinary(2048))
    expires_at: Mapped[datetime] = mapped_column(UtcDateTime, index=True)


class ConsoleChunk(Base):
    """A piece of a build's console. `start` counts characters from the beginning of the console as we keep it."""

    __tablename__ = "console_chunks"

    job_id: Mapped[str] = mapped_column(ForeignKey("jobs.id"), primary_key=True)
    start: Mapped[int] = mapped_column(Integer, primary_key=True)
    upstream_next: Mapped[int] = mapped_column(Integer)  # Jenkins' own offset after this piece, in bytes
    text: Mapped[str] = mapped_column(Text().with_variant(mysql.MEDIUMTEXT(), "mysql", "mariadb"))


class Event(Base):
    """A change of a job that a person would notice; a poll that finds nothing new is none."""

    __tablename__ = "events"

    job_id: Mapped[str] = mapped_column(ForeignKey("jobs.id"), primary_key=True)
    number: Mapped[int] = mapped_column(Integer, primary_key=True, autoincrement=False)  # the job's version after it
    at: Mapped[datetime] = mapped_column(UtcDateTime)
    state: Mapped[JobState] = mapped_column(states(JobState))  # of the job
    steps: Mapped[list[dict[str, Any]]] = mapped_column(JSON)  # name, state, code, reason of each that changed


class Action(Base):
    """The audit: something that a person, a command or a worker did (`common/audit.py`). Rows are only added.

    It has no foreign keys: it outlives what it names, and a row that is added locks no other.
    """

    __tablename__ = "actions"
    __table_args__ = _table(
        Index(None, "actor", "id"),
        Index(None, "kind", "id"),
        Index(None, "team_id", "id"),
        Index(None, "object_id", "id"),
        Index(None, "object_name", "id"),
    )

    id: Mapped[str] = mapped_column(ID, primary_key=True, default=new_id)
    at: Mapped[datetime] = mapped_column(UtcDateTime)
    kind: Mapped[str] = mapped_column(NAME)
    actor: Mapped[str | None] = mapped_column(NAME)  # a login; of a command, an account of the operating system
    channel: Mapped[str] = mapped_column(identity(16))
    address: Mapped[str | None] = mapped_column(identity(64))
    request_id: Mapped[str | None] = mapped_column(identity(64))  # of the request, or of the run of the command
    object_kind: Mapped[str] = mapped_column(NAME)
    object_id: Mapped[str | None] = mapped_column(NAME)
    object_name: Mapped[str | None] = mapped_column(NAME)
    team_id: Mapped[str | None] = mapped_column(NAME)  # of the object
    job_id: Mapped[str | None] = mapped_column(ID)  # that it started or changed
    reason: Mapped[str | None] = mapped_column(String(500))
    before: Mapped[dict[str, Any] | None] = mapped_column(JSON(none_as_null=True))  # never a secret
    after: Mapped[dict[str, Any] | None] = mapped_column(JSON(none_as_null=True))  # never a secret


class IdempotencyRecord(Base):
    """The answer to a request with an `Idempotency-Key`, sealed, to be repeated when the same request is sent again."""

    __tablename__ = "kept_answers"

    owner: Mapped[str] = mapped_column(NAME, primary_key=True)  # a user's id, or "anyone"
    key: Mapped[str] = mapped_column(identity(128), primary_key=True)
    fingerprint: Mapped[str] = mapped_column(identity(64))  # HMAC of the request without its password
    password_hash: Mapped[str | None] = mapped_column(String(255))  # argon2id, where the request has one
    key_id: Mapped[str] = mapped_column(identity(16))
    sealed: Mapped[bytes] = mapped_column(LargeBinary(2**16 - 1))
    expires_at: Mapped[datetime] = mapped_column(UtcDateTime, index=True)


class RateCount(Base):
    """How often something with a rate limit was done in one period."""

    __tablename__ = "tallies"

    bucket: Mapped[str] = mapped_column(identity(64), primary_key=True)  # HMAC of the rule and of whom it limits
    period: Mapped[int] = mapped_column(Integer, primary_key=True, autoincrement=False)  # its number since the epoch
    hits: Mapped[int] = mapped_column(Integer)
    expires_at: Mapped[datetime] = mapped_column(UtcDateTime, index=True)


class Notification(Base):
    """The outbox: something that operators want to know, written in the transaction in which it happened.

    A worker gives it a body and a place in the queue of every target (`Delivery`).
    """

    __tablename__ = "notifications"
    __table_args__ = _table(Index(None, "queued_at", "id"))

    id: Mapped[str] = mapped_column(ID, primary_key=True, default=new_id)  # what receivers get, too: never used again
    kind: Mapped[str] = mapped_column(identity(32))
    about: Mapped[dict[str, Any]] = mapped_column(JSON)
    at: Mapped[datetime] = mapped_column(UtcDateTime)
    queued_at: Mapped[datetime | None] = mapped_column(UtcDateTime)  # null: it is in no queue yet
    body: Mapped[str | None] = mapped_column(Text().with_variant(mysql.MEDIUMTEXT(), "mysql", "mariadb"))
    expires_at: Mapped[datetime] = mapped_column(UtcDateTime, index=True)


class NotificationTarget(Base):
    """What all workers know of one target: who sends there now, whether it answers, when it is tried again."""

    __tablename__ = "notification_targets"

    name: Mapped[str] = mapped_column(identity(16), primary_key=True)  # a hash of its address, which is a secret
    host: Mapped[str] = mapped_column(String(255))
    queued: Mapped[int] = mapped_column(BigInteger, default=0)  # the number of its last delivery
    failures: Mapped[int] = mapped_column(Integer, default=0)  # in a row
    failing_since: Mapped[datetime | None] = mapped_column(UtcDateTime)
    reason: Mapped[str | None] = mapped_column(String(500))  # of the last failure
    retry_at: Mapped[datetime | None] = mapped_column(UtcDateTime)  # nothing is sent before
    claim_token: Mapped[str | None] = mapped_column(identity(32))
    lease_until: Mapped[datetime | None] = mapped_column(UtcDateTime)


class Delivery(Base):
    """A notification that a target has not accepted yet; the lowest number is sent first, and deleted then."""

    __tablename__ = "deliveries"

    target: Mapped[str] = mapped_column(identity(16), primary_key=True)
    number: Mapped[int] = mapped_column(BigInteger, primary_key=True, autoincrement=False)
    notification_id: Mapped[str] = mapped_column(ID)
    attempts: Mapped[int] = mapped_column(Integer, default=0)
    expires_at: Mapped[datetime] = mapped_column(UtcDateTime, index=True)


class WorkerPresence(Base):
    """A worker process that runs, or ran lately."""

    __tablename__ = "workers"

    name: Mapped[str] = mapped_column(String(128), primary_key=True)
    concurrency: Mapped[int] = mapped_column(Integer)
    started_at: Mapped[datetime] = mapped_column(UtcDateTime)
    seen_at: Mapped[datetime] = mapped_column(UtcDateTime)
