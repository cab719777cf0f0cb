"""The doctor's checks of what Argo CD reads the teams' helm repositories with.

Neither the list of repositories nor their state proves it: the state is up to an hour old, and a fresh one is a test of
every repository. One application of each group is compared with git instead.
Source: argo-cd 3.5 `server/repocreds List`, `server/application List`, `Get`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial

from common.config.catalog import CatalogTeam
from common.config.settings import WorkerSettings
from worker.upstreams.argocd.causes import GIT, Cause, Failure, read_failure
from worker.upstreams.argocd.credential_templates import template_of
from worker.upstreams.argocd.ownership import listed
from worker.upstreams.argocd.schemas import Object, Objects, Template, Templates
from worker.upstreams.check import Check, CheckFailedError, CheckInconclusiveError
from worker.upstreams.probe import Probe

RENEW = (
    "python -m worker.credentials renew, after GITLAB_READ_TOKEN was set to a token that GitLab accepts; "
    "python -m worker.credentials drop, for repositories that still have credentials of their own"
)
_API = ("api", "v1")
_OURS = "app.kubernetes.io/managed-by=slipway"
_FIELDS = "items.metadata,items.spec,items.status.conditions"


class GitAccessChecks:
    """`clone_base` returns the address under which GitLab offers its repositories, "" when it does not say."""

    def __init__(
        self, probe: Probe, settings: WorkerSettings, teams: Sequence[CatalogTeam], *, clone_base: Callable[[], str]
    ) -> None:
        self._probe = probe
        self._user = settings.gitlab_read_user if settings.gitlab_read_token else None
        self._teams = teams
        self._clone_base = clone_base

    def all(self) -> list[Check]:
        return [
            Check(
                name=f"git access to {team.gitlab_group}",
                question="Can Argo CD read the helm repositories of the team's group?",
                remedy=RENEW,
                run=partial(self._access, team),
                needs=("token",),
            )
            for team in self._teams
        ]

    def _access(self, team: CatalogTeam) -> str:
        base = self._clone_base()
        if not base:
            raise CheckInconclusiveError("GitLab does not show the addresses of its repositories")
        prefix = f"{base}/{team.gitlab_group}/"
        found = self._template(team, prefix)
        apps = [app for app in self._applications(team) if _url(app).startswith(prefix.lower())]
        self._require_readable(team, apps)
        return f"{found}; {'no app to try it on yet' if not apps else f'it reads {_url(apps[0])}'}"

    def _template(self, team: CatalogTeam, prefix: str) -> str:
        """Return which template serves the group. Without a token of ours there has to be one already."""
        reply = self._probe.expect(self._probe.get(*_API, "repocreds"), "listing the credential templates")
        rows = reply.read_as(Templates).items or []
        exact = template_of(prefix, rows)
        if self._user is None:
            return self._foreign_template(team, prefix, rows)
        if exact is None:
            return "its template is made with the next app"
        if exact.username != self._user:
            raise CheckFailedError(
                f"the template for {prefix} is the user {exact.username or '(none)'}'s, not {self._user}'s",
                f"argocd repocreds rm {prefix}; or set GITLAB_READ_USER and GITLAB_READ_TOKEN to that user's",
            )
        return f"the template of {exact.username}"

    def _foreign_template(self, team: CatalogTeam, prefix: str, rows: Sequence[Template]) -> str:
        fitting = [row for row in rows if row.url and prefix.lower().startswith(row.url.lower())]
        if not fitting:
            raise CheckFailedError(
                f"GITLAB_READ_TOKEN is not set, and Argo CD has no credential template for {prefix}",
                "set GITLAB_READ_USER and GITLAB_READ_TOKEN to a user that is Reporter in the groups of all teams; or "
                f"argocd repocreds add {prefix} --username USER --password TOKEN, with a token of the group "
                f"{team.gitlab_group}",
            )
        return f"the template for {max((row.url for row in fitting), key=len)}"

    def _applications(self, team: CatalogTeam) -> list[Object]:
        params: dict[str, str | int] = {"projects": team.argocd_project, "selector": _OURS, "fields": _FIELDS}
        reply = self._probe.expect(self._probe.get(*_API, "applications", params=params), "listing the applications")
        return reply.read_as(Objects).items or []

    def _require_readable(self, team: CatalogTeam, apps: Sequence[Object]) -> None:
        refused = [app.metadata.name for app in apps if _git_failure([app])]
        if apps and (failure := _git_failure([self._compared(team, apps[0])])):
            refused = list(dict.fromkeys([apps[0].metadata.name, *refused]))
            raise CheckFailedError(f"git refuses Argo CD for {listed(refused)}: {failure.words}")
        if refused:
            raise CheckFailedError(f"git refused Argo CD when it last compared {listed(refused)}")

    def _compared(self, team: CatalogTeam, app: Object) -> Object:
        params: dict[str, str | int] = {"project": team.argocd_project, "refresh": "normal"}
        if team.argocd_namespace:
            params["appNamespace"] = team.argocd_namespace
        try:
            reply = self._probe.get(*_API, "applications", app.metadata.name, params=params)
        except CheckFailedError as slow:
            reason = f"Argo CD did not compare {app.metadata.name} in time: {slow.problem}"
            raise CheckInconclusiveError(reason) from None
        return self._probe.expect(reply, f"comparing {app.metadata.name} with git").read_as(Object)


def _git_failure(apps: Sequence[Object]) -> Failure | None:
    conditions = [each for app in apps for each in app.status.conditions or ()]
    failures = [read_failure(each.message) for each in conditions if each.type == "ComparisonError"]
    return next((each for each in failures if (each.cause, each.place) == (Cause.REFUSED, GIT)), None)


def _url(app: Object) -> str:
    return str((app.spec.get("source") or {}).get("repoURL", "")).lower()
