"""How is one request exchanged with the server?

    an answer came, whatever its status   -> a Reply; `Reply.require` turns a refusal into its ProblemError
    nothing came, or not all of it        -> UnreachableError; `slipway/retry.py` decides whether it is sent again

Redirects are answers: a token goes to the address that it was given for and to no other. Neither cookies nor
`~/.netrc` have a say in who is asking. Proxies and certificates are the environment's, as users expect.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.cookiejar import DefaultCookiePolicy
from typing import Any, cast

import requests
from requests.auth import AuthBase

from slipway import address
from slipway.errors import Document, ProblemError, UnreachableError

CONNECT_S = 5.0


@dataclass(frozen=True, kw_only=True)
class Request:
    """One call. `read_s`: how long the server may be silent. Its repr hides the body: it may hold a password."""

    method: str
    url: str
    query: Mapping[str, str] = field(default_factory=dict)
    body: Document | None = field(default=None, repr=False)
    headers: Mapping[str, str] = field(default_factory=dict)
    read_s: float


@dataclass(frozen=True, kw_only=True)
class Reply:
    """One whole answer. `document` is None where there was no JSON."""

    url: str
    status: int
    headers: Mapping[str, str] = field(repr=False)
    document: Any = field(repr=False)

    @property
    def retry_after_s(self) -> float | None:
        """How long the server asks us to wait; None when it does not say so in seconds, as Slipway does."""
        text = self.headers.get("Retry-After", "")
        return float(text) if text.isascii() and text.isdigit() else None

    def require(self) -> Reply:
        """Return the answer if it is what was asked for. Raises ProblemError, UnreachableError."""
        if isinstance(self.document, dict) and self.status >= 400 and isinstance(self.document.get("code"), str):
            raise ProblemError(self.document, status=self.status, retry_after_s=self.retry_after_s)
        if 300 <= self.status < 400 and self.status != 304:
            where = self.headers.get("Location", "somewhere else")
            raise UnreachableError(f"{self.url} sends callers on to {where}. Use that server's address.")
        if self.status >= 400 or (self.document is None and self.status not in (204, 304)):
            raise UnreachableError(f"{self.url} answered {self.status}, and not as Slipway does. Check the address.")
        return self


class Wire:
    """The way to one server: its address, and the token once there is one. Its repr does not show the token."""

    def __init__(self, url: str, token: str | None) -> None:
        self.url = address.checked(url)
        self._bearer = _Bearer()
        self._proxies = address.unproxied(self.url)
        self._session = requests.Session()
        self._session.auth = self._bearer  # without one of ours, requests would send what ~/.netrc has
        self._session.cookies.set_policy(DefaultCookiePolicy(allowed_domains=()))
        self.use_token(token)

    def use_token(self, token: str | None) -> None:
        """Send this token from now on, none with None. Raises ValueError, without the value, for what is no token."""
        if token is not None and not (token.isascii() and token.isprintable() and token and " " not in token):
            raise ValueError("A token is printable ASCII without blanks.")
        self._bearer.token = token

    @property
    def has_token(self) -> bool:
        return self._bearer.token is not None

    def exchange(self, request: Request) -> Reply:
        """Send a request and return the whole answer, whatever its status. Raises UnreachableError."""
        with self.open(request) as answer:
            return reply_of(answer)

    def close(self) -> None:
        self._session.close()

    @contextmanager
    def open(self, request: Request) -> Iterator[requests.Response]:
        """Send a request; the answer is read inside the block. Raises UnreachableError whenever it breaks there."""
        try:
            with self._session.request(
                request.method,
                request.url,
                params=dict(request.query),
                json=request.body,
                headers=dict(request.headers),
                timeout=(CONNECT_S, request.read_s),
                proxies=self._proxies,
                allow_redirects=False,
                stream=True,
            ) as answer:
                yield answer
        except OSError as error:  # all of requests' errors are
            raise self._broken(error) from None  # they hold the request, and so the token

    def _broken(self, error: OSError) -> UnreachableError:
        if isinstance(error, requests.exceptions.SSLError):
            return UnreachableError(f"{self.url} has no certificate that is trusted here.", is_passing=False)
        if isinstance(error, ValueError):  # InvalidURL and its like; JSON is not decoded by requests here
            return UnreachableError(f"{self.url} is not an address that can be called.", is_passing=False)
        if isinstance(error, requests.exceptions.ReadTimeout):
            return UnreachableError(f"{self.url} did not answer in time.")
        if isinstance(error, requests.exceptions.ProxyError):
            return UnreachableError(f"{self.url} cannot be reached through the proxy of this environment.")
        if not isinstance(error, requests.RequestException):  # a file of certificates that is not there, say
            return UnreachableError(f"{self.url} cannot be called: {error}", is_passing=False)
        return UnreachableError(f"{self.url} cannot be reached, or hung up. Is Slipway running there?")


class _Bearer(AuthBase):
    token: str | None = None

    def __call__(self, prepared: requests.PreparedRequest) -> requests.PreparedRequest:
        if self.token is not None:
            prepared.headers["Authorization"] = f"Bearer {self.token}"
        return prepared


def reply_of(answer: requests.Response) -> Reply:
    """Read an answer to its end; the body is JSON or nothing of ours."""
    try:
        document = json.loads(answer.content) if answer.content else None
    except ValueError:
        document = None
    headers = cast("Mapping[str, str]", answer.headers)
    url = str(answer.url).partition("?")[0]
    return Reply(url=url, status=answer.status_code, headers=headers, document=document)
