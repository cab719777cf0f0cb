"""The git credentials that Argo CD has: `python -m worker.credentials renew`, `python -m worker.credentials drop`.

renew  gives the credential template of each team's group the present GITLAB_READ_TOKEN: after it was changed
drop   takes their own credentials from the repositories that Slipway registered, so that the templates serve them, and
       makes the templates that are not there yet: once, for those that a former version registered

Both are safe to repeat. Exit 0: everything was done; 1: something was not; 78: a setting is missing or wrong.
"""

from __future__ import annotations

import argparse
import logging
import sys
from collections.abc import Callable, Iterable

from sqlalchemy import select

from common.config import catalog, settings
from common.config.catalog import Catalog
from common.config.settings import SettingsError, WorkerSettings
from common.config.upstreams import settings_of
from common.database.engine import Database
from common.database.models import Resource
from common.errors import StepError
from common.states import Provenance
from common.workflows import Upstream
from worker import upstreams
from worker.upstreams import Upstreams
from worker.upstreams.argocd.adapter import read_credentials
from worker.upstreams.argocd.credential_templates import Credentials, prefix_of
from worker.upstreams.argocd.manifest import is_same_repository
from worker.upstreams.gitlab import checks as gitlab_checks
from worker.upstreams.probe import Probe

NOT_DONE = 1
EX_CONFIG = 78
Say = Callable[[str], object]


def main() -> int:
    options = _options()
    logging.disable()  # what it prints has every problem
    try:
        config = settings.load(WorkerSettings)
        teams = catalog.load(config)
    except SettingsError as problem:
        sys.stderr.write(f"{problem}\n")
        return EX_CONFIG
    credentials = read_credentials(config)
    if credentials is None:
        sys.stderr.write("GITLAB_READ_USER and GITLAB_READ_TOKEN are not set: there is nothing to give Argo CD\n")
        return EX_CONFIG
    clients = upstreams.connect(config)
    if options.verb == "renew":
        is_done = renew(clients, config, teams, _say)
    else:
        is_done = drop(clients, credentials, registered(config), _say)
    return 0 if is_done else NOT_DONE


def renew(clients: Upstreams, config: WorkerSettings, teams: Catalog, say: Say) -> bool:
    """Give each team's template the present token; say whether all have it."""
    credentials = read_credentials(config)
    base = _clone_base(clients, config, teams)
    if credentials is None or not base:
        say("not renewed: GitLab does not show the addresses of its repositories. Run python -m worker.doctor")
        return False
    prefixes = sorted({f"{base}/{team.gitlab_group}/" for team in teams.teams.values()})
    return _each(prefixes, lambda prefix: clients.argocd.templates.renew(prefix, credentials), "renewed", say)


def drop(clients: Upstreams, credentials: Credentials, ours: Iterable[str], say: Say) -> bool:
    """Take their own credentials from those of `ours` that no template serves yet; say whether none is left.

    Argo CD tests a repository with its template before it drops anything, so a missing template is made first.
    """
    mine, templates = list(ours), clients.argocd.templates
    try:
        own = clients.argocd.repositories.with_own_credentials()
        urls = [url for url in own if any(is_same_repository(url, each) for each in mine)]
        missing = [prefix for prefix in sorted(set(map(prefix_of, urls))) if templates.find(prefix) is None]
    except StepError as error:
        say(f"not done: {error.reason}")
        return False
    are_made = _each(missing, lambda prefix: templates.ensure(prefix, credentials), "made", say)
    return _each(urls, clients.argocd.repositories.drop_credentials, "dropped", say) and are_made


def registered(config: WorkerSettings) -> list[str]:
    """Return the addresses of the repositories that Slipway has registered in Argo CD and not removed."""
    db = Database(config.db_url.get_secret_value(), pool_size=1)
    ours = (
        Resource.upstream == Upstream.ARGOCD.value,
        Resource.kind == "repository",
        Resource.provenance == Provenance.CREATED,
    )
    try:
        return db.read(lambda session: list(session.scalars(select(Resource.ref).where(*ours).order_by(Resource.ref))))
    finally:
        db.dispose()


def _each(urls: Iterable[str], write: Callable[[str], object], done: str, say: Say) -> bool:
    is_done = True
    for url in urls:
        try:
            write(url)
        except StepError as error:
            is_done = False
            say(f"not {done}: {url}: {error.reason}")
        else:
            say(f"{done}: {url}")
    return is_done


def _clone_base(clients: Upstreams, config: WorkerSettings, teams: Catalog) -> str:
    name = Upstream.GITLAB
    probe = Probe(clients.connections[name], setting=f"{name.prefix}_URL", url=settings_of(config, name).url)
    return gitlab_checks.clone_base(probe, teams)


def _say(line: str) -> None:
    sys.stdout.write(f"{line}\n")


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m worker.credentials",
        description="Give Argo CD the credentials that it reads GitLab's repositories with.",
        epilog="Exit 0: everything was done. 1: something was not. 78: a setting is missing or wrong.",
    )
    verbs = parser.add_subparsers(dest="verb", required=True, metavar="VERB")
    verbs.add_parser("renew", help="after GITLAB_READ_TOKEN was changed: write it to the template of each team's group")
    verbs.add_parser("drop", help="once: let the templates serve repositories that have credentials of their own")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
