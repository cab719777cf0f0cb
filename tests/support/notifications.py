"""Receivers of notifications: one that answers as it is told, and one that keeps what it accepts."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from worker.notifications.sender import Response

WELL = Response()


@dataclass
class Answers:
    """A sender whose target gives these answers, one after the other."""

    answers: list[Response]

    def post(self, _url: str, _body: bytes, _headers: dict[str, str]) -> Response:
        return self.answers.pop(0)


@dataclass
class Receiver:
    """A sender whose target says what `answer` says; it keeps the ids and bodies of all requests."""

    answer: Callable[[], Response] = lambda: WELL
    asked: list[str] = field(default_factory=list)
    accepted: list[str] = field(default_factory=list)
    bodies: dict[str, set[bytes]] = field(default_factory=dict)

    def post(self, _url: str, body: bytes, headers: dict[str, str]) -> Response:
        identity = headers["webhook-id"]
        self.asked.append(identity)
        self.bodies.setdefault(identity, set()).add(body)
        answer = self.answer()
        if not answer.problem:
            self.accepted.append(identity)
        return answer

    def said(self, ids: Sequence[str]) -> list[dict[str, Any]]:
        """Return what these notifications say."""
        return [json.loads(next(iter(self.bodies[each]))) for each in ids]
