"""Do our own settings make sense together, as far as their form cannot tell?

What does not even have the right form is refused before, as by every process.
"""

from __future__ import annotations

import ipaddress
from functools import partial
from urllib.parse import urlsplit

from common.config.catalog import Catalog
from common.config.settings import WorkerSettings
from worker.upstreams.check import Check, CheckFailedError

_PLACEHOLDERS = ("change", "placeholder", "replace", "example", "0123456789", "1234567890")
_FEWEST_CHARACTERS = 10
_INSIDE = (".svc", ".cluster.local")  # of Kubernetes


class OwnChecks:
    def __init__(self, settings: WorkerSettings, catalog: Catalog) -> None:
        self._settings = settings
        self._catalog = catalog

    def table(self) -> tuple[Check, ...]:
        addresses = {
            "GITLAB": (self._settings.gitlab_url, self._settings.gitlab_ext_url),
            "JENKINS": (self._settings.jenkins_url, self._settings.jenkins_ext_url),
            "ARGO": (self._settings.argocd_url, self._settings.argocd_ext_url),
        }
        return (
            Check(
                name="SECRET_KEYS",
                question="Are the keys made by chance?",
                remedy="python3 -c 'import secrets; print(secrets.token_urlsafe(32))'; put it first in SECRET_KEYS, "
                "and keep the old key behind it until the jobs of today are over",
                look=self._keys,
            ),
            Check(
                name="catalog",
                question="Are there teams that people can join, and types of apps?",
                remedy="complete the catalog: copy common/config/catalog.toml, and set CATALOG_FILE to the copy",
                look=self._complete,
            ),
            *(
                Check(
                    name=f"links to {prefix}_URL",
                    question="Can the people's browsers open them?",
                    remedy=f"set {prefix}_EXT_URL to the address at which people open it",
                    look=partial(_opens, inner, outer),
                )
                for prefix, (inner, outer) in addresses.items()
            ),
        )

    def _keys(self) -> str:
        for number, key in enumerate(self._settings.secret_keys, start=1):
            text = key.get_secret_value().lower()
            if len(set(text)) < _FEWEST_CHARACTERS or any(word in text for word in _PLACEHOLDERS):
                raise CheckFailedError(f"key {number} of SECRET_KEYS looks like a placeholder")
        return f"{len(self._settings.secret_keys)} of them"

    def _complete(self) -> str:
        teams, types = self._catalog.teams, self._catalog.types
        if not teams or not types:
            raise CheckFailedError(f"the catalog has no {'types' if teams else 'teams'}")
        for name, entry in [*teams.items(), *types.items()]:
            empty = [field for field, value in entry.model_dump().items() if value == ""]
            if empty:
                raise CheckFailedError(f"{name} has an empty {empty[0]}")
        if not any(team.self_join for team in teams.values()):
            raise CheckFailedError("nobody can sign up: no team has self_join = true")
        for kind in types.values():
            for path in (kind.source_template, kind.helm_template):
                if "/" not in path:
                    raise CheckFailedError(f"{kind.id}: {path} is no full path: GitLab finds GROUP/PROJECT only")
        return f"teams {', '.join(teams)}; types {', '.join(types)}"


def _opens(inner: str, outer: str | None) -> str:
    shown, worker_host = outer or inner, str(urlsplit(inner).hostname)
    host = str(urlsplit(shown).hostname)
    if is_loopback(host) and not is_loopback(worker_host):
        raise CheckFailedError(f"people's links would lead to {host}, which is each one's own machine")
    if outer is None and not is_loopback(host) and _is_inside(host):
        raise CheckFailedError(f"people's links would lead to {host}, a name that is known inside only")
    return shown


def _is_inside(host: str) -> bool:
    is_bare_name = "." not in host and ":" not in host
    return is_bare_name or host.endswith(_INSIDE)


def is_loopback(host: str) -> bool:
    """Say whether the host is this machine."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost" or host.endswith(".localhost")
