"""What do people ask about jobs, and do to them?"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import datetime

from slipway import address
from slipway.calls import PAGE_ROWS, Calls, Seen
from slipway.errors import Document, JobFailedError
from slipway.events import Event, Listener
from slipway.follow import Deadline, Follower
from slipway.retry import Repeats

OUTAGE_S = 120.0  # who follows a job waits this long for a server that is being restarted
LOOK_AGAIN_S = 1.0  # at a console that has nothing new


class Jobs(Calls):
    """Jobs: listed, read, followed, retried, cancelled."""

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

        `team`: another one than one's own, for administrators.
        """
        which = {"state": state, "kind": kind, "app_id": app_id, "user": user, "team": team}
        return self._pages("jobs", "jobs", **which, since=since.isoformat() if since else None, limit=limit)

    def get_job(self, job_id: str) -> Document:
        """Return the job with its lanes, steps, `errors`, `result`, `progress`, … as it is now."""
        return self._read("jobs", job_id)

    def follow(self, job_id: str, *, within_s: float | None = None) -> Iterator[Document]:
        """Yield the job as it is, then after each change, until it is over.

        By its event stream, or by held answers where there is none; a server that is restarted is waited for. Raises
        NotOverError after `within_s` seconds, ProblemError, UnreachableError.
        """
        url = address.join(self._wire.url, "jobs", job_id, "events")
        deadline = Deadline(job_id, within_s, self._repeats.clock)

        def look(seen: Seen | None, held_s: float) -> Seen | None:
            patience = self._repeats.for_as_long_as(min(OUTAGE_S, deadline.left_s())) if seen else self._repeats
            return self._look(job_id, seen, held_s, patience)

        def listen(last: int) -> Listener:
            return Listener(self._wire, url, last=last, silence_s=self._silence_s)

        follower = Follower(look, listen, deadline=deadline, silence_s=self._silence_s, repeats=self._repeats)
        return follower.changes()

    def await_job(
        self, job_id: str, *, within_s: float | None = None, show: Callable[[Document], None] | None = None
    ) -> Document:
        """Return the job once it has succeeded; `show` is given it at each change.

        Raises JobFailedError when it failed or was cancelled, and what `follow` raises.
        """
        for job in self.follow(job_id, within_s=within_s):
            if show is not None:
                show(job)
        if job["state"] != "succeeded":
            raise JobFailedError(job)
        return job

    def events(self, job_id: str, *, after: int = 0) -> Iterator[Event]:
        """Yield the job's events above the number `after`, each once and in order, until it is over.

        Raises ProblemError, UnreachableError.
        """
        url = address.join(self._wire.url, "jobs", job_id, "events")
        listener = Listener(self._wire, url, last=after, silence_s=self._silence_s)
        return (event for event in listener.hear_on(self._repeats) if event is not None)

    def read_log(self, job_id: str, *, start: int = 0) -> Document:
        """Return a piece of the console from a character on: `{text, start, next_start, more, truncated}`."""
        return self._read("jobs", job_id, "log", start=start)

    def read_whole_log(self, job_id: str, *, is_followed: bool = False) -> Iterator[Document]:
        """Yield the pieces of the console that have text; followed: until the build is over."""
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
                self._repeats.sleep(LOOK_AGAIN_S)

    def retry_job(self, job_id: str, *, password: str | None = None) -> Document:
        """Give what failed another turn, under the same job. Raises ProblemError `not_failed`, `password_needed`."""
        return self._write("jobs", job_id, "retry", body={"password": password} if password is not None else {})

    def cancel_job(self, job_id: str) -> Document:
        """Stop the job before its next step. Raises ProblemError `is_over`."""
        return self._write("jobs", job_id, "cancel", body={})

    def skip_step(self, job_id: str, step: str, *, reason: str) -> Document:
        """Let a failed job go on behind the step. Administrators. Raises ProblemError `not_skippable`."""
        return self._write("jobs", job_id, "steps", step, "skip", body={"reason": reason})

    def _look(self, job_id: str, seen: Seen | None, held_s: float, repeats: Repeats) -> Seen | None:
        headers = {"If-None-Match": seen.tag} if seen is not None and seen.tag else {}
        query = {"wait": int(held_s)} if held_s >= 1 else {}
        reply = self._send("GET", ("jobs", job_id), query=query, headers=headers, held_s=held_s, repeats=repeats)
        if reply.status == 304:
            return None
        newer = Seen(job=reply.document, tag=reply.headers.get("ETag", ""))
        is_same = seen is not None and newer.version == seen.version > 0  # a proxy may take the tag off
        return None if is_same else newer
