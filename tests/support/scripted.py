"""A connection to an upstream that answers from a script: for answers that no stand-in gives."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from worker.upstreams.http import Http, WouldWrite
from worker.upstreams.replies import Reply


@dataclass(frozen=True)
class Answer:
    """A status and a body: JSON values, or a text as it is."""

    status: int = 200
    body: Any = field(default_factory=dict)

    @property
    def content(self) -> bytes:
        return (self.body if isinstance(self.body, str) else json.dumps(self.body)).encode()


@dataclass(frozen=True)
class Request:
    """A request as the client made it; `path` is below the root, its segments not quoted."""

    method: str
    path: str
    options: dict[str, Any]

    @property
    def params(self) -> dict[str, Any]:
        return self.options.get("params") or {}


Script = Callable[[Request], Answer]


class Scripted(Http):
    """Asks the script for each answer, and keeps the requests."""

    def __init__(self, upstream: str, script: Script) -> None:
        super().__init__(upstream, "http://scripted.invalid")
        self._script = script
        self.requests: list[Request] = []

    def send(self, method: str, *segments: str, **options: Any) -> Reply:
        if self._only_reads and method != "GET":
            raise WouldWrite(method, "/".join(segments))
        request = Request(method, "/".join(segments), options)
        self.requests.append(request)
        answer = self._script(request)
        return Reply(
            upstream=self.name,
            method=method,
            path=request.path,
            status=answer.status,
            headers={},
            body=answer.content,
        )

    def sent(self) -> list[str]:
        return [f"{each.method} {each.path}" for each in self.requests]
