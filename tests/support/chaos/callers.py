"""People who call the API: every request has an id of the test's own, which its job and its calls carry."""

from __future__ import annotations

import itertools
import secrets
import time
from typing import Any

import requests

from support.stack import PASSWORD

_NUMBERS = itertools.count(1)
ANSWERED_S = 40.0
UNAVAILABLE_S = 90.0  # after a failover, on a slow machine; how long jobs take is measured elsewhere


def new_request_id(kind: str) -> str:
    """Return an id that the API accepts: it names the kind of job, for whoever reads a log."""
    return f"{kind.replace('_', '-')}-{next(_NUMBERS):05d}-{secrets.token_hex(3)}"


def number_of(request_id: str) -> int:
    """Return the number in the id, from which the names of what is made are built."""
    return int(request_id.rsplit("-", 2)[1])


class Caller:
    """One person, or nobody yet. What is not accepted fails the test."""

    def __init__(self, api_url: str) -> None:
        self._url = f"{api_url}/api/v1"
        self._token = ""

    @property
    def is_logged_in(self) -> bool:
        return bool(self._token)

    def send(
        self, method: str, path: str, body: Any = None, *, request_id: str = "", **query: str
    ) -> requests.Response:
        """Send one request and return its answer, whatever it is. One with the same id is the same request."""
        headers = {"Idempotency-Key": request_id or secrets.token_hex(16)}
        if request_id:
            headers["X-Request-Id"] = request_id
        if self._token:
            headers["Authorization"] = f"Bearer {self._token}"
        return requests.request(method, self._url + path, headers=headers, json=body, params=query, timeout=ANSWERED_S)

    def accept(self, method: str, path: str, body: Any = None, *, request_id: str, **query: str) -> dict[str, Any]:
        """Return the answer to a request that starts a job; a 503 is asked again for a while, as clients do."""
        ends_at_s = time.monotonic() + UNAVAILABLE_S
        while (answer := self.send(method, path, body, request_id=request_id, **query)).status_code == 503:
            if time.monotonic() > ends_at_s:
                break
            time.sleep(1.0)
        assert answer.status_code < 300, f"{method} {path}: {answer.status_code} {answer.text}"
        document: dict[str, Any] = answer.json()
        return document

    def log_in(self, login: str, password: str = PASSWORD) -> None:
        answer = self.send("POST", "/login", {"id": login, "password": password})
        answer.raise_for_status()
        self._token = answer.json()["token"]

    def sign_up(self, login: str, *, request_id: str) -> dict[str, Any]:
        return self.accept("POST", "/signup", sign_up_body(login), request_id=request_id)

    def make_project(self, name: str) -> str:
        answer = self.send("POST", "/project", {"name": name, "description": ""})
        answer.raise_for_status()
        return str(answer.json()["project_id"])

    def make_app(self, project_id: str, name: str, *, request_id: str, **query: str) -> dict[str, Any]:
        return self.accept("POST", "/app", app_body(project_id, name), request_id=request_id, **query)


def sign_up_body(login: str) -> dict[str, str]:
    return {
        "id": login,
        "email": f"{login}@example.com",
        "name": f"Person {login}",
        "password": PASSWORD,
        "team": "dev",
    }


def app_body(project_id: str, name: str) -> dict[str, str]:
    return {"project_id": project_id, "name": name, "type": "Spring", "description": ""}
