"""The doctor's checks of our own settings, beyond their form: keys, accepted risks, files, catalog, links for people.

A setting that is unsafe or of the wrong form never gets here: every process refuses to start with one.
"""

from __future__ import annotations

from functools import partial
from urllib.parse import urlsplit

from common.config import exposed_files, safety
from common.config.catalog import Catalog
from common.config.settings import WorkerSettings
from common.config.upstreams import settings_of
from common.config.urls import is_loopback
from common.config.weak_secrets import is_weak_key
from common.workflows import EXTERNAL
from worker.upstreams.check import Check, CheckFailedError, CheckInconclusiveError

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
                remedy=f"{safety.RANDOM}; put it first in SECRET_KEYS, "
                "and keep the old key behind it until today's jobs have ended",
                run=self._keys,
            ),
            Check(
                name="risks",
                question="Is everything safe that the network and other users can reach?",
                remedy="correct the settings that are named; every process refuses to start with them",
                run=self._risks,
            ),
            Check(
                name="files with secrets",
                question="Are they readable by nobody else?",
                remedy="chmod o-r the files that are named",
                run=self._files,
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
            if is_weak_key(key.get_secret_value()):
                raise CheckFailedError(f"key {number} of SECRET_KEYS is like a placeholder, not like a random key")
        return f"{len(self._settings.secret_keys)} of them"

    def _risks(self) -> str:
        refused = [str(risk) for risk in safety.refused(self._settings) if risk.setting != "SECRET_KEYS"]
        if refused:
            raise CheckFailedError("; ".join(refused))
        accepted = [f"{risk.setting} by {str(risk.switch).upper()}" for risk in safety.accepted(self._settings)]
        return f"accepted: {', '.join(accepted)}" if accepted else "no risk is accepted"

    def _files(self) -> str:
        if exposed := exposed_files.readable_by_others(self._settings):
            raise CheckInconclusiveError(
                f"every user of this machine can read {', '.join(map(str, exposed))}",
                "chmod o-r them; in a container, where nobody else is, leave them as they are",
            )
        return "readable by us alone"

    def _complete(self) -> str:
        teams, types = self._catalog.teams, self._catalog.types
        if not teams or not types:
            raise CheckFailedError(f"the catalog has no {'types' if teams else 'teams'}")
        for name, entry in [*teams.items(), *types.items()]:
            empty = [field for field, value in entry.model_dump().items() if value == "" and field != "jenkins_role"]
            if empty:
                raise CheckFailedError(f"{name} has an empty {empty[0]}")
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
