"""The network of a simulation: calls reach the stand-ins without sockets, through the real HTTP client.

A call is one point before its request is sent and one after its reply came. Between them: what a network and a server
can do to it.
"""

from __future__ import annotations

import contextlib
import io
from collections.abc import Callable, Iterator
from functools import partial
from http.client import responses
from typing import Any
from urllib.parse import unquote, urlsplit

import requests
from requests.adapters import HTTPAdapter
from urllib3 import HTTPResponse
from werkzeug.wrappers import Request

from harbour import front_proxy
from harbour.server import READS, Service
from harbour.world import Harbour
from simulation.faults import Crash, FaultKind, PointKind
from simulation.scheduler import Simulation
from worker.upstreams import transport

SLOW_S = 25.0
LATE_AFTER_S = 0.9  # what a dead process had sent is on its way for so long at most
NOT_DONE = {FaultKind.ERROR_500: 500, FaultKind.ERROR_503: 503}
DONE = {FaultKind.ERROR_AFTER: 502}
PAGE = b"<html><body><h1>Bad Gateway</h1></body></html>"
PROXIES = (front_proxy.LOG_IN, front_proxy.UNAUTHORIZED, front_proxy.FORBIDDEN)
HELD_S = 120.0  # how long an upstream may stay closed after an outage: probes come ever more rarely, trials take time
Answer = tuple[int, list[tuple[str, str]], bytes]


class Network:
    """Connects every HTTP client of this Python process to the stand-ins of one harbour."""

    def __init__(self, simulation: Simulation, harbour: Harbour) -> None:
        self._simulation = simulation
        self._away: dict[str, float] = {}
        self._services = {f"{service.name}.example": service for service in harbour.services}
        for host, service in zip(self._services, harbour.services, strict=True):
            service.url = f"http://{host}"

    @contextlib.contextmanager
    def connected(self) -> Iterator[None]:
        real = HTTPAdapter.send
        network = self

        def send(adapter: HTTPAdapter, request: requests.PreparedRequest, **options: Any) -> requests.Response:
            return network.exchange(adapter, request, options.get("timeout"))

        HTTPAdapter.send = send  # type: ignore[method-assign,assignment] # the one door of every client
        try:
            yield
        finally:
            HTTPAdapter.send = real  # type: ignore[method-assign]

    def exchange(self, adapter: HTTPAdapter, request: requests.PreparedRequest, timeout: Any) -> requests.Response:
        """Exchange a request for a reply, or for an error of the network."""
        simulation = self._simulation
        ask = self._asking(request)
        if not simulation.is_running:
            return _reply(adapter, request, ask())
        watch = transport._watching.get()  # noqa: SLF001 - what the real connection tells
        total_s = watch.total_s if watch else 30.0
        wait_s = timeout[1] if isinstance(timeout, tuple) else total_s
        kind = PointKind.READ if request.method in READS else PointKind.WRITE
        named = f"{request.method} {urlsplit(str(request.url)).hostname} {urlsplit(str(request.url)).path}"
        fault = simulation.point(kind, named)
        service = self._service(request)
        if fault in (FaultKind.OUTAGE, FaultKind.PROXY):
            self._begin_outage(service, fault)
        if fault is FaultKind.UNREACHABLE or self._away.get(service.name, 0.0) > simulation.time.seconds:
            raise requests.ConnectionError("connection refused")
        if watch:
            watch.sent = True
        answer = self._befall(fault, ask, wait_s=wait_s, total_s=total_s)
        simulation.point(PointKind.ANSWERED, named)
        return _reply(adapter, request, answer)

    def _begin_outage(self, service: Service, fault: FaultKind) -> None:
        """Let nobody reach an upstream for a while, or only the proxy in front of it, which knows nobody."""
        simulation = self._simulation
        assert simulation.plan is not None
        length_s = simulation.plan.length_s(fault)
        simulation.lengths_s.append(length_s + HELD_S)
        if fault is FaultKind.OUTAGE:
            self._away[service.name] = simulation.time.seconds + length_s
            return
        service.front_proxy = PROXIES[simulation.plan.choose(len(PROXIES))]
        simulation.time.at(
            simulation.time.seconds + length_s, partial(setattr, service, "front_proxy", front_proxy.OFF)
        )

    def forget(self) -> None:
        """Forget what happens to whom: another run begins."""
        self._away.clear()

    def _befall(self, fault: FaultKind | None, ask: Callable[[], Answer], *, wait_s: float, total_s: float) -> Answer:
        simulation = self._simulation
        match fault:
            case FaultKind.RESET:
                raise requests.ConnectionError("connection reset by peer")
            case FaultKind.NO_ANSWER:
                ask()
                raise requests.ConnectionError("connection reset by peer")
            case FaultKind.ERROR_500 | FaultKind.ERROR_503:
                return NOT_DONE[fault], [("Content-Type", "text/html")], PAGE
            case FaultKind.ERROR_AFTER:
                ask()
                return DONE[fault], [("Content-Type", "text/html")], PAGE
            case FaultKind.TRUNCATED:
                ask()
                raise requests.exceptions.ChunkedEncodingError("connection broken: IncompleteRead")
            case FaultKind.SLOW:
                answer = ask()
                simulation.sleep(min(SLOW_S, wait_s, total_s) * 0.95)
                return answer
            case FaultKind.LATE:
                assert simulation.plan is not None
                simulation.time.at(simulation.time.seconds + simulation.plan.length_s(fault), ask)
                simulation.sleep(min(wait_s, total_s))
                raise requests.ReadTimeout("read timed out")
            case FaultKind.CRASH_LATE:
                simulation.time.at(simulation.time.seconds + LATE_AFTER_S, ask)
                simulation.kill(simulation.process(), is_seen=True)
                raise Crash
        return ask()

    def _service(self, request: requests.PreparedRequest) -> Service:
        return self._services[urlsplit(str(request.url)).hostname or ""]

    def _asking(self, request: requests.PreparedRequest) -> Callable[[], Answer]:
        service = self._service(request)
        environ = _environ(request)
        return lambda: _ask(service, environ)


def _ask(service: Service, environ: dict[str, Any]) -> Answer:
    request = Request(environ)
    turned_away = front_proxy.answer(service.front_proxy, request)
    response = turned_away or service.dispatch(request, environ["RAW_URI"].partition("?")[0])
    return response.status_code, list(response.headers.items()), response.get_data()


def _environ(request: requests.PreparedRequest) -> dict[str, Any]:
    parts = urlsplit(str(request.url))
    body = request.body or b""
    raw = body.encode() if isinstance(body, str) else bytes(body)  # type: ignore[arg-type] # never a file here
    path = parts.path or "/"
    environ: dict[str, Any] = {
        "REQUEST_METHOD": request.method,
        "SCRIPT_NAME": "",
        "PATH_INFO": unquote(path, "latin-1"),
        "QUERY_STRING": parts.query,
        "RAW_URI": f"{path}?{parts.query}" if parts.query else path,
        "SERVER_NAME": parts.hostname,
        "SERVER_PORT": "80",
        "SERVER_PROTOCOL": "HTTP/1.1",
        "HTTP_HOST": parts.hostname,
        "wsgi.version": (1, 0),
        "wsgi.url_scheme": "http",
        "wsgi.input": io.BytesIO(raw),
        "wsgi.errors": io.StringIO(),
        "wsgi.multithread": True,
        "wsgi.multiprocess": False,
        "wsgi.run_once": False,
        "CONTENT_LENGTH": str(len(raw)),
    }
    for name, value in request.headers.items():
        key = name.upper().replace("-", "_")
        text = value.decode("latin-1") if isinstance(value, bytes) else value
        environ[key if key in ("CONTENT_TYPE", "CONTENT_LENGTH") else f"HTTP_{key}"] = text
    return environ


def _reply(adapter: HTTPAdapter, request: requests.PreparedRequest, answer: Answer) -> requests.Response:
    status, headers, body = answer
    raw = HTTPResponse(
        body=io.BytesIO(b"" if request.method == "HEAD" else body),
        headers=headers,
        status=status,
        reason=responses.get(status, ""),
        preload_content=False,
        request_method=request.method,
    )
    return adapter.build_response(request, raw)
