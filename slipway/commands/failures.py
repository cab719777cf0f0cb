"""How is a failure told?  What happened, why, and what to type next; with `--json` its document on standard output."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from slipway.commands.context import Desk
from slipway.errors import ClientError, Document, JobFailedError, ProblemError, UnreachableError

FAILED, REFUSED, UNREACHABLE = 1, 3, 4
HINTS = {  # in place of the server's remedy, which speaks of HTTP
    "not_logged_in": "Log in: slipway login",
    "busy": "Follow it: slipway jobs watch {job_id}",
    "password_needed": "Give it the password of the sign-up: slipway jobs retry JOB --password-stdin",
}

OF_HTTP = ("not_logged_in",)  # their detail is of no use here, either


def report(error: ClientError, desk: Desk) -> int:
    """Tell it and return the exit code."""
    if isinstance(error, JobFailedError):
        first, *rest = job_lines(error.job)
        _tell(desk, [f"Error: {first}", *rest], document=error.job)
        return FAILED
    if isinstance(error, ProblemError):
        _tell(desk, _problem_lines(error), document=error.document)
        return REFUSED
    desk.screen.warn(f"Error: {error}")
    return UNREACHABLE if isinstance(error, UnreachableError) else FAILED


def _tell(desk: Desk, lines: Iterable[str], *, document: Document) -> None:
    if desk.screen.is_json:
        desk.screen.show(document, "")
    desk.screen.warn("\n".join(lines))


def job_lines(job: Document) -> Iterator[str]:
    """Yield why a job did not succeed, and what can be done."""
    yield f"The job {job['job_id']} {'was cancelled' if job['state'] == 'cancelled' else job['state']}."
    for error in job["errors"]:
        yield f"  {error['step']} ({error['upstream']}): {error['reason']}"
        yield from (f"    - {remedy}" for remedy in error["remedy"])
    if job["state"] == "failed":
        yield f"When that is mended: slipway jobs retry {job['job_id']}"


def _problem_lines(problem: ProblemError) -> Iterator[str]:
    yield f"Error: {problem.title} ({problem.status} {problem.code})."
    if problem.detail and problem.code not in OF_HTTP:
        yield f"  {problem.detail}"
    yield from (f"  {error.get('field')}: {error.get('message')}" for error in problem.errors)
    if advice := _advice(problem):
        yield f"  {advice}"
    if problem.request_id:
        yield f"  Request id: {problem.request_id}"


def _advice(problem: ProblemError) -> str | None:
    if problem.retry_after_s is not None:
        return f"Try again in {problem.retry_after_s:.0f} s."
    hint = HINTS.get(problem.code)
    return hint.format(job_id=problem.job_id) if hint else problem.remedy
