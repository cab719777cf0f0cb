"""All checks of the doctor, in groups: our own parts first, then each upstream."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache

from common.config.catalog import Catalog
from common.config.settings import WorkerSettings
from common.config.upstreams import settings_of
from common.workflows import Upstream
from worker import upstreams
from worker.doctor.broker import BrokerChecks
from worker.doctor.database import DatabaseChecks
from worker.doctor.mail import MailChecks
from worker.doctor.settings import SettingsChecks
from worker.upstreams import ADAPTERS
from worker.upstreams.adapter import CheckContext
from worker.upstreams.check import Check, Group
from worker.upstreams.gitlab import checks as gitlab_checks
from worker.upstreams.probe import Probe


def groups_for(settings: WorkerSettings, catalog: Catalog) -> list[Group]:
    """Return all checks. None of them has run yet."""
    database = DatabaseChecks(settings.db_url.get_secret_value())
    tables = {
        "Settings": SettingsChecks(settings, catalog).all(),
        "Database": database.all(),
        "Broker": BrokerChecks(settings).all(),
        "Mail": MailChecks(settings).all(),
        **_of_upstreams(settings, catalog, namespaces=database.namespaces),
    }
    return [Group(name=name, checks=_distinct(table)) for name, table in tables.items() if table]


def _of_upstreams(
    settings: WorkerSettings, catalog: Catalog, *, namespaces: Callable[[str], list[str]]
) -> dict[str, tuple[Check, ...]]:
    probes = {
        name: Probe(http, setting=f"{name.prefix}_URL", url=settings_of(settings, name).url)
        for name, http in upstreams.open_connections(settings).items()
    }

    @cache
    def clone_base() -> str:
        return gitlab_checks.clone_base(probes[Upstream.GITLAB], catalog)

    return {
        name.label: adapter.checks(
            CheckContext(
                probe=probes[name], settings=settings, catalog=catalog, clone_base=clone_base, namespaces=namespaces
            )
        )
        for name, adapter in ADAPTERS.items()
    }


def _distinct(table: tuple[Check, ...]) -> tuple[Check, ...]:
    """Return each check once: teams may share a group, a folder or a project."""
    return tuple({check.name: check for check in table}.values())
