"""Replies of upstreams: their bodies, and what any of them means by its status, its time to wait, its redirect."""

from __future__ import annotations

import json as jsonlib
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from functools import cache
from typing import Any, TypeVar, cast
from urllib.parse import SplitResult, urlsplit

from pydantic import TypeAdapter, ValidationError

from common.errors import Refused, Transient
from common.workflows import DELAY_AT_MOST_S

T = TypeVar("T")
_MAX_RETRY_AFTER_S = DELAY_AT_MOST_S
_HALF_A_CHARACTER = re.compile(rb"\\u[dD][89a-fA-F]")
_REDIRECTS = frozenset({301, 302, 303, 307, 308})
_LOGIN_PATH = re.compile(  # one whole segment of a path
    r"/(log[-_]?in|sign[-_]?in|commenceLogin|sso|cas|saml2?|oauth2?|oidc|openid-connect|authorize|auth)(/|$)",
    re.IGNORECASE,
)
_LOGIN_QUERY = re.compile(r"(^|&)(client_id|response_type|redirect_uri|SAMLRequest|rd)=", re.IGNORECASE)
_NAMES = re.compile(  # Jenkins redirects to what it has changed; a job or a user may be called login
    r"(/job/[^/]+)+|/securityRealm/user/[^/]+"
)


@dataclass(frozen=True, kw_only=True)
class Reply:
    """One HTTP response, read to its end. Its repr shows neither headers nor body."""

    upstream: str
    method: str
    path: str
    status: int
    headers: Mapping[str, str] = field(repr=False)
    body: bytes = field(repr=False)
    base_path: str = ""  # of the upstream's address, which every path of its own begins with

    @property
    def text(self) -> str:
        return self.body.decode("utf-8", "replace")

    @property
    def location(self) -> SplitResult:
        """Where a redirect leads; of empty parts when it does not say, or says something that is no address."""
        try:
            return urlsplit(self.headers.get("Location", ""))
        except ValueError:
            return urlsplit("")

    def json(self) -> Any:
        """Return the decoded body. Raises Transient when it is not JSON: a proxy's page, a truncated body."""
        try:
            value = jsonlib.loads(self.body)
            return _whole(value) if _HALF_A_CHARACTER.search(self.body) else value
        except (ValueError, RecursionError):
            reason = f"{self.upstream} answered with something that is not JSON"
            raise Transient(reason, upstream=self.upstream) from None

    def read_as(self, shape: type[T]) -> T:
        """Return the body as `shape` (a dataclass, `list[...]`, …); unknown keys are ignored.

        Raises Transient when the body is not JSON or has another shape.
        """
        try:
            value: T = _adapter(cast("Any", shape)).validate_python(self.json())
        except ValidationError:
            reason = f"{self.upstream} answered with JSON of an unknown shape"
            raise Transient(reason, upstream=self.upstream) from None
        return value


def _whole(value: Any) -> Any:
    """Return the value with a replacement for each half of a character: no database and no page can hold one."""
    match value:
        case str():
            return value.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
        case dict():
            return {_whole(key): _whole(each) for key, each in value.items()}
        case list():
            return [_whole(each) for each in value]
        case _:
            return value


@cache
def _adapter(shape: Any) -> TypeAdapter[Any]:
    return TypeAdapter(shape)


def retry_after_s(reply: Reply) -> float | None:
    """Return how long the server asks us to wait, 600 s at most; None when it does not say.

    Source: RFC 9110, "Retry-After": seconds or a date.
    """
    text = reply.headers.get("Retry-After", "").strip()
    if text.isascii() and text.isdigit():
        return min(float(text), _MAX_RETRY_AFTER_S)
    try:
        at = parsedate_to_datetime(text)
    except (ValueError, OverflowError):
        return None
    wait_s = (at.replace(tzinfo=at.tzinfo or UTC) - datetime.now(UTC)).total_seconds()
    return min(max(wait_s, 0.0), _MAX_RETRY_AFTER_S)


def is_refusal(reply: Reply) -> bool:
    """Say whether the reply refuses us: 401, 403, or a redirect to a log-in page."""
    return reply.status in (401, 403) or is_login_redirect(reply)


def is_login_redirect(reply: Reply) -> bool:
    """Say whether the reply redirects to a page to log in: the upstream's own, or that of a proxy in front of it."""
    target = reply.location
    path = "/" + f"{target.path}/".removeprefix(f"{reply.base_path}/")  # the address itself may have such a segment
    is_page = _LOGIN_PATH.search(_NAMES.sub("", path)) or _LOGIN_QUERY.search(target.query)
    return reply.status in _REDIRECTS and is_page is not None


def refused(reply: Reply, reason: str, *, says: str = "") -> Refused:
    """Return the error for a refusal; `reason` is the sentence for the user, `says` the upstream's cleaned reason."""
    return Refused(
        reason,
        upstream=reply.upstream,
        status=reply.status,
        method=reply.method,
        path=reply.path,
        says=says,
        headers=reply.headers,
    )
