"""A server that answers as it is told, on loopback, and remembers what it was asked.

`standing_in` serves scripts: for a call, the answers one after the other, the last one again and again. `JobScript` is
a job that goes through versions given in advance: each look that waits, and each event that is told, is the next one.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, cast
from urllib.parse import parse_qsl, urlsplit

BASE = "/api/v1"
JOB_ID = "01a20680-c483-751f-9394-c54e28bf16d9"
PROBLEM = "application/problem+json"
LOST = b"-- hang up without a word --"

Document = dict[str, Any]


@dataclass(frozen=True, kw_only=True)
class Asked:
    """One request as it came."""

    method: str
    path: str
    query: dict[str, str]
    headers: dict[str, str]
    body: Any


@dataclass(frozen=True, kw_only=True)
class Say:
    """One answer; `chunks` are a stream, held open at its end with `is_held`."""

    status: int = 200
    body: bytes = b""
    headers: dict[str, str] = field(default_factory=dict)
    chunks: tuple[bytes, ...] | None = None
    is_held: bool = False


Answer = Say | Callable[[Asked], Say]


def ok(document: object, status: int = 200, **headers: str) -> Say:
    """Say a document; underscores in the names of headers are hyphens."""
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return Say(status=status, body=json.dumps(document).encode(), headers={"Content-Type": "application/json", **named})


def problem(status: int, code: str, *, retry_after: str | None = None, **fields: Any) -> Say:
    document = {"code": code, "title": code.replace("_", " ").capitalize(), "status": status, "request_id": "0a1b2c3d"}
    headers = {"Content-Type": PROBLEM, **({"Retry-After": retry_after} if retry_after else {})}
    return Say(status=status, body=json.dumps({**document, **fields}).encode(), headers=headers)


def lost() -> Say:
    """The request arrives; its answer does not."""
    return Say(body=LOST)


def page(status: int = 200, text: str = "<h1>It works!</h1>", **headers: str) -> Say:
    """What others than Slipway say."""
    return Say(status=status, body=text.encode(), headers={"Content-Type": "text/html", **headers})


def stream(*chunks: bytes, is_held: bool = False) -> Say:
    return Say(headers={"Content-Type": "text/event-stream"}, chunks=chunks, is_held=is_held)


def event(number: int, state: str = "running", *steps: Document) -> bytes:
    told = {"number": number, "at": "2026-01-31T08:00:00Z", "state": state, "steps": list(steps)}
    return f"id: {number}\nevent: change\ndata: {json.dumps(told)}\n\n".encode()


BUILT: Document = {"number": 7, "url": "http://jenkins/7/", "commit": "c0ffee", "image": "shop:7"}


def job_of(state: str, version: int = 1, **changes: Any) -> Document:
    """Return a job's document with one lane of two steps."""
    done = {"queued": 0, "running": 1}.get(state, 2)
    steps = [
        {"name": name, "upstream": "jenkins", "state": _step_state(state, index - done), "code": None, "reason": None}
        for index, name in enumerate(("start_build", "await_result"))
    ]
    errors = [
        {"step": "await_result", "upstream": "jenkins", "code": "x", "reason": "It broke.", "remedy": ["Correct it."]}
    ]
    return {
        "job_id": JOB_ID,
        "kind": "build",
        "title": "One build",
        "state": state,
        "app_id": None,
        "user": "ada",
        "version": version,
        "created_at": "2026-01-31T08:00:00Z",
        "result": {"number": 7, "url": "http://jenkins/7/", "commit": "c0ffee", "image": "shop:7"}
        if state == "succeeded"
        else None,
        "progress": {"done": done, "total": 2, "remaining": None},
        "waiting_on": [],
        "errors": errors if state == "failed" else [],
        "lanes": [{"name": "build", "steps": steps}],
        "links": [],
        **changes,
    }


def _step_state(state: str, position: int) -> str:
    if position < 0:
        return "failed" if state == "failed" and position == -1 else "succeeded"
    return "running" if position == 0 and state == "running" else "pending"


class StandIn:
    """The server. `asked` is everything that came, in order."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.asked: list[Asked] = []
        self.is_over = threading.Event()
        self._scripts: dict[tuple[str, str], list[Answer]] = {}
        self._lock = threading.Lock()

    def on(self, method: str, path: str, *answers: Answer) -> None:
        """Answer this call with these, one after the other."""
        self._scripts[method, path] = list(answers)

    def calls(self, method: str, path: str) -> list[Asked]:
        return [asked for asked in self.asked if (asked.method, asked.path) == (method, path)]

    def answer(self, asked: Asked) -> Say:
        with self._lock:
            self.asked.append(asked)
            script = self._scripts.get((asked.method, asked.path), [problem(404, "not_found")])
            answer = script.pop(0) if len(script) > 1 else script[0]
            return answer if isinstance(answer, Say) else answer(asked)


class JobScript:
    """A job whose versions are given in advance; `told` is how many of its events one connection carries at most."""

    def __init__(self, server: StandIn, *states: str, told: int = 100) -> None:
        self._versions = [job_of(state, number) for number, state in enumerate(states, start=1)]
        self._told = told
        self.now = 1
        server.on("GET", f"/jobs/{JOB_ID}", self.look)
        server.on("GET", f"/jobs/{JOB_ID}/events", self.tell)

    def look(self, asked: Asked) -> Say:
        """Answer as it is; who would be held until it changes sees it change."""
        if asked.headers.get("If-None-Match") == self._tag and "wait" in asked.query:
            self.now = min(self.now + 1, len(self._versions))
        if asked.headers.get("If-None-Match") == self._tag:
            return Say(status=304, headers={"ETag": self._tag})
        return ok(self._versions[self.now - 1], ETag=self._tag)

    def tell(self, asked: Asked) -> Say:
        """Tell the next events, and as they are told they happen."""
        last = int(asked.headers.get("Last-Event-ID", asked.query.get("after", "0")))
        numbers = range(last + 1, len(self._versions) + 1)[: self._told]
        if not numbers:
            return Say(status=204)
        self.now = numbers[-1]
        return stream(*(event(number, self._versions[number - 1]["state"]) for number in numbers))

    @property
    def _tag(self) -> str:
        return f'W/"{JOB_ID}-{self.now}"'


@contextmanager
def standing_in() -> Iterator[StandIn]:
    """Serve until the block is left."""
    with _Server(("127.0.0.1", 0), _Handler) as server:
        server.stand_in = StandIn(f"http://127.0.0.1:{server.server_address[1]}")
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield server.stand_in
        finally:
            server.stand_in.is_over.set()
            server.shutdown()
            thread.join()


class _Server(ThreadingHTTPServer):
    daemon_threads = True  # a client that keeps its connection must not keep the test
    stand_in: StandIn

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Clients hang up on purpose."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True  # an answer is several writes: it must not wait for a late acknowledgement

    def do_GET(self) -> None:
        self._answer()

    def do_POST(self) -> None:
        self._answer()

    def do_PUT(self) -> None:
        self._answer()

    def do_DELETE(self) -> None:
        self._answer()

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the library's signature
        """Say nothing: the test knows what it asked."""

    def _answer(self) -> None:
        stand_in = cast("_Server", self.server).stand_in
        say = stand_in.answer(self._asked())
        if say.body == LOST:
            self.close_connection = True
            return
        self.send_response(say.status)
        for name, value in say.headers.items():
            self.send_header(name, value)
        if say.chunks is None:
            self.send_header("Content-Length", str(len(say.body)))
            self.end_headers()
            self.wfile.write(say.body)
            return
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        for chunk in say.chunks:
            self.wfile.write(f"{len(chunk):x}\r\n".encode() + chunk + b"\r\n")
        if say.is_held:
            stand_in.is_over.wait()
        self.wfile.write(b"0\r\n\r\n")

    def _asked(self) -> Asked:
        parts = urlsplit(self.path)
        content = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        return Asked(
            method=self.command,
            path=parts.path.removeprefix(BASE),
            query=dict(parse_qsl(parts.query)),
            headers=dict(self.headers.items()),
            body=json.loads(content) if content else None,
        )


class Clock:
    """A time that passes only when somebody sleeps; `slept` is how long each time."""

    def __init__(self) -> None:
        self.now_s = 0.0
        self.slept: list[float] = []

    def __call__(self) -> float:
        return self.now_s

    def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.now_s += seconds
