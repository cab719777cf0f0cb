"""What is a call?  Who may make it, what goes in, what comes out, what can go wrong: declared once, as plain data.

`api/serving/routing.py` serves what is declared here, `api/openapi/build.py` publishes it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Annotated, Any, ClassVar

from pydantic import BaseModel, BeforeValidator, ConfigDict

from common.jobs.lifecycle import LaneMessage

BASE = "/api/v1"
JSON = "application/json"


class Policy(StrEnum):
    """Who may make a call."""

    PUBLIC = "anyone"
    HOLDER = "anyone; it is about the token that is sent, if there is one"
    MEMBER = "anyone who is logged in, for things of their own team"
    BEARER = "as member, but by the Authorization header alone: a browser cannot be made to send it"
    ADMIN = "administrators"
    VISITOR = "anyone for the job of a sign-up whose id they know, otherwise as member"
    SCRAPER = "whoever sends METRICS_TOKEN as bearer token, if it is set: Prometheus"


class RequestBody(BaseModel):
    """What a client sends; a field that we do not know is refused by its name."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class Query(RequestBody):
    """The parameters behind the question mark."""


class ResponseBody(BaseModel):
    """What a client gets: these fields and no others."""

    model_config = ConfigDict(frozen=True)

    media_type: ClassVar[str] = JSON


def _check_digits(value: Any) -> Any:
    """pydantic would also take ` 5 `, `5.0` and `1_0`, which no document promises."""
    if isinstance(value, str) and (len(value) > 9 or not value.isdecimal() or str(int(value)) != value):
        raise ValueError("Use a whole number in decimal digits.")
    return value


def _to_integer(value: Any) -> Any:
    """JSON knows numbers only, and its schema calls 5.0 an integer."""
    return int(value) if isinstance(value, float) and value.is_integer() else value


def _check_flag(value: Any) -> Any:
    if isinstance(value, str) and value not in ("true", "false"):
        raise ValueError("Use true or false.")
    return value


# These two stand behind the bounds of a number: before them, pydantic publishes the bounds by names of its own.
WholeNumber = BeforeValidator(_check_digits)  # of a query
JsonInteger = BeforeValidator(_to_integer)  # of a body; its type is StrictInt, which takes neither "5" nor true
BooleanFlag = Annotated[bool, BeforeValidator(_check_flag)]  # of a query


@dataclass(frozen=True, kw_only=True)
class Answer:
    """One success: a `Result` or nothing, its status, further headers, and lanes to send once it is committed."""

    body: ResponseBody | None = None
    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)
    lanes: Sequence[LaneMessage] = ()


@dataclass(frozen=True, kw_only=True)
class Endpoint:
    """A declared call, kept on its view. `raises` are the codes that only its view knows of."""

    name: str
    tag: str
    text: str
    method: str
    path: str  # as Flask writes it, with the base
    policy: Policy
    answers: Mapping[int, type[ResponseBody] | None]
    takes: type[RequestBody] | None = None
    query: type[Query] | None = None
    raises: Sequence[str] = ()

    @property
    def takes_idempotency_key(self) -> bool:
        """Say whether it honours an Idempotency-Key: whatever writes does."""
        return self.method in ("POST", "DELETE") or 202 in self.answers

    @property
    def needs_login(self) -> bool:
        return self.policy in (Policy.MEMBER, Policy.BEARER, Policy.ADMIN)

    @property
    def takes_cookie(self) -> bool:
        return self.policy not in (Policy.PUBLIC, Policy.BEARER, Policy.SCRAPER)

    @property
    def problems(self) -> list[str]:
        """Every code that it may answer with, those of all calls included."""
        codes = {"bad_request", "internal", *self.raises}
        if self.path.startswith(BASE):
            codes.add("unavailable")
        if self.needs_login or self.policy is Policy.VISITOR:
            codes.add("not_logged_in")
        if self.takes_cookie and self.method != "GET":
            codes.add("cross_site")
        if self.policy is Policy.ADMIN:
            codes.add("not_admin")
        if "<" in self.path:
            codes.add("not_found")
        if self.takes is not None:
            codes |= {"malformed_json", "unsupported_media_type", "too_large", "invalid_fields"}
        if self.query is not None:
            codes.add("invalid_fields")
        if self.takes_idempotency_key:
            codes |= {"invalid_fields", "key_reused"}
        return sorted(codes)
