"""Upstreams that are down, as workers find them."""

from __future__ import annotations

from common.admission import outages
from common.database.engine import Database
from common.workflows import Upstream


def take_down(db: Database, upstream: Upstream, reason: str) -> None:
    """Let a step get no answer there, and the probe after it neither."""
    outages.record_unavailable(db, upstream, reason, db.now(), enough=1)
    for due in db.read(lambda session: outages.due_probes(session, db.now())):
        if due.upstream is upstream and (probe := outages.claim_probe(db, due, db.now())):
            assert outages.mark_down(db, probe, reason, db.now())
