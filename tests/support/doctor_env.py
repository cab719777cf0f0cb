"""A healthy Slipway for the doctor to check: a harbour, a database and a broker of its own, which a test breaks."""

from __future__ import annotations

import base64
import json
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from pydantic import SecretStr
from redis import Redis
from redis.exceptions import ConnectionError as NotUp

from common.config import catalog
from common.config.settings import WorkerSettings
from harbour.config import HarbourConfig
from harbour.world import Harbour
from stack.embedded import prepare
from support.stack import unused_ports
from support.world import settings_for
from worker.doctor import report, run
from worker.doctor.catalogue import groups_for
from worker.upstreams.check import CheckState, Finding

SECRETS = {
    "gitlab_token": "glpat-made-up-0001",
    "gitlab_read_token": "gldt-made-up-0002",
    "jenkins_token": "11made-up-0003",
    "argocd_token": "argo-made-up-0004",
    "elasticsearch_password": "elastic-made-up-0005",
}
WITHIN_S = 12.0


class Broker:
    """A Redis of its own: no test shares its settings."""

    def __init__(self, root: Path) -> None:
        stack = prepare(root, ports=unused_ports())
        self.url = stack.environment["REDIS_URL"]
        self._process = subprocess.Popen(stack.broker, stdout=subprocess.DEVNULL)
        self.client = Redis.from_url(self.url)
        self._await()

    def _await(self) -> None:
        ends_at_s = time.monotonic() + 10
        while True:
            try:
                self.client.ping()
            except NotUp:
                assert time.monotonic() < ends_at_s, "the broker does not come up"
                time.sleep(0.02)
            else:
                return

    def configure(self, **values: str) -> None:
        for name, value in values.items():
            self.client.config_set(name.replace("_", "-"), value)

    def heal(self) -> None:
        self.configure(maxmemory="0", maxmemory_policy="noeviction", appendonly="yes", save="")
        self.client.acl_deluser("hidden")

    def stop(self) -> None:
        self.client.close()
        self._process.terminate()
        self._process.wait(10)


class Clinic:
    """One installation. `settings` may be changed; `examine` says what the doctor finds."""

    def __init__(self, harbour: Harbour, broker: Broker, db_url: str) -> None:
        self.harbour = harbour
        self.broker = broker
        healthy = settings_for(harbour, db_url, redis_url=broker.url)
        self.settings = healthy.model_copy(update={"worker_concurrency": 4})
        self._of_teams: dict[str, Any] = {}
        self.took_s = 0.0

    def set(self, **settings: Any) -> None:
        self.settings = self.settings.model_copy(update=settings)

    def teams(self, **fields: Any) -> None:
        """Change all teams in the catalog."""
        self._of_teams.update(fields)

    def examine(self, *, within_s: float = WITHIN_S) -> list[Finding]:
        bundled = catalog.load(self.settings)
        teams = {team.id: team.model_copy(update=self._of_teams) for team in bundled.teams.values()}
        groups = groups_for(self.settings, bundled.model_copy(update={"teams": teams}))
        began_s = time.monotonic()
        found = run.run_checks(groups, within_s=within_s)
        self.took_s = time.monotonic() - began_s
        return report.without_secrets(found, self.settings)

    def wrong(self) -> dict[str, Finding]:
        """Return what is wrong, by group and check."""
        return {f"{each.group}: {each.check}": each for each in self.examine() if each.state is CheckState.FAILED}


@contextmanager
def healthy_harbour(root: Path, **config: Any) -> Iterator[Harbour]:
    users = {"gitlab_user": "cloner", "jenkins_user": "automation", "elasticsearch_user": "keeper"}
    harbour = Harbour(HarbourConfig(root=root, fork_s=0.02, **(SECRETS | users | config)))
    harbour.start()
    yield harbour
    harbour.stop()


def token_that_ends_in(days: int) -> str:
    """Return a token as Argo CD makes them, except for its signature."""
    ends_at = datetime.now(UTC) + timedelta(days=days)
    claims = json.dumps({"iss": "argocd", "sub": "provisioner:apiKey", "exp": int(ends_at.timestamp())})
    return f"e30.{base64.urlsafe_b64encode(claims.encode()).decode().rstrip('=')}.c2lnbmF0dXJl"


def environment_of(settings: WorkerSettings) -> dict[str, str]:
    """Return the settings as a process gets them."""
    texts = {}
    for name, value in settings:
        shown = value[0] if isinstance(value, tuple) and value else value
        if shown not in (None, ()):
            texts[name.upper()] = shown.get_secret_value() if isinstance(shown, SecretStr) else str(shown)
    return texts
