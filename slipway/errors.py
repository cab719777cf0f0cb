"""Errors that the client raises.

ClientError
├── ProblemError      the server refused the request: `code` is stable, `remedy` says what to do
├── UnreachableError  Slipway did not answer, after all retries
├── JobFailedError    the job ended without success: `job` says which step, why, and what to do
└── NotOverError      the job did not end in time; it continues (also a TimeoutError)

Messages are for people. No error keeps a token, a password or a request.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

Document = dict[str, Any]  # a JSON object as the server sent it; its fields are in the server's /docs


class ClientError(Exception):
    """Base class of the client's errors."""


class ProblemError(ClientError):
    """The server refused the request (problem details, RFC 9457).

    `errors` is a list of `{field, code, message}`; `retry_after_s` is None when the server names no time.
    """

    def __init__(self, document: Mapping[str, Any], *, status: int, retry_after_s: float | None = None) -> None:
        self.document = dict(document)
        self.status = status
        self.code = str(document["code"])
        self.title = str(document.get("title") or self.code)
        self.detail: str | None = document.get("detail")
        self.remedy: str | None = document.get("remedy")
        self.errors: list[Document] = list(document.get("errors") or ())
        self.job_id: str | None = document.get("job_id")
        self.request_id: str | None = document.get("request_id")
        self.retry_after_s = retry_after_s
        super().__init__(" ".join(_sentence(part) for part in self._parts() if part))

    def _parts(self) -> list[str | None]:
        fields = [f"{error.get('field')}: {error.get('message')}" for error in self.errors]
        return [self.title, self.detail, *fields, self.remedy]


class UnreachableError(ClientError):
    """Slipway did not answer: nothing listens, the connection broke, or another program answers there.

    `is_passing`: the same request may succeed when it is sent again.
    """

    def __init__(self, message: str, *, is_passing: bool = True) -> None:
        super().__init__(message)
        self.is_passing = is_passing


class JobFailedError(ClientError):
    """The job ended without success."""

    def __init__(self, job: Document) -> None:
        self.job = job
        reasons = "; ".join(f"{error['step']}: {error['reason']}" for error in job["errors"])
        super().__init__(_sentence(f"{outcome_of(job)} {reasons}".strip()))


class NotOverError(ClientError, TimeoutError):
    """The job did not end in time; it continues."""


def outcome_of(job: Document) -> str:
    """Return how a job ended, as a sentence."""
    ended = "was cancelled" if job["state"] == "cancelled" else job["state"]
    return f"The job {job['job_id']} {ended}."


def _sentence(text: str) -> str:
    return text if text.endswith((".", "!", "?")) else f"{text}."
