"""What do administrators ask about the upstreams, and say about them?"""

from __future__ import annotations

from slipway.calls import Calls
from slipway.errors import Document


class Upstreams(Calls):
    """GitLab, Jenkins, Argo CD, Elasticsearch, as the workers find them. All of it is for administrators."""

    def list_upstreams(self) -> Document:
        """Return `{upstreams, others, checkup, checked_at}`: each upstream's state, and the last check-up's checks."""
        return self._read("upstreams")

    def pause_upstream(self, name: str, *, reason: str) -> Document:
        """Let no further step go there until it is resumed, and return the upstream. Raises ProblemError."""
        return self._write("upstreams", name, "pause", body={"reason": reason})

    def resume_upstream(self, name: str) -> Document:
        """End a pause, if there is one, and return the upstream. Raises ProblemError."""
        return self._write("upstreams", name, "resume", body={})

    def check_upstreams(self) -> Document:
        """Start a job that only reads; its result is `{is_well, counts, checks}`. Returns `{job_id, status_url}`."""
        return self._write("upstreams", "checkups", body={})
