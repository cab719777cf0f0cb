"""Random acts of people, operators and workers in a process that may be killed at any moment, and what they leave.

`act` is the body of such a process. `disagreements` replays the audit and compares the result with the tables: an act
without a row, or a row without an act, is one.
"""

from __future__ import annotations

import random
from collections import Counter, defaultdict
from collections.abc import Iterator
from typing import Any

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from common.audit import ActionKind, Channel
from common.database.engine import Database
from common.database.models import (
    Action,
    ApiToken,
    Event,
    Invite,
    Job,
    LoginSession,
    Project,
    UpstreamStatus,
    User,
)
from common.states import OPEN, JobState, StepState
from support.api import PASSWORD, V1, Api, add_app, open_api
from support.commands import Operator
from support.fake_worker import fail, names

CALM_S = 0.0
SKIPPABLE = "open_to_developers"
ACCEPTING = (  # acts that accept a job
    ActionKind.USER_SIGN_UP, ActionKind.APP_CREATE, ActionKind.APP_FORECAST, ActionKind.UPSTREAM_CHECK,
)  # fmt: skip


def act(db_url: str, chief: str, people: list[str], seed: int) -> None:
    """Do random acts until the process is killed. `chief` is an administrator."""
    chance = random.Random(seed)
    with open_api(db_url, _real_time(db_url)) as api:
        actor = Actor(api, chief, people, chance)
        while True:
            actor.act()


def _real_time(db_url: str) -> Any:
    db = Database(db_url, pool_size=1)
    return db.now


class Actor:
    """Somebody who does anything."""

    def __init__(self, api: Api, chief: str, people: list[str], chance: random.Random) -> None:
        self._api, self._db = api, api.service.db
        self._people, self._chance = people, chance
        self._operator = Operator(api)
        self._token = self._log_in(chief)
        self._chief = api.bearer(self._token)
        self._chief_login = chief

    def act(self) -> None:
        deeds = (
            self._make_project, self._make_app, self._make_app, self._forecast, self._cancel, self._retry, self._retry,
            self._retry_all, self._skip, self._make_token, self._revoke_token, self._hold, self._come_and_go,
            self._sign_up, self._invite, self._change_rights, self._end_sessions, self._cancel_by_command, self._work,
            self._work, self._work, self._check_up,
        )  # fmt: skip
        self._chance.choice(deeds)()

    # -- people ------------------------------------------------------------------------------------------------------

    def _log_in(self, login: str) -> str:
        answer = self._api.app.test_client(use_cookies=False).post(
            f"{V1}/login", json={"id": login, "password": PASSWORD}
        )
        assert answer.status_code == 201, answer.text
        return str(answer.json["token"])

    def _come_and_go(self) -> None:
        self._api.bearer(self._log_in(self._chance.choice(self._people))).post(f"{V1}/logout")

    def _sign_up(self) -> None:
        self._api.sign_up(self._name("person"))

    def _make_project(self) -> None:
        self._chief.post(f"{V1}/project", json={"name": self._name("project")})

    def _make_app(self) -> None:
        if project := self._one(select(Project.id)):
            add_app(self._chief, project, self._name("app"))

    def _forecast(self) -> None:
        if project := self._one(select(Project.id)):
            body = {"project_id": project, "name": self._name("app"), "type": "Flask"}
            self._chief.post(f"{V1}/app?dry_run=true", json=body)

    def _make_token(self) -> None:
        self._chief.post(f"{V1}/me/tokens", json={"name": self._name("token"), "scope": "read"})

    def _revoke_token(self) -> None:
        if token := self._one(select(ApiToken.id).join(User).where(User.login == self._chief_login)):
            self._chief.delete(f"{V1}/me/tokens/{token}")

    def _hold(self) -> None:
        if self._chance.random() < 0.5:
            self._chief.post(f"{V1}/upstreams/jenkins/pause", json={"reason": "Upgrade"})
        else:
            self._chief.post(f"{V1}/upstreams/jenkins/resume", json={})

    def _check_up(self) -> None:
        self._chief.post(f"{V1}/upstreams/checkups", json={})

    # -- jobs --------------------------------------------------------------------------------------------------------

    def _cancel(self) -> None:
        if job_id := self._one(select(Job.id).where(Job.state.in_(OPEN))):
            self._chief.post(f"{V1}/jobs/{job_id}/cancel", json={})

    def _retry(self) -> None:
        if job_id := self._one(select(Job.id).where(Job.state == JobState.FAILED)):
            self._chief.post(f"{V1}/jobs/{job_id}/retry", json={})

    def _retry_all(self) -> None:
        self._chief.post(f"{V1}/jobs/retry", json={"limit": 3})

    def _skip(self) -> None:
        if job_id := self._one(select(Job.id).where(Job.state == JobState.FAILED, Job.kind == "provision")):
            self._chief.post(f"{V1}/jobs/{job_id}/steps/{SKIPPABLE}/skip", json={"reason": "By hand"})

    def _work(self) -> None:
        """Let a step fail, as a worker does."""
        if job_id := self._one(select(Job.id).where(Job.state.in_(OPEN), Job.kind == "provision")):
            for step in names(self._db, job_id, StepState.READY)[:2]:
                try:
                    fail(self._db, job_id, step)
                except AssertionError:  # another process has begun it or cancelled the job
                    return

    # -- operators ---------------------------------------------------------------------------------------------------

    def _invite(self) -> None:
        if self._chance.random() < 0.5 and (invite := self._one(select(Invite.id))):
            self._operator.types("invites", "revoke", invite)
        else:
            self._operator.types("invites", "create", "--team", "dev")

    def _change_rights(self) -> None:
        verb = self._chance.choice(("grant-admin", "revoke-admin"))
        self._operator.types("users", verb, self._chance.choice(self._people))

    def _end_sessions(self) -> None:
        self._operator.types("users", "log-out", self._chance.choice(self._people))

    def _cancel_by_command(self) -> None:
        if job_id := self._one(select(Job.id).where(Job.state.in_(OPEN))):
            self._operator.types("jobs", "cancel", job_id, "--yes")

    def _one(self, statement: Any) -> str | None:
        """Return one of the newest ids."""
        found = self._db.read(
            lambda session: session.scalars(statement.order_by(statement.selected_columns[0].desc()).limit(9)).all()
        )
        return self._chance.choice(found) if found else None

    def _name(self, stem: str) -> str:
        return f"{stem}-{self._chance.randrange(16**10):010x}"


# -- what they left -------------------------------------------------------------------------------------------------


def disagreements(session: Session) -> list[str]:
    """Return where the audit, replayed, differs from the tables."""
    acts = session.scalars(select(Action).order_by(Action.id)).all()
    by_kind: dict[str, list[Action]] = defaultdict(list)
    for each in acts:
        by_kind[each.kind].append(each)
    return [*_differing(session, by_kind), *_misplaced(acts)]


def _differing(session: Session, acts: dict[str, list[Action]]) -> Iterator[str]:
    def of(*kinds: ActionKind) -> set[str | None]:
        return {each.object_id for kind in kinds for each in acts[kind]}

    pairs: dict[str, tuple[Any, Any]] = {
        "projects": (_ids(session, Project.id), of(ActionKind.PROJECT_CREATE)),
        "users": (_ids(session, User.id), of(ActionKind.USER_SIGN_UP)),
        "tokens": (_ids(session, ApiToken.id), of(ActionKind.TOKEN_CREATE) - of(ActionKind.TOKEN_REVOKE)),
        "invites": (_ids(session, Invite.id), of(ActionKind.INVITE_CREATE)),
        "jobs": (_ids(session, Job.id), {each.job_id for kind in ACCEPTING for each in acts[kind]}),
        "cancelled": (
            _ids(session, Job.id, Job.state.in_((JobState.CANCELLING, JobState.CANCELLED))),
            of(ActionKind.JOB_CANCEL),
        ),
        "administrators": (_ids(session, User.id, User.is_admin.is_(True)), _administrators(acts)),
        "reopened": (_reopened(session), _counted(acts, ActionKind.JOB_RETRY, ActionKind.JOB_SKIP_STEP)),
        "sessions": (session.scalar(select(func.count()).select_from(LoginSession)), _sessions(acts)),
    }
    for name, (there, told) in pairs.items():
        if there != told:
            yield f"{name}: {len(there) if isinstance(there, set) else there} there, not as told"
    paused_by = session.scalar(select(UpstreamStatus.paused_by).where(UpstreamStatus.paused_at.is_not(None)))
    if paused_by and paused_by not in {each.actor for each in acts[ActionKind.UPSTREAM_PAUSE]}:
        yield "a pause without an act"


def _ids(session: Session, column: Any, *where: Any) -> set[str]:
    return set(session.scalars(select(column).where(*where)))


def _administrators(acts: dict[str, list[Action]]) -> set[str | None]:
    rights = [*acts[ActionKind.USER_GRANT_ADMIN], *acts[ActionKind.USER_REVOKE_ADMIN]]
    last = {each.object_id: each.kind for each in sorted(rights, key=lambda each: each.id)}
    return {user_id for user_id, kind in last.items() if kind == ActionKind.USER_GRANT_ADMIN}


def _sessions(acts: dict[str, list[Action]]) -> int:
    ended = sum((each.after or {})["ended"] for each in acts[ActionKind.SESSION_END_OTHERS])
    return len(acts[ActionKind.USER_LOG_IN]) - len(acts[ActionKind.USER_LOG_OUT]) - ended


def _counted(acts: dict[str, list[Action]], *kinds: ActionKind) -> Counter[str | None]:
    return Counter(each.object_id for kind in kinds for each in acts[kind])


def _reopened(session: Session) -> Counter[str | None]:
    """Return how often each job went on after it had failed, by its events."""
    reopened: Counter[str | None] = Counter()
    last: dict[str, JobState] = {}
    for event in session.scalars(select(Event).order_by(Event.job_id, Event.number)):
        if last.get(event.job_id) is JobState.FAILED:
            reopened[event.job_id] += 1
        last[event.job_id] = event.state
    return reopened


def _misplaced(acts: Any) -> Iterator[str]:
    """Yield what is without an actor or a way in, and what comes before what it follows from."""
    seen: dict[tuple[str, str | None], str] = {}
    follows = {ActionKind.TOKEN_REVOKE: ActionKind.TOKEN_CREATE, ActionKind.INVITE_REVOKE: ActionKind.INVITE_CREATE}
    for each in acts:
        if each.actor is None and each.channel != Channel.WORKER:
            yield f"{each.kind} by nobody"
        seen[(each.kind, each.object_id)] = each.id
        before = follows.get(ActionKind(each.kind))
        if before and (before, each.object_id) not in seen:
            yield f"{each.kind} before {before}"
