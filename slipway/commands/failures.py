"""Reports of failures: what happened, why, what to type next; with `--json` the document on standard output."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from slipway.commands.context import CommandContext
from slipway.errors import ClientError, Document, JobFailedError, ProblemError, UnreachableError, outcome_of

FAILED, REFUSED, UNREACHABLE = 1, 3, 4
HINTS = {  # instead of the server's remedy, which is about HTTP
    "not_logged_in": "Log in: slipway login",
    "busy": "Follow that job: slipway jobs watch {job_id}",
    "password_needed": "Send the password of the sign-up: slipway jobs retry JOB --password-stdin",
}

HTTP_DETAILS = ("not_logged_in",)  # their detail is about HTTP, too


def report(error: ClientError, context: CommandContext) -> int:
    """Report the error and return the exit code."""
    if isinstance(error, JobFailedError):
        first, *rest = job_lines(error.job)
        _print(context, [f"Error: {first}", *rest], document=error.job)
        return FAILED
    if isinstance(error, ProblemError):
        _print(context, _problem_lines(error), document=error.document)
        return REFUSED
    context.output.warn(f"Error: {error}")
    return UNREACHABLE if isinstance(error, UnreachableError) else FAILED


def _print(context: CommandContext, lines: Iterable[str], *, document: Document) -> None:
    if context.output.is_json:
        context.output.show(document, "")
    context.output.warn("\n".join(lines))


def job_lines(job: Document) -> Iterator[str]:
    """Yield why a job did not succeed, and what can be done."""
    yield outcome_of(job)
    for error in job["errors"]:
        yield f"  {error['step']} ({error['upstream']}): {error['reason']}"
        yield from (f"    - {remedy}" for remedy in error["remedy"])
    if job["state"] == "failed":
        yield f"Correct that, then: slipway jobs retry {job['job_id']}"


def _problem_lines(problem: ProblemError) -> Iterator[str]:
    yield f"Error: {problem.title} ({problem.status} {problem.code})."
    if problem.detail and problem.code not in HTTP_DETAILS:
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
