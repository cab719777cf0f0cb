"""The parts that all views of a process share: settings, database, vault, publisher, caches."""

from __future__ import annotations

from dataclasses import dataclass, field

from flask import current_app

from api.follow.hub import Hub
from api.monitoring.backlog import BacklogCollector
from api.monitoring.readiness import Readiness
from api.passwords import Passwords
from api.presentation.durations import StepDurations
from api.presentation.job_view import JobView
from common.audit import RefusalBound
from common.broker import Publisher
from common.config.catalog import Catalog
from common.config.settings import Settings
from common.database.engine import Database
from common.vault.cipher import Vault


@dataclass(frozen=True, kw_only=True)
class Service:
    """The shared parts, created once by `create_app`."""

    settings: Settings
    catalog: Catalog
    db: Database
    vault: Vault
    publisher: Publisher
    passwords: Passwords
    readiness: Readiness
    durations: StepDurations
    view: JobView
    hub: Hub
    backlog: BacklogCollector
    refused_log_ins: RefusalBound = field(default_factory=RefusalBound)


def service() -> Service:
    """Return the parts of the app that serves this request."""
    parts: Service = current_app.extensions["slipway"]
    return parts
