"""What does a step see of the job it belongs to?"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from sqlalchemy import select

from common.catalog import AppType, Catalog, Team
from common.db import Database
from common.errors import Mender, Permanent
from common.jobs import PASSED, Claim
from common.ledger import Entry
from common.models import Secret, Step
from common.settings import Settings
from common.vault import CannotOpenError, Vault


@dataclass(frozen=True, kw_only=True)
class Surroundings:
    """What every step of this worker shares."""

    db: Database
    settings: Settings
    catalog: Catalog
    vault: Vault


class RunningJob:
    """The job as one attempt sees it: its input, what earlier steps learnt, its secret, its ledger."""

    def __init__(self, claim: Claim, surroundings: Surroundings) -> None:
        self._claim = claim
        self._around = surroundings
        self.id = claim.job.id
        self.settings = surroundings.settings

    @property
    def marker(self) -> str:
        """The text that tells our things from other people's: the same for every job of this user or app."""
        return f"slipway:{self._claim.job.subject_id}"

    def input(self, key: str) -> str:
        return str(self._claim.job.input[key])

    @property
    def team(self) -> Team:
        """The team's places. Raises Permanent when it left the catalog meanwhile."""
        team = self._around.catalog.teams.get(self.input("team"))
        if team is None:
            raise Permanent(f"The team {self.input('team')} is no longer in the catalog.", mender=Mender.OPERATOR)
        return team

    @property
    def app_type(self) -> AppType:
        """The type's templates. Raises Permanent when it left the catalog meanwhile."""
        app_type = self._around.catalog.types.get(self.input("type"))
        if app_type is None:
            raise Permanent(f"The type {self.input('type')} is no longer in the catalog.", mender=Mender.OPERATOR)
        return app_type

    def output_of(self, step: str) -> dict[str, Any]:
        """Return what an earlier step of the same lane returned."""
        statement = select(Step.output).where(Step.job_id == self.id, Step.name == step, Step.state.in_(PASSED))
        output: dict[str, Any] | None = self._around.db.read(lambda session: session.scalar(statement))
        if output is None:
            raise LookupError(f"{step} has no output: is it in the same lane, before {self._claim.step.name}?")
        return output

    def secret(self, purpose: str) -> str:
        """Open a sealed secret. Raises Permanent when it is gone or was sealed with a retired key."""
        row = self._around.db.read(lambda session: session.get(Secret, (self.id, purpose)))
        if row is None:
            raise Permanent("The password is kept for a day only and has been deleted.", mender=Mender.USER)
        try:
            return self._around.vault.open(row.key_id, row.sealed, job_id=self.id, purpose=purpose)
        except CannotOpenError as error:
            raise Permanent(f"The password cannot be read: {error}.", mender=Mender.OPERATOR) from None

    def resource(self, upstream: str, kind: str, ref: str) -> Entry:
        """Return the ledger's entry for one outside object of this step."""
        return Entry(self._around.db, self._claim, upstream=upstream, kind=kind, ref=ref)
