"""Flower as an operator's browser and scripts see it: every page and every answer that it has."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any
from urllib.parse import parse_qs, urlsplit

import requests
from flower.urls import handlers
from tornado.web import RequestHandler, URLSpec

from support.stack import Stack

ANSWERS = {"/api/task/result/(.+)": 503}  # there is no result backend
ELSEWHERE = {".*", "/static/(.*)", "/login/?"}  # what is not found, files that come with Flower, OAuth
TABLE = {"draw": 1, "start": 0, "length": 1000, "order[0][column]": 0, "columns[0][data]": "name"}


class Flower:
    """Somebody who has the password."""

    def __init__(self, stack: Stack) -> None:
        self.url = stack.embedded.flower_url
        self.login = stack.flower_login

    def get(self, path: str, **query: Any) -> requests.Response:
        return requests.get(f"{self.url}{path}", params=query, auth=self.login, timeout=10)

    def post(self, path: str) -> requests.Response:
        return requests.post(f"{self.url}{path}", json={}, auth=self.login, timeout=10)

    def tasks(self, job_id: str, state: str | None = None) -> dict[str, Any]:
        """Return the tasks of a job, or those in a state, by name."""
        return {
            task["name"]: task
            for task in self.get("/api/tasks").json().values()
            if job_id in (task["args"] or "") and state in (None, task["state"])
        }

    def found_at(self, link: str) -> list[dict[str, Any]]:
        """Return the tasks that are listed when somebody opens this address of the list.

        Flower's page searches for what the address says, as `KEY:VALUE`. Source: flower/static/js/flower.js.
        """
        asked = parse_qs(urlsplit(link).query)
        search = " ".join(f"{key}:{asked[key][0]}" for key in ("state", "worker", "name") if key in asked)
        found: list[dict[str, Any]] = self.get("/tasks/datatable", **TABLE, **{"search[value]": search}).json()["data"]
        return found

    def workers(self) -> list[dict[str, Any]]:
        """Return the workers' rows of the first page."""
        rows: list[dict[str, Any]] = self.get("/workers", json=1).json()["data"]
        return rows

    def answers(self) -> Iterator[tuple[str, requests.Response]]:
        """Get everything that there is to get, by path: asked of Flower's own list, so that nothing new is left out."""
        workers, tasks = [row["hostname"] for row in self.workers()], list(self.get("/api/tasks").json())
        assert workers
        assert tasks
        for pattern in _patterns("get"):
            stem, hole, _ = pattern.partition("(")
            for name in (workers if "worker" in stem else tasks) if hole else [""]:
                path = f"{stem}{name}"
                answer = self.get(path, **(TABLE if path.endswith("/datatable") else {"refresh": 1}))
                assert answer.status_code == ANSWERS.get(pattern, 200), (path, answer.text)
                yield path, answer


def actions() -> list[str]:
    """Return the path of everything that somebody could do with Flower, about a thing called `it`."""
    return [f"{pattern.partition('(')[0]}it" for pattern in _patterns("post") if not pattern.endswith("/datatable")]


def _patterns(method: str) -> list[str]:
    """Return the patterns of the paths that can be asked by this method."""
    pairs = [(each.regex.pattern, each.handler_class) if isinstance(each, URLSpec) else each[:2] for each in handlers]
    return [
        pattern.rstrip("$")
        for pattern, handler in pairs
        if pattern not in ELSEWHERE and getattr(handler, method) is not getattr(RequestHandler, method)
    ]
