"""Which outside objects did a job make or find?

The intent is written before the call that creates, the provenance after it. A crash in between leaves `intended`:
the next attempt looks, and what then carries our marker was made by us. Undo removes what is `created`, nothing else.
"""

from __future__ import annotations

from sqlalchemy import select
from sqlalchemy.orm import Session

from common import jobs
from common.db import Database
from common.jobs import Claim
from common.models import Provenance, Resource


class Entry:
    """One object of the running step: `intend` before the create, `settle` once it is known to exist."""

    def __init__(self, db: Database, claim: Claim, *, upstream: str, kind: str, ref: str) -> None:
        self._db = db
        self._claim = claim
        self._upstream = upstream
        self._kind = kind
        self._ref = ref

    def intend(self) -> None:
        """Write down that we are about to create it, if the claim is still ours. Raises ClaimLostError.

        This is the fence: a worker that slept through its lease gets no further than here.
        """

        def work(session: Session) -> None:
            jobs.still_holds(session, self._claim, self._db.now())
            row = self._find(session) or self._new(session)
            row.provenance = Provenance.INTENDED
            self._sign(row)

        self._db.transaction(work)

    def settle(self, *, outside_id: str, url: str | None, found: bool) -> None:
        """Write down that it exists. `found`: it was there before this attempt."""

        def work(session: Session) -> None:
            row = self._find(session)
            if row is None:
                row = self._new(session)
                row.provenance = Provenance.ADOPTED if found else Provenance.CREATED
            elif row.provenance in (Provenance.INTENDED, Provenance.GONE):
                row.provenance = Provenance.CREATED
            elif (row.outside_id, row.url) == (outside_id, url):
                return
            row.outside_id, row.url = outside_id, url
            self._sign(row)

        self._db.transaction(work)

    def _find(self, session: Session) -> Resource | None:
        return session.scalar(
            select(Resource).where(
                Resource.subject_id == self._claim.job.subject_id,
                Resource.upstream == self._upstream,
                Resource.kind == self._kind,
                Resource.ref == self._ref,
            )
        )

    def _new(self, session: Session) -> Resource:
        row = Resource(
            subject_id=self._claim.job.subject_id,
            upstream=self._upstream,
            kind=self._kind,
            ref=self._ref,
            created_at=self._db.now(),
        )
        session.add(row)
        return row

    def _sign(self, row: Resource) -> None:
        row.job_id, row.step, row.attempt = self._claim.job.id, self._claim.step.name, self._claim.attempt
        row.updated_at = self._db.now()
