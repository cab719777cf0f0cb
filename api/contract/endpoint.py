"""Endpoint declarations as plain data: who may call, request, response and problems, each stated once.

`api/serving/routing.py` serves these declarations, `api/openapi/build.py` publishes them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Annotated, Any, ClassVar

from pydantic import BaseModel, BeforeValidator, ConfigDict

from api.contract.scopes import SCOPES, Scope
from common.jobs.lane_messages import LaneMessage

BASE = "/api/v1"
JSON = "application/json"


class Policy(StrEnum):
    """Who may call an endpoint."""

    PUBLIC = "anyone"
    HOLDER = "anyone; the call applies to the token that is sent, if there is one"
    MEMBER = "logged-in users, for resources of their own team"
    BEARER = "logged-in users, for resources of their own team; the Authorization header only, no cookie"
    ADMIN = "administrators"
    VISITOR = "anyone who knows the job id of a sign-up; for other jobs, logged-in users of the job's team"
    SCRAPER = "clients that send METRICS_TOKEN as a bearer token, such as Prometheus"


class RequestBody(BaseModel):
    """The JSON body of a request. Unknown fields are refused by name."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class Query(RequestBody):
    """The query parameters of a request."""


class ResponseBody(BaseModel):
    """The body of a response: exactly these fields."""

    model_config = ConfigDict(frozen=True)

    media_type: ClassVar[str] = JSON


def _check_digits(value: Any) -> Any:
    """Refuse ` 5 `, `5.0` and `1_0`, which pydantic would accept and the document does not allow."""
    if isinstance(value, str) and (len(value) > 9 or not value.isdecimal() or str(int(value)) != value):
        raise ValueError("Use a whole number in decimal digits.")
    return value


def _to_integer(value: Any) -> Any:
    """Accept 5.0 for 5: JSON has one number type, and JSON Schema counts 5.0 as an integer."""
    return int(value) if isinstance(value, float) and value.is_integer() else value


def _check_flag(value: Any) -> Any:
    if isinstance(value, str) and value not in ("true", "false"):
        raise ValueError("Use true or false.")
    return value


# Write these two after the bounds of a number: written before them, pydantic publishes the bounds under other names.
WholeNumber = BeforeValidator(_check_digits)  # in a query
JsonInteger = BeforeValidator(_to_integer)  # in a body, whose type is StrictInt: it refuses "5" and true
BooleanFlag = Annotated[bool, BeforeValidator(_check_flag)]  # in a query


@dataclass(frozen=True, kw_only=True)
class Answer:
    """A successful response: body, status and headers, and the lane messages to send after the commit."""

    body: ResponseBody | None = None
    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)
    lanes: Sequence[LaneMessage] = ()
    credential: str | None = None  # hash of a token in the body: an idempotency key repeats it only while that is valid


@dataclass(frozen=True, kw_only=True)
class Endpoint:
    """A declared endpoint, stored on its view. `raises` holds the problem codes that only this view can raise."""

    name: str
    tag: str
    text: str
    method: str
    path: str  # in Flask's notation, with the base
    policy: Policy
    answers: Mapping[int, type[ResponseBody] | None]
    takes: type[RequestBody] | None = None
    query: type[Query] | None = None
    raises: Sequence[str] = ()

    @property
    def takes_idempotency_key(self) -> bool:
        """Whether it honours an Idempotency-Key: every endpoint that writes does."""
        return self.method in ("POST", "DELETE") or 202 in self.answers

    @property
    def needs_login(self) -> bool:
        return self.policy in (Policy.MEMBER, Policy.BEARER, Policy.ADMIN)

    @property
    def takes_cookie(self) -> bool:
        return self.policy not in (Policy.PUBLIC, Policy.BEARER, Policy.SCRAPER)

    @property
    def takes_person(self) -> bool:
        """Whether it may depend on who sends it."""
        return self.policy not in (Policy.PUBLIC, Policy.SCRAPER)

    @property
    def scope(self) -> Scope | None:
        """The scope that an API token needs for it; None: no token may make this call."""
        return SCOPES.get(self.name)

    @property
    def problems(self) -> list[str]:
        """Every problem code that it may return, including those common to all endpoints."""
        codes = {"bad_request", "internal", *self.raises, *self._refusals}
        if self.path.startswith(BASE):
            codes.add("unavailable")
        if "<" in self.path:
            codes.add("not_found")
        if self.takes is not None:
            codes |= {"malformed_json", "unsupported_media_type", "too_large", "invalid_fields"}
        if self.query is not None:
            codes.add("invalid_fields")
        if self.takes_idempotency_key:
            codes |= {"invalid_fields", "key_reused"}
        return sorted(codes)

    @property
    def _refusals(self) -> set[str]:
        """The problem codes of callers who may not make the call."""
        codes = {"scope"} if self.takes_person else set()
        if self.needs_login or self.policy is Policy.VISITOR:
            codes.add("not_logged_in")
        if self.takes_cookie and self.method != "GET":
            codes.add("cross_site")
        if self.policy is Policy.ADMIN:
            codes.add("not_admin")
        return codes
