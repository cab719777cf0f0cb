"""How does a request wait without a thread?  Its response is made now, with all its headers, and given away later.

Views return these like any other response, so that everything that is done to responses is done to them. Only when the
server asks for their content do they take the client's connection and join the feed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from flask import Response, request

from api.contract.endpoint import JSON
from api.follow import sockets
from api.follow.hub import Hub
from api.follow.outputs import QueueOutput, SocketOutput
from api.follow.subscribers import Output, PollSubscriber, StreamSubscriber
from api.presentation.job_schemas import JobShown
from api.presentation.job_view import RenderedJob

StartResponse = Callable[..., Any]
Seen = Callable[[JobShown], JobShown]

MOST_THREADS = 4  # held for followers whose connection the server does not show: the others must be served, too


def is_possible(feed: Hub) -> bool:
    """Say whether the present request can be made to wait."""
    return feed.has_room and (sockets.can_be_taken(request.environ) or feed.threads_held < MOST_THREADS)


class HeldStream(Response):
    """The events of a job above `number`, as they come."""

    def __init__(self, feed: Hub, job_id: str, *, number: int) -> None:
        super().__init__(
            (), mimetype="text/event-stream", headers={"X-Accel-Buffering": "no"}
        )  # nginx must not collect
        self._feed = feed
        self._job_id = job_id
        self._number = number

    def __call__(self, environ: dict[str, Any], start_response: StartResponse) -> Iterable[bytes]:
        if environ["REQUEST_METHOD"] == "HEAD":
            return super().__call__(environ, start_response)
        if not sockets.can_be_taken(environ):
            queued = QueueOutput()
            self._feed.join(self._watcher(queued), queued)
            start_response(self.status, list(self.headers))
            return queued.stream()
        line = SocketOutput(sockets.take_over(environ))
        line.begin(self)
        self._feed.join(self._watcher(line), line)
        return _to_nobody(start_response)

    def _watcher(self, line: Output) -> StreamSubscriber:
        return StreamSubscriber(self._job_id, line, number=self._number, now_s=self._feed.clock_s())


class HeldAnswer(Response):
    """An answer that is held back until the job has changed since `version`, or `wait_s` are over: then it is `now`.

    `seen` makes of the document, which is the same for all, what this follower may see.
    """

    def __init__(self, feed: Hub, job_id: str, now: Response, seen: Seen, *, version: int, wait_s: float) -> None:
        super().__init__(now.get_data(), now.status_code, now.headers)
        self._feed = feed
        self._job_id = job_id
        self._seen = seen
        self._version = version
        self._wait_s = wait_s

    def __call__(self, environ: dict[str, Any], start_response: StartResponse) -> Iterable[bytes]:
        if environ["REQUEST_METHOD"] == "HEAD":
            return super().__call__(environ, start_response)
        if not sockets.can_be_taken(environ):
            queued = QueueOutput()
            self._feed.join(self._waiter(queued), queued)
            return Response.__call__(queued.wait_for_answer(), environ, start_response)
        line = SocketOutput(sockets.take_over(environ))
        self._feed.join(self._waiter(line), line)
        return _to_nobody(start_response)

    def _waiter(self, line: Output) -> PollSubscriber:
        return PollSubscriber(
            self._job_id,
            line,
            version=self._version,
            ends_at_s=self._feed.clock_s() + self._wait_s,
            changed=self._changed,
            unchanged=self,
        )

    def _changed(self, shown: RenderedJob) -> Response:
        response = Response(self._seen(shown.body).model_dump_json(), 200, self.headers, mimetype=JSON)
        for name in ("ETag", "Retry-After"):
            response.headers.pop(name, None)
        response.headers.update(shown.headers)
        return response


def _to_nobody(start_response: StartResponse) -> Iterable[bytes]:
    """End the server's part: the connection that it still has leads nowhere."""
    start_response("200 OK", [])
    return ()
