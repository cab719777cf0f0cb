"""Jobs: list, count, read, follow, retry, poll, cancel, skip a step."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import datetime

from slipway import address
from slipway.calls import PAGE_ROWS, BaseClient, JobVersion
from slipway.errors import Document, JobFailedError
from slipway.events import Event, EventStream
from slipway.follow import Deadline, Follower
from slipway.retry import RetryPolicy

OUTAGE_S = 120.0  # a restart of the server that a followed job survives
LOG_POLL_S = 1.0  # the pause before a console without new text is read again


class Jobs(BaseClient):
    """The calls about jobs."""

    def list_jobs(
        self,
        *,
        state: str | None = None,
        kind: str | None = None,
        app_id: str | None = None,
        user: str | None = None,
        team: str | None = None,
        since: datetime | None = None,
        limit: int = PAGE_ROWS,
    ) -> Iterator[Document]:
        """Yield the team's jobs, newest first; `since` is aware, `limit` is the size of a page.

        `state`: one, or several separated by commas. `team`: another team than the caller's, `*` for all;
        administrators only.
        """
        which = {"state": state, "kind": kind, "app_id": app_id, "user": user, "team": team}
        return self._pages("jobs", "jobs", **which, since=since.isoformat() if since else None, limit=limit)

    def count_jobs(self, *, team: str | None = None) -> list[Document]:
        """Return the numbers of jobs, `{kind, state, jobs, is_capped}` each, of the caller's team or of another."""
        counts: list[Document] = self._read("jobs", "counts", team=team)["counts"]
        return counts

    def get_job(self, job_id: str) -> Document:
        """Return the job with its lanes, steps, `errors`, `result`, `progress`, … as it is now."""
        return self._read("jobs", job_id)

    def follow(self, job_id: str, *, within_s: float | None = None) -> Iterator[Document]:
        """Yield the job as it is, then after each change, until it is over.

        Uses the event stream, or long polling where there is none, and waits for a server that restarts. Raises
        NotOverError after `within_s` seconds, ProblemError, UnreachableError.
        """
        url = address.join(self._connection.url, "jobs", job_id, "events")
        deadline = Deadline(job_id, within_s, self._retry.clock)

        def read(known: JobVersion | None, held_s: float) -> JobVersion | None:
            retry = self._retry.for_as_long_as(min(OUTAGE_S, deadline.left_s())) if known else self._retry
            return self._read_version(job_id, known, held_s, retry)

        def open_stream(last: int) -> EventStream:
            return EventStream(self._connection, url, last=last, silence_s=self._silence_s)

        follower = Follower(read, open_stream, deadline=deadline, silence_s=self._silence_s, retry=self._retry)
        return follower.changes()

    def await_job(
        self, job_id: str, *, within_s: float | None = None, show: Callable[[Document], None] | None = None
    ) -> Document:
        """Return the job once it has succeeded; `show` is called with each version.

        Raises JobFailedError when it failed or was cancelled, and what `follow` raises.
        """
        for job in self.follow(job_id, within_s=within_s):
            if show is not None:
                show(job)
        if job["state"] != "succeeded":
            raise JobFailedError(job)
        return job

    def events(self, job_id: str, *, after: int = 0) -> Iterator[Event]:
        """Yield the job's events after number `after`, each once and in order, until it is over.

        Raises ProblemError, UnreachableError.
        """
        url = address.join(self._connection.url, "jobs", job_id, "events")
        stream = EventStream(self._connection, url, last=after, silence_s=self._silence_s)
        return (event for event in stream.read(self._retry) if event is not None)

    def read_log(self, job_id: str, *, start: int = 0) -> Document:
        """Return a part of the console, from a character on: `{text, start, next_start, more, truncated}`."""
        return self._read("jobs", job_id, "log", start=start)

    def read_whole_log(self, job_id: str, *, is_followed: bool = False) -> Iterator[Document]:
        """Yield the parts of the console that have text; `is_followed`: until the build ends."""
        start = 0
        while True:
            piece = self.read_log(job_id, start=start)
            start = piece["next_start"]
            if piece["text"]:
                yield piece
            elif not is_followed:
                return
            if not piece["more"] or piece["truncated"]:
                return
            if not piece["text"]:
                self._retry.sleep(LOG_POLL_S)

    def retry_job(self, job_id: str, *, password: str | None = None) -> Document:
        """Run the failed steps again, in the same job. Raises ProblemError `not_failed`, `password_needed`."""
        return self._write("jobs", job_id, "retry", body={"password": password} if password is not None else {})

    def poll_job(self, job_id: str) -> Document:
        """Take now what waits for its next poll or attempt. Raises ProblemError `nothing_to_poll`, `is_over`."""
        return self._write("jobs", job_id, "poll", body={})

    def cancel_job(self, job_id: str) -> Document:
        """Stop the job before its next step. Raises ProblemError `is_over`."""
        return self._write("jobs", job_id, "cancel", body={})

    def skip_step(self, job_id: str, step: str, *, reason: str) -> Document:
        """Continue a failed job after this step. Administrators only. Raises ProblemError `not_skippable`."""
        return self._write("jobs", job_id, "steps", step, "skip", body={"reason": reason})

    def _read_version(
        self, job_id: str, known: JobVersion | None, held_s: float, retry: RetryPolicy
    ) -> JobVersion | None:
        headers = {"If-None-Match": known.tag} if known is not None and known.tag else {}
        query = {"wait": int(held_s)} if held_s >= 1 else {}
        reply = self._send("GET", ("jobs", job_id), query=query, headers=headers, held_s=held_s, retry=retry)
        if reply.status == 304:
            return None
        newer = JobVersion(job=reply.document, tag=reply.headers.get("ETag", ""))
        is_same = known is not None and newer.version == known.version > 0  # a proxy may remove the ETag
        return None if is_same else newer
