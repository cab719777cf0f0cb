"""What can happen to a worker between two calls: it dies, it sleeps through its lease, somebody else acts."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import requests

from common.config.settings import WorkerSettings
from common.workflows import Upstream
from worker import upstreams
from worker.upstreams import Upstreams
from worker.upstreams.http import Http
from worker.upstreams.replies import Reply
from worker.upstreams.transport import Watch


class Killed(BaseException):
    """The process ends here: nothing catches it, nothing is recorded."""


def die() -> None:
    raise Killed


class Mishap:
    """Something that happens once: before the call with the number `at`, counted from 0, or right after its answer.

    Before a call means past every check: the request is on its way.
    """

    def __init__(self, at: int, happen: Callable[[], object], *, is_after: bool = False) -> None:
        self._at = at
        self._happen = happen
        self._is_after = is_after
        self.calls = 0

    def before_call(self) -> None:
        self.calls += 1
        if self.calls - 1 == self._at and not self._is_after:
            self._happen()

    def after_call(self) -> None:
        if self.calls - 1 == self._at and self._is_after:
            self._happen()


class _Connection(Http):
    """The connection to Jenkins, and its copies, with one mishap on it."""

    def __init__(self, settings: WorkerSettings, mishap: Mishap) -> None:
        account = (settings.jenkins_auth_id, settings.jenkins_auth_token.get_secret_value())
        super().__init__("Jenkins", settings.jenkins_url, auth=account)
        self._mishap = mishap

    def send(self, method: str, *segments: str, **options: Any) -> Reply:
        reply = super().send(method, *segments, **options)
        self._mishap.after_call()
        return reply

    def _exchange(self, request: requests.Request, watch: Watch) -> Reply:
        self._mishap.before_call()
        return super()._exchange(request, watch)


def clients_with(clients: Upstreams, settings: WorkerSettings, mishap: Mishap) -> Upstreams:
    """Return the clients with a mishap on the connection to Jenkins."""
    return upstreams.clients({**clients.connections, Upstream.JENKINS: _Connection(settings, mishap)})
