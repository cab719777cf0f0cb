"""The exchange of one request with the server.

    an answer, whatever its status        -> a Reply; `Reply.require` raises the ProblemError of a refusal
    no answer, or an incomplete one       -> UnreachableError; `slipway/retry.py` decides whether it is sent again

Redirects are not followed: a token is sent only to the address that it was given for. Cookies and `~/.netrc` are
ignored. Proxies and certificates are the environment's, as users expect.
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
    """One request. `read_s` is its read timeout. Its repr hides the body, which may hold a password."""

    method: str
    url: str
    query: Mapping[str, str] = field(default_factory=dict)
    body: Document | None = field(default=None, repr=False)
    headers: Mapping[str, str] = field(default_factory=dict)
    read_s: float


@dataclass(frozen=True, kw_only=True)
class Reply:
    """One complete answer. `document` is None where there was no JSON."""

    url: str
    status: int
    headers: Mapping[str, str] = field(repr=False)
    document: Any = field(repr=False)

    @property
    def retry_after_s(self) -> float | None:
        """How long the server asks us to wait; None without a Retry-After in seconds, which is what Slipway sends."""
        text = self.headers.get("Retry-After", "")
        return float(text) if text.isascii() and text.isdigit() else None

    def require(self) -> Reply:
        """Return the answer if it is a success or a 304. Raises ProblemError, UnreachableError."""
        if isinstance(self.document, dict) and self.status >= 400 and isinstance(self.document.get("code"), str):
            raise ProblemError(self.document, status=self.status, retry_after_s=self.retry_after_s)
        if 300 <= self.status < 400 and self.status != 304:
            where = self.headers.get("Location", "another address")
            raise UnreachableError(f"{self.url} redirects to {where}. Use that server's address.")
        if self.status >= 400 or (self.document is None and self.status not in (204, 304)):
            raise UnreachableError(f"{self.url} answered {self.status}, but not as Slipway does. Check the address.")
        return self


class Connection:
    """The connection to one server: its address, and the token once there is one. Its repr hides the token."""

    def __init__(self, url: str, token: str | None) -> None:
        self.url = address.checked(url)
        self._bearer = _Bearer()
        self._proxies = address.unproxied(self.url)
        self._session = requests.Session()
        self._session.auth = self._bearer  # without an `auth`, requests would send the password in ~/.netrc
        self._session.cookies.set_policy(DefaultCookiePolicy(allowed_domains=()))
        self.use_token(token)

    def use_token(self, token: str | None) -> None:
        """Send this token from now on, none with None. Raises ValueError, without the value, for an invalid one."""
        if token is not None and not (token.isascii() and token.isprintable() and token and " " not in token):
            raise ValueError("A token must be printable ASCII without blanks.")
        self._bearer.token = token

    @property
    def has_token(self) -> bool:
        return self._bearer.token is not None

    def exchange(self, request: Request) -> Reply:
        """Send a request and return the complete answer, whatever its status. Raises UnreachableError."""
        with self.open(request) as answer:
            return reply_of(answer)

    def close(self) -> None:
        self._session.close()

    @contextmanager
    def open(self, request: Request) -> Iterator[requests.Response]:
        """Send a request; read its answer in the block. Raises UnreachableError when the connection breaks there."""
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
        except OSError as error:  # the base class of requests' errors
            raise self._broken(error) from None  # the cause holds the request, and so the token

    def _broken(self, error: OSError) -> UnreachableError:
        if isinstance(error, requests.exceptions.SSLError):
            return UnreachableError(
                f"{self.url} has no certificate that is trusted here. Check the address, or set REQUESTS_CA_BUNDLE.",
                is_passing=False,
            )
        if isinstance(error, ValueError):  # InvalidURL and similar; requests does not decode JSON here
            return UnreachableError(f"{self.url} is not a valid address.", is_passing=False)
        if isinstance(error, requests.exceptions.ReadTimeout):
            return UnreachableError(f"{self.url} did not answer in time. Try again.")
        if isinstance(error, requests.exceptions.ProxyError):
            return UnreachableError(
                f"{self.url} cannot be reached through the proxy. Check HTTP_PROXY, HTTPS_PROXY and NO_PROXY."
            )
        if not isinstance(error, requests.RequestException):  # for example a certificate file that does not exist
            return UnreachableError(f"{self.url} cannot be called: {error}", is_passing=False)
        return UnreachableError(
            f"{self.url} cannot be reached, or closed the connection. Check that Slipway is running there."
        )


class _Bearer(AuthBase):
    token: str | None = None

    def __call__(self, prepared: requests.PreparedRequest) -> requests.PreparedRequest:
        if self.token is not None:
            prepared.headers["Authorization"] = f"Bearer {self.token}"
        return prepared


def reply_of(answer: requests.Response) -> Reply:
    """Read an answer to its end; a body that is not JSON is not Slipway's."""
    try:
        document = json.loads(answer.content) if answer.content else None
    except ValueError:
        document = None
    headers = cast("Mapping[str, str]", answer.headers)
    url = str(answer.url).partition("?")[0]
    return Reply(url=url, status=answer.status_code, headers=headers, document=document)
