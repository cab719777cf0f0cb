"""A worker's connections on which a test puts another answer in the place of one of the answers."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import requests

from support.world import World
from worker import upstreams
from worker.runner import Runner
from worker.upstreams.http import Http
from worker.upstreams.replies import Reply

Change = Callable[[Any, Reply], Reply]  # of the prepared request and the true answer


class Intercepted:
    """A runner whose calls are counted; the answer to call `place` of an attempt is changed by `change`.

    The call itself reaches the stand-in: what it asks for is done, whatever the answer says.
    """

    def __init__(self, world: World) -> None:
        connections = upstreams.open_connections(world.settings)
        for http in connections.values():
            http._exchange = functools.partial(self._exchange, http, http._exchange)  # type: ignore[method-assign] # noqa: SLF001 - below every client
        self.runner: Runner = world.runner_named("intercepted", upstreams.clients(connections))
        self._place: int | None = None
        self._change: Change | None = None
        self.count = 0

    def expect(self, place: int | None, change: Change | None = None) -> None:
        """Begin to count anew; None: every answer is changed."""
        self.count, self._place, self._change = 0, place, change

    def _exchange(self, http: Http, exchange: Callable[..., Reply], request: requests.Request, watch: object) -> Reply:
        reply = exchange(request, watch)
        here = self._place is None or self.count == self._place
        self.count += 1
        if self._change is None or not here:
            return reply
        prepared = http._session.prepare_request(request)  # noqa: SLF001 - as it was sent
        return self._change(prepared, reply)
