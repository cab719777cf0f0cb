"""Responses that wait without a thread: event streams and long polls.

Views return them like any other response, so that all response handlers apply to them. When the server asks for their
content, they take over the client's connection and subscribe to the hub.
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
Adapt = Callable[[JobShown], JobShown]

MAX_HELD_THREADS = 4  # for subscribers whose connection cannot be taken over; other requests need threads as well


def can_hold(hub: Hub) -> bool:
    """Return whether the current request can be held."""
    return hub.has_room and (sockets.can_take_over(request.environ) or hub.threads_held < MAX_HELD_THREADS)


class EventStreamResponse(Response):
    """The events of a job after `number`, as they happen."""

    def __init__(self, hub: Hub, job_id: str, *, number: int, token_hash: str | None) -> None:
        super().__init__((), mimetype="text/event-stream", headers={"X-Accel-Buffering": "no"})  # nginx must not buffer
        self._hub = hub
        self._job_id = job_id
        self._number = number
        self._token_hash = token_hash

    def __call__(self, environ: dict[str, Any], start_response: StartResponse) -> Iterable[bytes]:
        if environ["REQUEST_METHOD"] == "HEAD":
            return super().__call__(environ, start_response)
        if not sockets.can_take_over(environ):
            queued = QueueOutput()
            self._hub.subscribe(self._stream_subscriber(queued), queued)
            start_response(self.status, list(self.headers))
            return queued.stream()
        output = SocketOutput(sockets.take_over(environ))
        output.send_head(self)
        self._hub.subscribe(self._stream_subscriber(output), output)
        return _detached(start_response)

    def _stream_subscriber(self, output: Output) -> StreamSubscriber:
        return StreamSubscriber(
            self._job_id, output, number=self._number, now_s=self._hub.clock_s(), token_hash=self._token_hash
        )


class LongPollResponse(Response):
    """A response that is delayed until the job's version differs from `version`; after `wait_s`, it is `now`.

    `adapt` turns the job's document, which is the same for all subscribers, into what this user may see.
    """

    def __init__(
        self,
        hub: Hub,
        job_id: str,
        now: Response,
        adapt: Adapt,
        *,
        version: int,
        wait_s: float,
        token_hash: str | None,
    ) -> None:
        super().__init__(now.get_data(), now.status_code, now.headers)
        self._hub = hub
        self._job_id = job_id
        self._adapt = adapt
        self._version = version
        self._wait_s = wait_s
        self._token_hash = token_hash

    def __call__(self, environ: dict[str, Any], start_response: StartResponse) -> Iterable[bytes]:
        if environ["REQUEST_METHOD"] == "HEAD":
            return super().__call__(environ, start_response)
        if not sockets.can_take_over(environ):
            queued = QueueOutput()
            self._hub.subscribe(self._poll_subscriber(queued), queued)
            return Response.__call__(queued.wait_for_answer(), environ, start_response)
        output = SocketOutput(sockets.take_over(environ))
        self._hub.subscribe(self._poll_subscriber(output), output)
        return _detached(start_response)

    def _poll_subscriber(self, output: Output) -> PollSubscriber:
        return PollSubscriber(
            self._job_id,
            output,
            version=self._version,
            ends_at_s=self._hub.clock_s() + self._wait_s,
            changed=self._changed,
            unchanged=self,
            token_hash=self._token_hash,
        )

    def _changed(self, rendered: RenderedJob) -> Response:
        response = Response(self._adapt(rendered.body).model_dump_json(), 200, self.headers, mimetype=JSON)
        for name in ("ETag", "Retry-After"):
            response.headers.pop(name, None)
        response.headers.update(rendered.headers)
        return response


def _detached(start_response: StartResponse) -> Iterable[bytes]:
    """End the response for the server, whose socket is no longer the client's."""
    start_response("200 OK", [])
    return ()
