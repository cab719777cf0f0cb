"""Short reads of an upstream for the doctor's checks, with an explanation when one fails."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

from common.config.urls import is_loopback
from common.errors import StepError, Transient
from worker.upstreams.check import CheckFailedError
from worker.upstreams.error_text import reason_in
from worker.upstreams.http import Http
from worker.upstreams.replies import Reply, is_login_redirect, retry_after_s
from worker.upstreams.unreachable import remedy_for

CALL_S = 4.0  # two calls that time out still end before the doctor's own time is up
_REDIRECTS = frozenset({301, 302, 303, 307, 308})


class Probe:
    """A connection to one upstream that cannot write. `setting` is the name of the setting with its address."""

    def __init__(self, http: Http, *, setting: str, url: str) -> None:
        self._http = http.reading()
        self.name = http.name
        self.setting = setting
        self.url = url

    def get(
        self, *segments: str, params: Mapping[str, str | int] | None = None, json: Any = None, is_page: bool = False
    ) -> Reply:
        """Return the reply, whatever its status. `is_page`: the path ends in a slash. Raises CheckFailedError."""
        try:
            return self._http.send("GET", *segments, params=params, json=json, total_s=CALL_S, ends_in_slash=is_page)
        except StepError as error:
            reason, is_unavailable = _short(error.reason), isinstance(error, Transient) and error.is_unavailable
            transient = Transient(reason, upstream=error.upstream, is_unavailable=is_unavailable)
            raise CheckFailedError(reason, self._how_to_reach(error.reason), transient=transient) from None

    def is_own(self, url: str) -> bool:
        """Say whether an address out of an answer is on a host that our settings name for this upstream."""
        return self._http.is_own(url)

    def expect(self, reply: Reply, doing: str) -> Reply:
        """Return a 200. Raises CheckFailedError for any other status; `doing` completes "while …"."""
        if reply.status != 200:
            raise self.unexpected(reply, doing)
        return reply

    def unexpected(self, reply: Reply, doing: str) -> CheckFailedError:
        """Return the error for a status that the check has no rule for."""
        why = reason_in(reply.body)
        tail = f": {why}" if why and not is_html(reply) else ""
        remedy = f"read {self.name}'s own log for the cause, correct it, and run this again"
        problem = f"{self.name} answered {reply.status} while {doing}{tail}"
        return CheckFailedError(problem, remedy, transient=self.transient(reply, problem))

    def transient(self, reply: Reply, problem: str) -> Transient | None:
        """Return what a step would raise for a status that says that nothing can be answered now, None for others."""
        is_unavailable = reply.status >= 500
        if not is_unavailable and reply.status != 429:
            return None
        hint_s = retry_after_s(reply)
        return Transient(problem, upstream=self.name, retry_after_s=hint_s, is_unavailable=is_unavailable)

    def not_this_upstream(self, reply: Reply) -> CheckFailedError:
        """Return the error for a reply that does not come from the upstream itself."""
        if is_login_redirect(reply) or (reply.status in (401, 403) and is_html(reply)):
            return self._proxy_refuses(reply)
        if reply.status in _REDIRECTS:
            return CheckFailedError(
                f"{self.url} only redirects, to {_origin_of(reply)}",
                f"set {self.setting} to the address that it redirects to",
            )
        if reply.status in (502, 503, 504):
            problem = f"{self.name} is down behind its proxy ({reply.status})"
            remedy = f"start {self.name}, or wait until it is up"
            return CheckFailedError(problem, remedy, transient=self.transient(reply, problem))
        what = "an HTML page" if is_html(reply) else f"status {reply.status}"
        return CheckFailedError(
            f"something other than {self.name} answers at {self.url}: {what}",
            f"set {self.setting} to the address of {self.name} itself, with its path if it has one; "
            "a proxy's log-in page must not be in front of it",
        )

    def _proxy_refuses(self, reply: Reply) -> CheckFailedError:
        """Return the error for a log-in page, or a refusal in HTML: an upstream's API has none before its check."""
        is_redirect = reply.status in _REDIRECTS
        moved = (
            f"; if {self.name} has moved, set {self.setting} to the address that it redirects to"
            if is_redirect
            else f"; if {self.name} is at another address, correct {self.setting}"
        )
        shown = (
            f"redirects to a log-in page at {_origin_of(reply)}" if is_redirect else f"answers {reply.status}, a page"
        )
        return CheckFailedError(
            f"something in front of {self.name} lets no call of Slipway's through: it {shown}",
            f"wait until the proxy or single sign-on in front of {self.name} is up again; if it stays so, let "
            f"Slipway's calls pass it without a log-in{moved}",
        )

    def _how_to_reach(self, reason: str) -> str:
        prefix, parts = self.setting.removesuffix("_URL"), urlsplit(self.url)
        if remedy := remedy_for(reason, name=self.name, prefix=prefix):
            return remedy
        hint = "; for the stand-ins of this machine: make up" if is_loopback(parts.hostname or "") else ""
        return f"start {self.name}, let this host connect to {parts.netloc}, or correct {self.setting}{hint}"


def _origin_of(redirect: Reply) -> str:
    """Return where a redirect leads, without what it passes on there."""
    to = redirect.location
    return f"{to.scheme}://{to.netloc}" if to.netloc else to.path


def is_html(reply: Reply) -> bool:
    return "html" in reply.headers.get("Content-Type", "")


def json_object(reply: Reply) -> dict[str, Any]:
    """Return the body when it is a JSON object, else {}: the check then fails for what it lacks."""
    try:
        body = reply.json()
    except StepError:
        return {}
    return body if isinstance(body, dict) else {}


def number_of(version: str) -> tuple[int, ...]:
    """Return the leading numbers of a version: `v3.5.1+109ca7c` is (3, 5, 1)."""
    numbers = []
    for part in version.lstrip("v").split("."):
        digits = part[: len(part) - len(part.lstrip("0123456789"))]
        if not digits:
            break
        numbers.append(int(digits))
        if digits != part:
            break
    return tuple(numbers)


def at_least(name: str, version: str, oldest: tuple[int, ...]) -> str:
    """Return the version. Raises CheckFailedError when it is older than `oldest`."""
    if number_of(version) < oldest:
        wanted = ".".join(map(str, oldest))
        raise CheckFailedError(f"{name} is {version}, older than {wanted}", f"upgrade {name} to {wanted} or newer")
    return version


def _short(reason: str) -> str:
    return reason.removesuffix(": the outcome is unknown")  # a read changes nothing
