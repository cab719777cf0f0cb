"""HTTP calls to an upstream, and what a failed call means for the step.

    nothing was sent (refused, DNS, TLS, connect timeout)      -> Transient "could not be reached: …"
    anything failed after the first byte of the request        -> Transient "… the outcome is unknown"
    a reply came, whatever its status                          -> a Reply; the client decides what it means

    a reply that a client has no rule of its own for           -> `unexpected`
    a write on a connection that only reads                    -> WouldWrite, which is no outcome of a step

Redirects are replies: none is followed. Nothing is retried. Bodies are neither logged nor kept in errors. What a call
sends of our secrets is noted (`common/telemetry/sent.py`), and no reason shows it, however the answer spells it.
"""

from __future__ import annotations

import copy
import unicodedata
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from http.client import HTTPException
from typing import Any, Self, TypedDict
from urllib.parse import quote, urlsplit

import requests
from urllib3.exceptions import HTTPError

from common.config.urls import is_on_host
from common.errors import ActionBy, Permanent, StepError, Transient
from common.plain_text import quoted
from common.telemetry import sent
from common.telemetry.spellings import Secrets
from common.uptime import uptime_s
from worker.upstreams import call_telemetry
from worker.upstreams.error_text import reason_in
from worker.upstreams.replies import Reply, is_login_redirect, is_refusal, refused, retry_after_s
from worker.upstreams.transport import Watch, open_session
from worker.upstreams.unreachable import why_unreachable

_CHUNK_BYTES = 64 * 1024
_SECRET_NAMES = ("password", "token", "secret")
_ABOUT_THE_FORMAT = frozenset({"accept", "accept-language", "content-type"})  # headers of a login that are no secret
_READS = frozenset({"GET", "HEAD"})


class WouldWrite(Exception):
    """A connection that only reads was asked to write; nothing was sent. `path` is without the query."""

    def __init__(self, method: str, path: str) -> None:
        super().__init__(f"{method} {path} would write")
        self.method = method
        self.path = path


@dataclass(frozen=True, kw_only=True)
class Limits:
    """How long and how much one call may take. `read_s` is per read, `total_s` for everything together."""

    connect_s: float = 3.0
    read_s: float = 10.0
    total_s: float = 30.0
    body_bytes: int = 2 * 1024 * 1024


class Deadline:
    """The time, as uptime of the machine, after which a step makes no more calls."""

    def __init__(self, at_s: float) -> None:
        self._at_s = at_s

    @classmethod
    def within(cls, seconds: float) -> Self:
        return cls(uptime_s() + seconds)

    @property
    def is_over(self) -> bool:
        return uptime_s() >= self._at_s

    def remaining_s(self) -> float:
        """Return the seconds left. Raises Transient when there are none."""
        left_s = self._at_s - uptime_s()
        if left_s <= 0:
            raise Transient("the time for this attempt is used up")
        return left_s


RateLimit = Callable[[Deadline | None], None]  # returns when the next call may be sent; raises Transient
BeforeWrite = Callable[[], None]  # returns when a call that may write is still ours to make; raises when it is not


def build_url(base: str, *segments: str) -> str:
    """Return `base` with `segments` below it, each quoted whole: a slash inside one becomes `%2F`.

    Raises Permanent for a segment that could change the rest of the path. Quoting alone does not stop `..`: dots are
    unreserved, and the libraries below resolve them.
    """
    return "/".join([base.rstrip("/"), *(_quoted(segment) for segment in segments)])


def _quoted(segment: str) -> str:
    is_bad = segment in ("", ".", "..") or "\\" in segment or len(segment) > 255
    if is_bad or any(unicodedata.category(char) in ("Cc", "Cs") for char in segment):
        raise Permanent("a name cannot be part of a URL: it is empty, too long, or has characters that change the path")
    return quote(segment, safe="")


class SendOptions(TypedDict, total=False):
    """The keyword arguments of `Http.send`."""

    params: Mapping[str, str | int] | None
    json: Any
    form: Mapping[str, str] | None
    content: tuple[str, bytes] | None
    headers: Mapping[str, str] | None
    auth: tuple[str, str] | None
    total_s: float | None
    ends_in_slash: bool


class Http:
    """The connection to one upstream: its base URL, our credentials, the limits of every call."""

    def __init__(
        self,
        upstream: str,
        base_url: str,
        *,
        headers: Mapping[str, str] | None = None,
        auth: tuple[str, str] | None = None,
        ca_file: str | None = None,
        proxy: str | None = None,
        pool_size: int = 32,
        limits: Limits = Limits(),
        rate_limit: RateLimit | None = None,
        external_url: str | None = None,
    ) -> None:
        """`external_url` is where people reach it; the addresses that it names itself may be there."""
        self.name = upstream
        self._base_url = base_url
        self._own_urls = tuple(filter(None, (base_url, external_url)))
        self._headers = dict(headers or {})
        self._auth = auth
        self._verify: bool | str = ca_file or True
        self._limits = limits
        self._rate_limit = rate_limit
        self._deadline: Deadline | None = None
        self._before_write: BeforeWrite | None = None
        self._only_reads = False
        self._accepted: set[bool] = set()
        self._session = open_session(pool_size, proxy=proxy)
        self._secrets = _login_secrets(self._headers, auth)

    @property
    def base_url(self) -> str:
        return self._base_url

    def is_own(self, url: str) -> bool:
        """Say whether an address out of an answer is on a host that our settings name for this upstream."""
        return any(is_on_host(url, each) for each in self._own_urls)

    @property
    def login(self) -> str:
        """Return the name that every call logs in with, "" when it is a token."""
        return self._auth[0] if self._auth else ""

    def within(self, deadline: Deadline, before_write: BeforeWrite | None = None) -> Http:
        """Return a copy on the same connections whose calls all end by `deadline`.

        `before_write` runs just before each call that may write, after every wait; what it raises stops the call.
        """
        bounded = copy.copy(self)
        bounded._deadline = deadline  # noqa: SLF001 - a copy of ourselves
        bounded._before_write = before_write  # noqa: SLF001 - as above
        bounded._accepted = set()  # noqa: SLF001
        return bounded

    def has_accepted(self, *, is_write: bool) -> bool:
        """Say whether any write, or any read, with our login was accepted since `within`, by this copy or one of it."""
        return is_write in self._accepted

    def reading(self) -> Http:
        """Return a copy on the same connections that cannot write, nor can its copies: `send` raises WouldWrite."""
        reader = copy.copy(self)
        reader._only_reads = True  # noqa: SLF001 - a copy of ourselves
        return reader

    def send(
        self,
        method: str,
        *segments: str,
        params: Mapping[str, str | int] | None = None,
        json: Any = None,
        form: Mapping[str, str] | None = None,
        content: tuple[str, bytes] | None = None,
        headers: Mapping[str, str] | None = None,
        auth: tuple[str, str] | None = None,
        total_s: float | None = None,
        ends_in_slash: bool = False,
    ) -> Reply:
        """Send one request and return the reply, whatever its status.

        The body is one of `json`, `form` and `content` (content type, bytes). `auth` replaces our own. Some pages exist
        only when the path `ends_in_slash`. GET and HEAD read, anything else may write. Raises Transient when no whole
        reply came (the module's table), Permanent when the request cannot be put into HTTP, WouldWrite for a call that
        may write after `reading`, and what `before_write` raises.
        """
        url = build_url(self._base_url, *segments) + ("/" if ends_in_slash else "")
        may_write = method not in _READS
        if self._only_reads and may_write:
            raise WouldWrite(method, urlsplit(url).path)
        kind, body = content or (None, form)
        sent_headers = {**self._headers, **({"Content-Type": kind} if kind else {}), **(headers or {})}
        request = requests.Request(
            method, url, sent_headers, params=params, json=json, data=body, auth=_basic(auth or self._auth)
        )
        sent.note(self._secrets, _carried(json, form, auth))
        if self._rate_limit is not None:
            self._rate_limit(self._deadline)
        if self._before_write is not None and may_write:
            self._before_write()
        with Watch(self._total_s(total_s)) as watch, call_telemetry.record(self.name, method, url, watch) as made:
            request.headers.update(made.headers)
            reply = self._exchange(request, watch)
            made.status = reply.status
        if auth is None and reply.status < 400 and not is_login_redirect(reply):
            self._accepted.add(may_write)
        return reply

    def _total_s(self, wanted_s: float | None) -> float:
        total_s = wanted_s or self._limits.total_s
        return min(total_s, self._deadline.remaining_s()) if self._deadline else total_s

    def _exchange(self, request: requests.Request, watch: Watch) -> Reply:
        """Exchange request for reply; what is raised carries no trace of either."""
        try:
            prepared = self._session.prepare_request(request)
        except (ValueError, requests.RequestException):
            raise Permanent(f"the request to {self.name} is not valid HTTP", upstream=self.name) from None
        try:
            with self._open(prepared, watch) as response:
                body = self._read(response, watch)
        except (OSError, ValueError, HTTPException, HTTPError) as error:
            raise self._broken(error, watch) from None
        return Reply(
            upstream=self.name,
            base_path=urlsplit(self._base_url).path.rstrip("/"),
            method=request.method or "",
            path=urlsplit(request.url or "").path,
            status=response.status_code,
            headers=response.headers,
            body=body,
        )

    def _open(self, prepared: requests.PreparedRequest, watch: Watch) -> requests.Response:
        timeout = (min(self._limits.connect_s, watch.total_s), min(self._limits.read_s, watch.total_s))
        return self._session.send(prepared, stream=True, timeout=timeout, verify=self._verify, allow_redirects=False)

    def _read(self, response: requests.Response, watch: Watch) -> bytes:
        body = bytearray()
        for chunk in response.iter_content(_CHUNK_BYTES):
            body += chunk
            if len(body) > self._limits.body_bytes:
                reason = f"{self.name} answered with more than {self._limits.body_bytes} bytes"
                raise Transient(reason, upstream=self.name)
        if watch.expired:  # a body without a length seems complete when its socket is shut
            raise TimeoutError
        return bytes(body)

    def _broken(self, error: Exception, watch: Watch) -> StepError:
        is_ours = self._deadline is not None and self._deadline.is_over  # our time was up: it might have answered
        upstream = None if is_ours else self.name
        if watch.sent:
            reason = f"{self.name} did not finish its answer: the outcome is unknown"
            return Transient(reason, upstream=upstream, is_unavailable=not is_ours)
        if isinstance(error, ValueError):
            return Permanent(f"the request to {self.name} is not valid HTTP", upstream=self.name)
        reason = why_unreachable(self.name, error)
        return Transient(reason, upstream=upstream, is_unavailable=not is_ours, is_unsent=True)


def _login_secrets(headers: Mapping[str, str], auth: tuple[str, str] | None) -> Secrets:
    """Return what shows who we are, a token also without the word before it."""
    secret = [value for name, value in headers.items() if name.lower() not in _ABOUT_THE_FORMAT]
    tokens = [each for value in secret for each in (value, *value.split()[-1:])]
    return Secrets([*tokens, auth[1]] if auth else tokens)


def _carried(json: Any, form: Mapping[str, str] | None, auth: tuple[str, str] | None) -> Secrets | None:
    """Return the secrets of one call, None when it has none of its own."""
    found = {*_secrets_in(json), *_secrets_in(form), *(auth[1:] if auth else ())}
    return Secrets(found) if found else None


def _secrets_in(body: Any) -> Iterator[str]:
    """Yield the values whose names say that they are secret."""
    for name, value in body.items() if isinstance(body, Mapping) else ():
        if isinstance(value, str) and any(word in name.lower() for word in _SECRET_NAMES):
            yield value
        elif isinstance(value, Mapping):
            yield from _secrets_in(value)


def _basic(auth: tuple[str, str] | None) -> tuple[bytes, bytes] | None:
    """Encode as UTF-8: requests would use Latin-1 and fail on any other letter."""
    return (auth[0].encode(), auth[1].encode()) if auth else None


def unexpected(http: Http, reply: Reply, doing: str, *, secrets: tuple[str, ...] = ()) -> StepError:
    """Return the error for a reply that the client has no rule of its own for.

    `doing` completes "while …": "creating the user anna". `secrets` are values that we sent and that the server may
    echo; they are replaced in the reason. 408, 425, 429 and 5xx are Transient, 401, 403 and a redirect to a log-in page
    are Refused, everything else is Permanent.
    """
    why = reason_in(reply.body, secrets=secrets)
    tail = f" while {doing}" + (f": {quoted(why)}" if why else "")
    if reply.status in (408, 425, 429) or reply.status >= 500:
        reason = f"{http.name} answered {reply.status}{tail}"
        hint_s, is_unavailable = retry_after_s(reply), reply.status >= 500
        return Transient(reason, retry_after_s=hint_s, upstream=http.name, is_unavailable=is_unavailable)
    if is_refusal(reply):
        return refused(reply, _refusal_of(reply) + tail, says=why)
    action_by = ActionBy.OPERATOR if reply.status >= 300 else ActionBy.UPSTREAM
    return Permanent(f"{http.name} answered {reply.status}{tail}", action_by=action_by, upstream=http.name)


def _refusal_of(reply: Reply) -> str:
    if reply.status == 401:
        return f"{reply.upstream} refuses our token"
    if reply.status == 403:
        return f"Our token lacks a permission on {reply.upstream}"
    return f"A log-in page is in front of {reply.upstream}"
