"""Somebody who follows a job: what arrives on a stream, what a held poll answers, and when."""

from __future__ import annotations

import json
import time
from dataclasses import dataclass, field
from http.client import HTTPConnection, HTTPResponse
from pathlib import Path
from typing import Any

from support.api import V1

Address = tuple[str, int]
PATIENCE_S = 20


@dataclass
class Heard:
    """What a stream said until it ended or was left."""

    status: int
    headers: dict[str, str]
    numbers: list[int] = field(default_factory=list)
    events: list[dict[str, Any]] = field(default_factory=list)
    comments: list[str] = field(default_factory=list)
    end: dict[str, Any] | None = None  # what the last event says, if the job is over


class Stream:
    """One connection to a job's events; iterate over them."""

    def __init__(self, address: Address, job_id: str, *, after: int | None = None, token: str = "") -> None:
        self._connection = HTTPConnection(*address, timeout=PATIENCE_S)
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        if after is not None:
            headers["Last-Event-ID"] = str(after)
        self._connection.request("GET", f"{V1}/jobs/{job_id}/events", headers=headers)
        self._response: HTTPResponse = self._connection.getresponse()
        self.heard = Heard(self._response.status, dict(self._response.headers))

    def next_event(self) -> dict[str, Any] | None:
        """Return the next event, None when the stream has ended."""
        lines: dict[str, str] = {}
        while line := self._response.readline().decode():
            name, _, value = line.rstrip("\n").partition(": ")
            if line.startswith(":"):
                self.heard.comments.append(line)
            elif name:
                lines[name] = value
            elif lines.get("event") == "end":
                self.heard.end, lines = json.loads(lines["data"]), {}
            elif "data" in lines:
                return self._keep(lines)
        return None

    def _keep(self, lines: dict[str, str]) -> dict[str, Any]:
        event: dict[str, Any] = json.loads(lines["data"])
        assert (lines["event"], lines["id"]) == ("change", str(event["number"]))
        self.heard.numbers.append(event["number"])
        self.heard.events.append(event)
        return event

    def to_the_end(self) -> Heard:
        while self.next_event() is not None:
            pass
        self.close()
        return self.heard

    def close(self) -> None:
        self._connection.close()


def poll(
    address: Address, job_id: str, *, wait: int, etag: str = "", token: str = ""
) -> tuple[int, dict[str, str], dict[str, Any] | None, float]:
    """Ask for a job and return status, headers, document, and the seconds that it took."""
    connection = HTTPConnection(*address, timeout=PATIENCE_S)
    headers = {"If-None-Match": etag} if etag else {}
    if token:
        headers["Authorization"] = f"Bearer {token}"
    began_s = time.monotonic()
    connection.request("GET", f"{V1}/jobs/{job_id}?wait={wait}", headers=headers)
    response = connection.getresponse()
    content = response.read()
    took_s = time.monotonic() - began_s
    connection.close()
    return response.status, dict(response.headers), json.loads(content) if content else None, took_s


def threads_of(pid: int) -> int:
    """Return how many threads a process has."""
    status = Path(f"/proc/{pid}/status").read_text()
    return next(int(line.split()[1]) for line in status.splitlines() if line.startswith("Threads:"))
