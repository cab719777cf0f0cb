"""Is an upstream down, and is it back?  One worker looks for all of them: a plain read, without a job's attempt."""

from __future__ import annotations

import logging
from functools import partial

from common.admission import outages
from common.database.engine import Database
from common.errors import StepError
from common.workflows import Upstream
from worker.upstreams import Connections

log = logging.getLogger(__name__)

INTERVAL_S = 1.0
ANSWERS_WITHIN_S = 5.0  # well below `gates.LOOK_LASTS_S`
READS: dict[Upstream, tuple[str, ...]] = {
    Upstream.GITLAB: ("api", "v4", "version"),
    Upstream.JENKINS: ("whoAmI", "api", "json"),
    Upstream.ARGOCD: ("api", "version"),
    Upstream.ELASTICSEARCH: ("_security", "_authenticate"),
}


class OutageProbe:
    """Any number may be about, one in each worker: every look is done by one of them."""

    def __init__(self, db: Database, ways: Connections) -> None:
        self._db = db
        self._ways = ways

    def look(self) -> None:
        """Look at every upstream whose time has come, and tell all workers what came of it."""
        for look in self._db.read(lambda session: outages.due_probes(session, self._db.now())):
            if self._db.transaction(partial(outages.claim_probe, probe=look, now=self._db.now())):
                self._tell(look.upstream, self._silence_of(look.upstream))

    def _silence_of(self, upstream: Upstream) -> str | None:
        """Return why it cannot be worked with; None when it answers, whatever it answers."""
        try:
            reply = self._ways.to(upstream).send("GET", *READS[upstream], total_s=ANSWERS_WITHIN_S)
        except StepError as error:
            return error.reason
        return f"{upstream.label} answered {reply.status}" if reply.status >= 500 else None

    def _tell(self, upstream: Upstream, silence: str | None) -> None:
        extra = {"upstream": upstream.value}
        now = self._db.now()
        if silence is None:
            down_since = self._db.transaction(lambda session: outages.mark_up(session, upstream, now))
            if down_since is not None:
                log.warning("upstream_back", extra={**extra, "down_s": round((now - down_since).total_seconds())})
        elif self._db.transaction(lambda session: outages.mark_down(session, upstream, silence, now)):
            log.error("upstream_down", extra={**extra, "reason": silence})
