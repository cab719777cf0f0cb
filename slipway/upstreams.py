"""Upstreams: list, pause, resume, check."""

from __future__ import annotations

from slipway.calls import BaseClient
from slipway.errors import Document


class Upstreams(BaseClient):
    """The calls about GitLab, Jenkins, Argo CD and Elasticsearch, as the workers see them. Administrators only."""

    def get_status(self) -> Document:
        """Return `{is_well, problems, upstreams, workers, queues, failures, targets, checkup}` of the installation."""
        return self._read("status")

    def list_upstreams(self) -> Document:
        """Return `{upstreams, others, checkup, checked_at}`: each upstream's state, and the last check-up's checks."""
        return self._read("upstreams")

    def pause_upstream(self, name: str, *, reason: str) -> Document:
        """Hold all further steps there until it is resumed, and return the upstream. Raises ProblemError."""
        return self._write("upstreams", name, "pause", body={"reason": reason})

    def resume_upstream(self, name: str) -> Document:
        """End a pause, or a hold by refusal, if there is one, and return the upstream. Raises ProblemError."""
        return self._write("upstreams", name, "resume", body={})

    def check_upstreams(self) -> Document:
        """Start a job that only reads; its result is `{is_well, counts, checks}`. Returns `{job_id, status_url}`."""
        return self._write("upstreams", "checkups", body={})
