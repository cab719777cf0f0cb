"""The API of one upstream, as the parts of its client call it: transport, base path, and what its failures mean."""

from __future__ import annotations

from typing import Protocol, Unpack
from urllib.parse import urlsplit

from common.errors import ActionBy, Conflict, NotYet, Permanent, StepError, Transient
from common.workflows import Upstream
from worker.upstreams.error_text import cleaned
from worker.upstreams.http import Http, SendOptions, build_url, unexpected
from worker.upstreams.replies import Reply, is_login_redirect, refused


def origin_of(url: str) -> str:
    """Return scheme, host and port of an address, as a sentence can name it: somebody else wrote it."""
    try:
        parts = urlsplit(url)
        port = f":{parts.port}" if parts.port else ""
    except ValueError:
        return "no address"
    return cleaned(f"{parts.scheme}://{parts.hostname}{port}") if parts.hostname else "no address"


class Translate(Protocol):
    """Turns a reply that the caller did not expect into one of the four outcomes; `doing` completes "while …"."""

    def __call__(self, http: Http, reply: Reply, doing: str, *, secrets: tuple[str, ...] = ()) -> StepError: ...


class Api:
    """One upstream, shared by the parts of its client. `root` is the path that every call begins with."""

    def __init__(self, http: Http, *, translate: Translate = unexpected, root: tuple[str, ...] = ()) -> None:
        self.name = http.name
        self._http = http
        self._translate = translate
        self._root = root

    def send(self, method: str, *segments: str, **options: Unpack[SendOptions]) -> Reply:
        """Send one request below `root`. Returns and raises as `Http.send` does; Refused for a log-in page.

        Some upstreams answer a write that they accepted with a redirect: a client must not take a log-in page for one.
        """
        reply = self._http.send(method, *self._root, *segments, **options)
        if is_login_redirect(reply):
            raise refused(reply, f"A log-in page is in front of {self.name}")
        return reply

    def link(self, url: str, *segments: str) -> str:
        """Return an address of an answer when it is on a host of our settings, else where we would look for it."""
        return url if self._http.is_own(url) else build_url(self._http.base_url, *segments) + "/"

    def require_own(self, url: str, what: str) -> str:
        """Return an address of an answer that others will send secrets to. Raises Permanent: it is elsewhere."""
        if self._http.is_own(url):
            return url
        upstream = Upstream.labelled(self.name)
        prefix = upstream.prefix if upstream else ""
        raise self.permanent(
            f"{self.name} names {origin_of(url)} for {what}. Neither {prefix}_URL nor {prefix}_EXT_URL has this "
            f"address, with its scheme and port: set {prefix}_EXT_URL to the one that {self.name} gives to people"
        )

    def expect(self, reply: Reply, doing: str) -> Reply:
        """Return a 200. Raises for any other status what `failed` returns."""
        if reply.status != 200:
            raise self.failed(reply, doing)
        return reply

    def failed(self, reply: Reply, doing: str, *, secrets: tuple[str, ...] = ()) -> StepError:
        """Return the error for a reply that was not expected. `secrets` were sent and must not be shown."""
        return self._translate(self._http, reply, doing, secrets=secrets)

    # -- what a part has found out itself -------------------------------------------------------------------

    def transient(self, reason: str) -> Transient:
        return Transient(reason, upstream=self.name)

    def not_yet(self, reason: str, *, retry_after_s: float) -> NotYet:
        return NotYet(reason, retry_after_s=retry_after_s, upstream=self.name)

    def permanent(self, reason: str, action_by: ActionBy = ActionBy.OPERATOR) -> Permanent:
        return Permanent(reason, action_by=action_by, upstream=self.name)

    def conflict(self, reason: str, *choices: str) -> Conflict:
        return Conflict(reason, choices=choices, upstream=self.name)
