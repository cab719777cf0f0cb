"""The probe of upstreams that are down or in doubt: a plain read, which uses up no attempt of a job.

Every worker runs one; each probe is claimed in the database, so that one of them sends it.
"""

from __future__ import annotations

import logging

from common.admission import outages
from common.admission.outages import Probe
from common.database.engine import Database
from common.errors import StepError
from common.workflows import Upstream
from worker.upstreams import ADAPTERS, Connections

log = logging.getLogger(__name__)

INTERVAL_S = 1.0
CALL_S = 5.0  # well below `outages.PROBE_LEASE_S`


class OutageProbe:
    """Any number may run at once, one in each worker: every probe is sent by one of them."""

    def __init__(self, db: Database, connections: Connections) -> None:
        self._db = db
        self._connections = connections

    def run(self) -> None:
        """Probe every upstream whose probe is due, and record the result for all workers."""
        for due in self._db.read(lambda session: outages.due_probes(session, self._db.now())):
            if probe := outages.claim_probe(self._db, due, self._db.now()):
                self._record(probe, self._problem_of(probe.upstream))

    def _problem_of(self, upstream: Upstream) -> str | None:
        """Return why steps cannot use the upstream, None when they can: any reply below 500 will do."""
        try:
            reply = self._connections[upstream].send("GET", *ADAPTERS[upstream].probe, total_s=CALL_S)
        except StepError as error:
            return error.reason
        return f"{upstream.label} answered {reply.status}" if reply.status >= 500 else None

    def _record(self, probe: Probe, problem: str | None) -> None:
        """Record it and tell the operator of a change, unless another worker has the probe by now."""
        extra = {"upstream": probe.upstream.value}
        now = self._db.now()
        if problem is None:
            if outages.mark_up(self._db, probe, now) and probe.down_since is not None:
                down_s = round((now - probe.down_since).total_seconds())
                log.warning("upstream_back", extra={**extra, "down_s": down_s})
        elif outages.mark_down(self._db, probe, problem, now) and probe.down_since is None:
            log.error("upstream_down", extra={**extra, "reason": problem})
