"""An installation that was set up from docs/install-upstreams.md, copied for each test that breaks something in it."""

from __future__ import annotations

import dataclasses
import shutil
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from common.config import catalog
from common.config.settings import WorkerSettings
from harbour.config import STAND_INS
from harbour.world import Harbour
from support.upstream_setup import PlatformTeam, empty_harbour, worker_settings
from worker.doctor import report, run
from worker.doctor.catalogue import groups_for
from worker.upstreams.check import CheckState, Finding

WITHIN_S = 12.0
OURS = ("Database", "Broker")
"""Groups of checks that are not about upstreams."""


class Prepared:
    """Upstreams that have everything, and the settings for them."""

    def __init__(self, harbour: Harbour, settings: dict[str, str], db_url: str) -> None:
        self.harbour = harbour
        self.settings = settings_with(settings, db_url)

    def set(self, **values: object) -> None:
        self.settings = self.settings.model_copy(update=values)

    def examine(self) -> list[Finding]:
        return findings_of(self.settings)

    def findings(self, *states: CheckState) -> dict[str, Finding]:
        """Return what is in these states, by group and check."""
        return {f"{each.group}: {each.check}": each for each in self.examine() if each.state in states}


def findings_of(settings: WorkerSettings) -> list[Finding]:
    """Ask the doctor about the upstreams and the settings."""
    groups = [each for each in groups_for(settings, catalog.load(settings)) if each.name not in OURS]
    return report.without_secrets(run.run_checks(groups, within_s=WITHIN_S), settings)


def settings_with(given: dict[str, str], db_url: str) -> WorkerSettings:
    return worker_settings(
        given,
        db_url=db_url,
        redis_url="redis://127.0.0.1:1/0",
        secret_keys="3hJ8vQm2xT7bN5kR9wYc4pL6sD1fGaZe",
        container_repository_image_name="registry.example.com/apps",
        cookie_secure=False,
        outage_after=0,
    )


class Original:
    """The installation as it was set up: its files, its ports and its settings."""

    def __init__(self, place: Path) -> None:
        self._root = place / "harbour"
        (home := place / "home").mkdir()
        harbour = empty_harbour(self._root)
        harbour.start()
        with closing(PlatformTeam(harbour, home)) as team:
            team.set_up()
            self.settings = team.settings()
        harbour.stop()
        ports = {
            each.port: int(service.url.rpartition(":")[2])
            for each, service in zip(STAND_INS, harbour.services, strict=True)
        }
        self._config = dataclasses.replace(harbour.config, **ports)  # type: ignore[arg-type] # ports

    @contextmanager
    def copied(self, place: Path, db_url: str) -> Iterator[Prepared]:
        """Open a copy, at the same addresses: Argo CD's projects name GitLab's."""
        shutil.copytree(self._root, place)
        harbour = Harbour(dataclasses.replace(self._config, root=place))
        harbour.start()
        try:
            yield Prepared(harbour, self.settings, db_url)
        finally:
            harbour.stop()
