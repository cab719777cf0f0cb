"""The context of a step: its job's input, earlier outputs, password, ledger, and what all steps of a worker share."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from typing import TypeVar

from sqlalchemy import select, update
from sqlalchemy.orm import Session

from common.config.accounts import Accounts
from common.config.catalog import AppType, Catalog, CatalogTeam
from common.config.settings import WorkerSettings
from common.config.upstreams import is_known_address
from common.database.engine import Database
from common.database.models import App, Job, Resource
from common.errors import ActionBy, Permanent
from common.jobs import build_log, claims, ledger, outputs
from common.jobs.claims import Claim, ClaimLostError
from common.jobs.ledger import Entry
from common.states import OPEN, Provenance
from common.step_outputs import StepOutput
from common.telemetry import redaction, sent
from common.telemetry.spellings import Secrets
from common.vault import sealed_passwords
from common.vault.cipher import CannotOpenError, Vault

OUTSIDE_ID_CHARACTERS = 255
Recorded = TypeVar("Recorded", bound=Mapping[str, object])


@dataclass(frozen=True, kw_only=True)
class WorkerContext:
    """The parts that all steps of this worker share."""

    db: Database
    settings: WorkerSettings
    catalog: Catalog
    vault: Vault

    @cached_property
    def secrets(self) -> Secrets:
        """The values of all secret settings."""
        return redaction.secrets(self.settings)


class StepEntry(Entry):
    """The ledger's entry of a step: it keeps no address that leads to a host of nobody's settings."""

    def __init__(self, worker: WorkerContext, claim: Claim, *, upstream: str, kind: str, ref: str) -> None:
        super().__init__(worker.db, claim, upstream=upstream, kind=kind, ref=ref)
        self._settings = worker.settings

    def settle(self, *, outside_id: str, url: str | None, found: bool) -> None:
        link = url if url and is_known_address(url, self._settings) else None
        super().settle(outside_id=sent.visible(outside_id)[:OUTSIDE_ID_CHARACTERS], url=link, found=found)


class StepContext:
    """The job as one attempt sees it: its input, the outputs of earlier steps, its password, its ledger."""

    def __init__(self, claim: Claim, worker: WorkerContext) -> None:
        self.claim = claim
        self.worker = worker
        self.id = claim.job.id
        self.settings = worker.settings

    @property
    def marker(self) -> str:
        """The text that marks our objects: the same for every job of this user or app."""
        return f"slipway:{self.claim.job.subject_id}"

    def require_claim(self) -> None:
        """Check that the claim is still ours. Raises ClaimLostError.

        This is the fence of the calls to upstreams: each that may write asks here first (`Http.send`). It locks
        nothing, because the call follows. The time is read after the answer, for which it may have waited long.
        """
        until = self.worker.db.read(lambda session: claims.held_until(session, self.claim))
        if until is None or until <= self.worker.db.now():
            raise ClaimLostError

    def input(self, key: str) -> str:
        return str(self.claim.job.input[key])

    def option(self, key: str) -> str | None:
        """Return an input that may be left out."""
        value = self.claim.job.input.get(key)
        return None if value is None else str(value)

    @property
    def team(self) -> CatalogTeam:
        """The team's places. Raises Permanent when it is no longer in the catalog."""
        team = self.worker.catalog.teams.get(self.input("team"))
        if team is None:
            raise Permanent(f"The team {self.input('team')} is no longer in the catalog.", action_by=ActionBy.OPERATOR)
        return team

    @property
    def accounts(self) -> Accounts:
        """Who makes people's accounts."""
        return self.worker.catalog.accounts

    @property
    def app_type(self) -> AppType:
        """The type's templates. Raises Permanent when it is no longer in the catalog."""
        app_type = self.worker.catalog.types.get(self.input("type"))
        if app_type is None:
            raise Permanent(f"The type {self.input('type')} is no longer in the catalog.", action_by=ActionBy.OPERATOR)
        return app_type

    def output_of(self, key: StepOutput[Recorded]) -> Recorded:
        """Return what an earlier step of the same lane recorded."""
        output = self.worker.db.read(lambda session: outputs.of_passed_step(session, self.id, key))
        if output is None:
            raise LookupError(f"{key.step} has no output: is it in the same lane, before {self.claim.step.name}?")
        return output

    def find_output_of(self, key: StepOutput[Recorded]) -> Recorded | None:
        """Return what an earlier step recorded, None when it was skipped."""
        return self.worker.db.read(lambda session: outputs.of_passed_step(session, self.id, key))

    def known_id(self, upstream: str, kind: str, ref: str) -> str | None:
        """Return the upstream's id of what the ledger says was created under this name, None when nothing was."""
        rows = [row for row in self.read_earlier(upstream, kind) if row.ref == ref]
        return next((row.outside_id for row in rows if row.provenance is Provenance.CREATED), None)

    def remark(self, reason: str) -> None:
        """Report something that is not as it was made and that no step corrects; only a comparison keeps it."""

    def password(self) -> str:
        """Unseal the password of the sign-up. Raises Permanent when it is gone or was sealed with a retired key."""
        vault = self.worker.vault
        try:
            password = self.worker.db.read(lambda session: sealed_passwords.unseal(session, vault, self.id))
        except CannotOpenError as error:
            raise Permanent(f"The password cannot be read: {error}.", action_by=ActionBy.OPERATOR) from None
        if password is None:
            raise Permanent("The password is kept for a day only and has been deleted.", action_by=ActionBy.USER)
        sent.note(Secrets((password,)))
        return password

    def read_earlier(self, upstream: str, kind: str) -> list[Resource]:
        """Return what the ledger has of one kind for this user or app, from whatever job."""
        subject_id = self.claim.job.subject_id
        return self.worker.db.read(lambda session: ledger.rows_of(session, subject_id, upstream=upstream, kind=kind))

    def mark_gone(self, resource: Resource) -> None:
        ledger.mark_gone(self.worker.db, self.claim, resource.id)

    def may_arrive_for_s(self, resource: Resource) -> float:
        """Return for how many seconds a call that creates it may still arrive, 0 when none can."""
        return ledger.may_arrive_for_s(self.worker.db, self.claim, resource)

    @property
    def is_next(self) -> bool:
        """Whether it is the turn of this job: no earlier one of its kind and app is open."""
        job = self.claim.job
        of_app = select(Job.id, Job.kind).where(Job.app_id == job.app_id, Job.state.in_(OPEN))
        rows = self.worker.db.read(lambda session: session.execute(of_app).all())
        return not any(row.kind == job.kind and row.id < job.id for row in rows)

    @property
    def namespace(self) -> str:
        """The Kubernetes namespace in which the app runs; before it has a row, the one that its team would give it."""
        app_id = self.claim.job.app_id
        if app_id is None:
            return self.team.namespace_of(self.input("app"))
        return self.worker.db.read(lambda session: session.get_one(App, app_id).kubernetes_namespace)

    @property
    def image_tag(self) -> str | None:
        """The tag that the last deployment set, None when none has."""
        return self.worker.db.read(
            lambda session: session.scalar(select(App.image_tag).where(App.id == self.claim.job.app_id))
        )

    def keep_image_tag(self, tag: str) -> None:
        """Store what is deployed, so that a later repair does not undo it."""
        kept = update(App).where(App.id == self.claim.job.app_id).values(image_tag=tag)
        self._record(lambda session: session.execute(kept))

    def release_name(self) -> None:
        """Let the app's name be used again."""
        released = update(App).where(App.id == self.claim.job.app_id).values(claimed_name=None)
        self._record(lambda session: session.execute(released))

    @property
    def waited_s(self) -> float:
        """How long this step has been answering "not yet"."""
        since = self.claim.step.waiting_since
        return self.seconds_since(since) if since else 0.0

    def pause_s(self, *, first_s: float, cap_s: float) -> float:
        """Return the pause before the next poll: short at first, longer the longer the step has waited."""
        return min(cap_s, max(first_s, self.waited_s / 10))

    def seconds_since(self, at: datetime) -> float:
        return (self.worker.db.now() - at).total_seconds()

    def console_position(self) -> tuple[int, int]:
        """Return how far the console is kept: (our characters, Jenkins' bytes)."""
        return self.worker.db.read(lambda session: build_log.position(session, self.id))

    def keep_console(self, text: str, *, after: tuple[int, int], upstream_next: int) -> None:
        shown = sent.visible(text)
        self._record(
            lambda session: build_log.append(session, self.id, shown, after=after, upstream_next=upstream_next)
        )

    def console_tail(self, characters: int) -> str:
        return self.worker.db.read(lambda session: build_log.tail(session, self.id, characters))

    def _record(self, work: Callable[[Session], object]) -> None:
        """Change rows of ours. Raises ClaimLostError: a worker that lost its claim changes none."""
        claims.while_ours(self.worker.db, self.claim, work)

    def resource(self, upstream: str, kind: str, ref: str) -> Entry:
        """Return the ledger's entry for one outside object of this step."""
        return StepEntry(self.worker, self.claim, upstream=upstream, kind=kind, ref=ref)
