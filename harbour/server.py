"""HTTP server of one stand-in: call log, state file, injected faults.

Every upstream is a `Service`: a table of routes over one lock and one piece of state. Routes match the *raw*
path, segment by segment, because GitLab and Argo CD put encoded slashes inside one segment.
"""

from __future__ import annotations

import contextlib
import itertools
import json
import os
import socket
import struct
import threading
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any
from urllib.parse import unquote

from werkzeug.serving import WSGIRequestHandler, make_server
from werkzeug.wrappers import Request, Response

from harbour import front_proxy
from harbour.faults import READS, Call, Fault
from harbour.routing import Handler, collect_routes, raw_path, route
from harbour.store import StateFile

__all__ = ["READS", "Call", "Fault", "Handler", "Service", "raw_path", "route"]

POLL_S = 0.01  # how long `stop` may have to wait for the listening thread
WSGIResult = Iterable[bytes]
_ORDER = itertools.count(1)


class _QuietHandler(WSGIRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True  # head and body are two packets: Nagle's algorithm would delay the second by 40 ms

    def setup(self) -> None:
        super().setup()
        self.server.connections.add(self.connection)  # type: ignore[attr-defined] # set by Service.start

    def finish(self) -> None:
        self.server.connections.discard(self.connection)  # type: ignore[attr-defined] # as above
        super().finish()

    def log_request(self, *_args: object, **_kwargs: object) -> None:
        """Write nothing: `Service.calls` is the log."""

    def log_error(self, *_args: object) -> None:
        """Write nothing: dropped connections are intended here."""

    def log(self, *_args: object, **_kwargs: object) -> None:
        """Write nothing, as above."""


class Service:
    """One stand-in: subclass it, decorate methods with `route`, keep state under `self.lock`.

    State survives a restart: `dump` returns all of it as JSON values, `load` takes what `dump` once returned.
    After `keep(file)`, `start` loads that file when it exists, every call that is not a read schedules a write of it,
    and `stop` always writes it; code that changes state elsewhere (a timer, a lazy read) calls `save` itself.
    Tests compare `snapshot`: equal when nothing changed, also over a restart.
    """

    name = "service"
    front_proxy = front_proxy.OFF
    """What a proxy in front answers in place of this service: one of `front_proxy.MODES`."""

    def __init__(self) -> None:
        self.lock = threading.RLock()
        self.calls: list[Call] = []
        self.faults: list[Fault] = []
        self._routes = collect_routes(self)
        self._server: Any = None
        self._thread: threading.Thread | None = None
        self._store: StateFile | None = None
        self.url = ""

    # -- state -----------------------------------------------------------------------------------------------

    def dump(self) -> dict[str, Any]:
        """Return the whole state as JSON values with texts as keys; called under `self.lock`."""
        return {}

    def load(self, state: dict[str, Any]) -> None:
        """Restore a state that `dump` returned; called once, before `prepare`."""

    def prepare(self) -> None:
        """Prepare for the first request: add the initial objects, continue what a restart interrupted."""

    def snapshot(self) -> dict[str, Any]:
        """Return the part of the state that tests compare."""
        state: dict[str, Any] = json.loads(self._dumped())
        return state

    def keep(self, state_file: Path) -> None:
        """Save state to and load it from this file; call it before `start`."""
        self._store = StateFile(state_file, self._dumped)

    def save(self) -> None:
        """Schedule a write of the state file, if there is one; never waits."""
        if self._store is not None:
            self._store.save()

    def _dumped(self) -> str:
        with self.lock:
            return json.dumps(self.dump())

    # -- start and stop --------------------------------------------------------------------------------------

    def start(self, host: str = "127.0.0.1", port: int = 0) -> str:
        """Load the saved state, listen in a thread of its own and return the base URL."""
        saved = self._store.open() if self._store else None
        if saved is not None:
            self.load(saved)
        self.prepare()
        self._server = make_server(host, port, self, threaded=True, request_handler=_QuietHandler)
        self._server.daemon_threads = True
        self._server.connections = set()
        self._server.handle_error = lambda *_args: None  # dropped connections are intended here
        shown = "127.0.0.1" if host == "0.0.0.0" else host  # noqa: S104 - compared, not bound
        self.url = f"http://{shown}:{self._server.server_port}"
        self._thread = threading.Thread(target=self._server.serve_forever, args=(POLL_S,), daemon=True)
        self._thread.start()
        return self.url

    def stop(self) -> None:
        """Stop listening and close all connections: a kept-alive one must not outlive its server."""
        if self._server is None or self._thread is None:
            return
        self.clear_faults(is_dropped=True)  # what is held would outlive the server
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()
        for connection in list(self._server.connections):
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)
        if self._store is not None:
            self._store.close()

    # -- faults and the log ----------------------------------------------------------------------------------

    def inject(self, fault: Fault) -> Fault:
        with self.lock:
            self.faults.append(fault)
        return fault

    def clear_faults(self, *, is_dropped: bool = False) -> None:
        """Remove every fault; calls that are held go on, or are reset without being handled."""
        with self.lock:
            for fault in self.faults:
                fault.release(is_dropped=is_dropped)
            self.faults.clear()

    def writes(self) -> list[Call]:
        with self.lock:
            return [call for call in self.calls if call.is_write]

    # -- one request -----------------------------------------------------------------------------------------

    def __call__(self, environ: dict[str, Any], start_response: Any) -> WSGIResult:
        began_at = time.time()
        request = Request(environ)
        path = raw_path(environ)
        faults = self._faults_for(request.method, path, request.headers.get("User-Agent", ""))
        body = request.get_data()
        response, fault = self._answer(request, path, faults)
        self._log(began_at, request, path, response, fault, body)
        self._drop_connection(environ, fault)
        if fault and fault.kind == "drip":
            response = _drip(response, fault.delay_s)
        if fault and fault.kind == "truncate":
            return _truncate(response, start_response)
        assert response is not None  # noqa: S101 - only `reset` has none, and it ends in `_drop_connection`
        return response(environ, start_response)

    def _faults_for(self, method: str, path: str, user_agent: str) -> list[Fault]:
        with self.lock:
            return [fault for fault in self.faults if fault.matches(method, path, user_agent)]

    def _answer(self, request: Request, path: str, faults: list[Fault]) -> tuple[Response | None, Fault | None]:
        time.sleep(sum(each.delay_s for each in faults if each.kind == "delay"))
        fault = next((f for f in faults if f.kind != "delay"), None)
        if fault and fault.kind == "hold":
            self._hold(fault)
        if fault and (fault.kind == "reset" or fault.is_dropped):
            return None, fault
        if fault and fault.kind == "status":
            return Response(fault.body, fault.status, fault.headers), fault
        turned_away = front_proxy.answer(self.front_proxy, request) if self.kind_of(path) != "git" else None
        if turned_away is not None:
            return turned_away, Fault(kind="front_proxy")  # so that the log shows who answered
        response = self.dispatch(request, path)
        if request.method not in READS:
            self.save()
        if fault and fault.kind == "status_after":
            response = Response(fault.body, fault.status, fault.headers)
        if fault and fault.kind == "hold_reply":
            self._hold(fault)
        return response, fault

    def _hold(self, fault: Fault) -> None:
        with self.lock:
            fault.held += 1
        fault.hold()
        with self.lock:
            fault.held -= 1

    def dispatch(self, request: Request, path: str) -> Response:
        methods: set[str] = set()
        wanted = "GET" if request.method == "HEAD" else request.method
        for method, pattern, handler in self._routes:
            match = pattern.fullmatch(path)
            if not match:
                continue
            if method == wanted:
                params = {key: unquote(value) for key, value in match.groupdict().items()}
                return self.invoke(handler, request, params)
            methods.add(method)
        return self.no_route(request, methods)

    def invoke(self, handler: Handler, request: Request, params: dict[str, str]) -> Response:
        """Run a handler; override it for what all handlers of a service share (credentials, lock, error bodies)."""
        return handler(request, **params)

    def no_route(self, request: Request, methods: set[str]) -> Response:  # noqa: ARG002 - a hook: overrides use it
        """Answer an unknown path (no methods) or a known one with the wrong method."""
        status = 405 if methods else 404
        return Response("", status, {"Allow": ", ".join(sorted(methods))} if methods else {})

    def kind_of(self, path: str) -> str:  # noqa: ARG002 - a hook: services with more than an API use the path
        """Return the kind of traffic under this raw path; only `api` calls can be writes and have their body logged."""
        return "api"

    def _log(
        self,
        began_at: float,
        request: Request,
        path: str,
        response: Response | None,
        fault: Fault | None,
        body: bytes,
    ) -> None:
        query = request.query_string.decode("ascii", "replace")
        kind = self.kind_of(path)
        with self.lock:
            self.calls.append(
                Call(
                    number=len(self.calls) + 1,
                    order=next(_ORDER),
                    began_at=began_at,
                    at=time.time(),
                    upstream=self.name,
                    kind=kind,
                    method=request.method,
                    path=f"{path}?{query}" if query else path,
                    status=response.status_code if response else None,
                    fault=fault.kind if fault else None,
                    body=body.decode("utf-8", "replace") if kind == "api" else "",
                    user_agent=request.headers.get("User-Agent", ""),
                )
            )

    @staticmethod
    def _drop_connection(environ: dict[str, Any], fault: Fault | None) -> None:
        if fault and (fault.kind in ("reset", "lost") or fault.is_dropped):
            connection: socket.socket = environ["werkzeug.socket"]
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            os.close(connection.detach())  # close() would wait for the handler's file objects and send a FIN
            raise ConnectionResetError(
                "dropped on request"
            )  # the exception that werkzeug ignores as a client's disconnect


def _drip(response: Response | None, delay_s: float) -> Response:
    assert response is not None  # noqa: S101 - a dripping reply was answered

    def one_byte_at_a_time() -> Iterable[bytes]:
        for byte in response.get_data():
            time.sleep(delay_s)
            yield bytes([byte])

    return Response(one_byte_at_a_time(), response.status_code, response.headers)


def _truncate(response: Response | None, start_response: Any) -> WSGIResult:
    assert response is not None  # noqa: S101 - a truncated reply was answered
    body = response.get_data()
    response.headers["Content-Length"] = str(len(body) + 1)
    response.headers["Connection"] = "close"
    start_response(response.status, response.headers.to_wsgi_list())
    return [body[: len(body) // 2]]
