"""Real ids, passwords and keys for generated requests, so that these reach existing resources.

The OpenAPI document describes the format of an id, not which ids exist. Only values that were generated as valid are
replaced, so that invalid ones stay invalid. The replacement depends on the request alone, so a run can be repeated.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from hashlib import sha256
from typing import Any
from zlib import crc32

from schemathesis import Case
from schemathesis.core.parameters import ParameterLocation
from schemathesis.generation.meta import TestPhase

from api.contract import validation
from support.api import ENVIRONMENT, PASSWORD, Api
from support.endpoint_cases import ABOUT, ADDED, NOWHERE, About, Things
from support.objects import Values

WHO = ("nobody", "member", "administrator")
LOGINS = {"member": "member-dev", "administrator": "chief"}
OWN, FOREIGN, ABSENT = "dev", "ops", None
WHOSE = (OWN, OWN, OWN, FOREIGN, ABSENT)
LOGGING_IN = (
    "log_in",
    "log_in_as_published",
    "change_password",
    "confirm_reset",
    "confirm_signup",
)  # or proving it otherwise
SIGNUP = {"name": "Ada Lovelace", "password": PASSWORD}
LAST_UNSEEN = "\U000e0fff"  # for those who make things up; what is behind it is not taken either
WAIT_SHARE = 30  # nobody waits for a minute here: of 60 seconds, 2 are left


@dataclass(frozen=True)
class Target:
    """What a request is about."""

    about: About
    team: str | None


class Fitting:
    """Fits requests to what there is, for one who asks. `guarded`: calls known to want credentials."""

    def __init__(self, api: Api, things: Things, who: str) -> None:
        self.guarded: set[str] = set()
        self._api = api
        self._things = things
        self._who = who
        self._token = self._log_in()

    def is_for(self, case: Case[Any]) -> bool:
        """Say whether it is this person who tries the case; everybody does, but a systematic one only one."""
        is_systematic = case.meta is not None and case.meta.phase.name is TestPhase.COVERAGE
        return not is_systematic or WHO[_chance(case) % len(WHO)] == self._who

    def headers(self, case: Case[Any]) -> dict[str, str]:
        """Return what proves who is asking; a log-out gets a token of its own, which it ends.

        An administrator knows the token of the metrics, too.
        """
        if _call(case) == "show_metrics" and self._who == "administrator":
            return {"Authorization": f"Bearer {ENVIRONMENT['METRICS_TOKEN']}"}
        if self._who not in LOGINS:
            return {}
        token = self._log_in() if _call(case) == "log_out" else self._token
        return {"Authorization": f"Bearer {token}"}

    def fit(self, case: Case[Any]) -> Target:
        """Change the case so that it is about something."""
        rows = [about for about in ABOUT if about.call == _call(case)]
        assert rows, f"{_call(case)}: {ADDED}"
        chance = _chance(case)
        target = Target(rows[chance % len(rows)], WHOSE[chance // 64 % len(WHOSE)])
        values = self._things.values(target.about, target.team)
        _fit_path(case, values)
        _fit_query(case, values)
        _fit_body(case, values)
        _fit_headers(case, chance)
        return target

    def use_up(self, target: Target) -> None:
        """Have another thing made for what comes next."""
        self._things.use_up(target.about, target.team)

    def _log_in(self) -> str:
        return self._api.token(LOGINS[self._who]) if self._who in LOGINS else ""


def _call(case: Case[Any]) -> str:
    name: str = case.operation.definition.raw["operationId"]
    return name


def _chance(case: Case[Any]) -> int:
    return crc32(f"{case.method} {case!r}".encode())


def _is_valid(case: Case[Any], location: ParameterLocation) -> bool:
    return case.meta is None or not case.meta.is_negative_at(location)


def _fit_path(case: Case[Any], values: Values) -> None:
    ours = {name: values[name] for name in case.path_parameters if name in values}
    if ours and _is_valid(case, ParameterLocation.PATH):
        case.path_parameters = {**case.path_parameters, **ours}


def _fit_query(case: Case[Any], values: Values) -> None:
    if not _is_valid(case, ParameterLocation.QUERY):
        return
    if _call(case) == "remove_app":  # no schema can say which name confirms it, or that only a dry run needs none
        confirmed = {"confirm": values["confirm"]} if "confirm" in values else {"dry_run": "true"}
        case.query = {**(case.query or {}), **confirmed}
    if not case.query:
        return
    ours = {name: values[name] for name in case.query if name in values}
    if "wait" in case.query:
        ours["wait"] = str(int(case.query["wait"]) // WAIT_SHARE)
    if ours:
        case.query = {**case.query, **ours}


def _fit_body(case: Case[Any], values: Values) -> None:
    if not isinstance(case.body, dict) or not _is_valid(case, ParameterLocation.BODY):
        return
    ours: dict[str, str | None] = {name: values[name] for name in case.body if name in values and name in NOWHERE}
    if _call(case) in LOGGING_IN:
        ours |= values
    if _call(case) == "retry_job" and case.body.get("password") is not None:
        ours["password"] = values.get("password")  # no schema can say which one is right, or when one is
    if _call(case) == "sign_up":
        if "invite" in case.body:
            ours["invite"] = None  # no schema can say which one is good
        ours |= {name: fine for name, fine in SIGNUP.items() if _is_beyond(case.body[name])}
        if _is_weak({**case.body, **ours}):
            ours["password"] = PASSWORD
    if ours:
        case.body = {**case.body, **ours}


def _is_beyond(text: Any) -> bool:
    return any(character > LAST_UNSEEN for character in text)


def _is_weak(body: dict[str, Any]) -> bool:
    """Say whether the password breaks a rule that no schema can say: bytes, common ones, parts of one's own data."""
    return bool(
        validation.password_problems(body["password"], login=body["id"], email=body["email"], name=body["name"])
    )


def _fit_headers(case: Case[Any], chance: int) -> None:
    if not _is_valid(case, ParameterLocation.HEADER):
        return
    if "If-None-Match" in case.headers and chance % 2:
        case.headers["If-None-Match"] = "*"
    if "Idempotency-Key" in case.headers:  # one key, one request: a repetition gets the first answer
        told = json.dumps([case.path, case.path_parameters, case.query, case.body], default=str, sort_keys=True)
        case.headers["Idempotency-Key"] = sha256(told.encode()).hexdigest()
