"""What can go wrong between a caller and Slipway?

ClientError
├── ProblemError      the server refused and said why: `code` is stable, `remedy` says what to do
├── UnreachableError  no answer of Slipway's came, however often it was asked
├── JobFailedError    the job is over and did not succeed: `job` says which step, why, and what to do
└── NotOverError      the job was not over in time; it goes on (a TimeoutError, too)

Messages are for people. No token, no password and no request is kept in any of them.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

Document = dict[str, Any]  # a JSON object as the server sent it; its fields are in the server's /docs


class ClientError(Exception):
    """Something between a caller and Slipway went wrong."""


class ProblemError(ClientError):
    """The server refused and said why (RFC 9457).

    `errors` is a list of `{field, code, message}`; `retry_after_s` is None when the server did not say.
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
    """No answer of Slipway's came: nobody listens, the connection broke, or something else answers there.

    `is_passing`: the same request may get an answer if it is sent again.
    """

    def __init__(self, message: str, *, is_passing: bool = True) -> None:
        super().__init__(message)
        self.is_passing = is_passing


class JobFailedError(ClientError):
    """The job is over and did not succeed."""

    def __init__(self, job: Document) -> None:
        self.job = job
        reasons = "; ".join(f"{error['step']}: {error['reason']}" for error in job["errors"])
        super().__init__(_sentence(f"The job {job['job_id']} {job['state']}. {reasons}".strip()))


class NotOverError(ClientError, TimeoutError):
    """The job was not over in time; it goes on."""


def _sentence(text: str) -> str:
    return text if text.endswith((".", "!", "?")) else f"{text}."
