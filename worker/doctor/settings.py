"""The doctor's checks of our own settings, beyond their form: keys, catalog, links for people.

A setting of the wrong form never gets here: every process refuses to start with one.
"""

from __future__ import annotations

from functools import partial
from urllib.parse import urlsplit

from common.config.catalog import Catalog
from common.config.settings import WorkerSettings
from common.config.upstreams import settings_of
from common.config.urls import is_loopback
from common.workflows import EXTERNAL
from worker.upstreams.check import Check, CheckFailedError

_PLACEHOLDERS = ("change", "placeholder", "replace", "example", "0123456789", "1234567890")
_FEWEST_CHARACTERS = 10
_INSIDE = (".svc", ".cluster.local")  # of Kubernetes


class SettingsChecks:
    def __init__(self, settings: WorkerSettings, catalog: Catalog) -> None:
        self._settings = settings
        self._catalog = catalog

    def all(self) -> tuple[Check, ...]:
        pages = {each.prefix: settings_of(self._settings, each) for each in EXTERNAL if each.has_pages}
        return (
            Check(
                name="SECRET_KEYS",
                question="Are the keys random?",
                remedy="python3 -c 'import secrets; print(secrets.token_urlsafe(32))'; put it first in SECRET_KEYS, "
                "and keep the old key behind it until today's jobs have ended",
                run=self._keys,
            ),
            Check(
                name="catalog",
                question="Does it have teams that people can join, and types of apps?",
                remedy="complete the catalog: copy common/config/catalog.toml, and set CATALOG_FILE to the copy",
                run=self._complete,
            ),
            *(
                Check(
                    name=f"links to {prefix}_URL",
                    question="Can people's browsers open them?",
                    remedy=f"set {prefix}_EXT_URL to the address at which people open it in their browsers",
                    run=partial(_link_base, base.url, base.external_url),
                )
                for prefix, base in pages.items()
            ),
        )

    def _keys(self) -> str:
        for number, key in enumerate(self._settings.secret_keys, start=1):
            text = key.get_secret_value().lower()
            if len(set(text)) < _FEWEST_CHARACTERS or any(word in text for word in _PLACEHOLDERS):
                raise CheckFailedError(f"key {number} of SECRET_KEYS is like a placeholder, not like a random key")
        return f"{len(self._settings.secret_keys)} of them"

    def _complete(self) -> str:
        teams, types = self._catalog.teams, self._catalog.types
        if not teams or not types:
            raise CheckFailedError(f"the catalog has no {'types' if teams else 'teams'}")
        for name, entry in [*teams.items(), *types.items()]:
            empty = [field for field, value in entry.model_dump().items() if value == "" and field != "jenkins_role"]
            if empty:
                raise CheckFailedError(f"{name} has an empty {empty[0]}")
        if not any(team.self_join for team in teams.values()):
            raise CheckFailedError("nobody can sign up: no team has self_join = true")
        for kind in types.values():
            for path in (kind.source_template, kind.helm_template):
                if "/" not in path:
                    raise CheckFailedError(f"{kind.id}: {path} is not a full path: write GROUP/PROJECT")
        return f"teams {', '.join(teams)}; types {', '.join(types)}"


def _link_base(inner: str, outer: str | None) -> str:
    shown, worker_host = outer or inner, str(urlsplit(inner).hostname)
    host = str(urlsplit(shown).hostname)
    if is_loopback(host) and not is_loopback(worker_host):
        raise CheckFailedError(f"links would lead people to {host}, which is their own machine")
    if outer is None and not is_loopback(host) and _is_inside(host):
        raise CheckFailedError(f"links would lead people to {host}, a name that only the cluster knows")
    return shown


def _is_inside(host: str) -> bool:
    is_bare_name = "." not in host and ":" not in host
    return is_bare_name or host.endswith(_INSIDE)
