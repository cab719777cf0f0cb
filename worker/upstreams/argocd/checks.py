"""The doctor's checks of Argo CD: the right to register repositories and create applications, projects, clusters.

A list shows what the token may see and no more, so what is missing in it may still exist.
Source: argo-cd 3.5 `server/account CanI`, `server/project Get`, `server/cluster List`.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cached_property, partial
from typing import Any

from common.config.catalog import Catalog, CatalogTeam
from common.config.namespaces import SAMPLE_APP
from common.config.naming import helm_repository
from common.config.settings import WorkerSettings
from worker.upstreams.argocd import access_checks
from worker.upstreams.argocd.git_access_checks import GitAccessChecks
from worker.upstreams.argocd.project_checks import POLICY as _POLICY
from worker.upstreams.argocd.project_checks import ProjectChecks
from worker.upstreams.check import Check, CheckFailedError, CheckInconclusiveError
from worker.upstreams.probe import Probe, json_object
from worker.upstreams.replies import Reply

APPLICATION_RIGHTS = ("get", "create", "update", "delete", "sync")
REPOSITORY_RIGHTS = ("get", "create", "update", "delete")
_API = ("api", "v1")


class ArgoCDChecks:
    """`clone_base` returns the address under which GitLab offers its repositories, "" when it does not say.

    `namespaces` returns those in which a team's apps run.
    """

    def __init__(
        self,
        probe: Probe,
        settings: WorkerSettings,
        catalog: Catalog,
        *,
        clone_base: Callable[[], str],
        namespaces: Callable[[str], list[str]],
    ) -> None:
        self._probe = probe
        self._settings = settings
        self._access = access_checks.of(probe, token=settings.argocd_token.get_secret_value().rpartition(" ")[2])
        self._teams = list(catalog.teams.values())
        self._clone_base = clone_base
        self._namespaces = namespaces

    def all(self) -> tuple[Check, ...]:
        teams = [check for team in self._teams for check in self._team(team)]
        access = GitAccessChecks(self._probe, self._settings, self._teams, clone_base=self._clone_base)
        return (*self._access.values(), *teams, self._repositories(), *access.all())

    def _team(self, team: CatalogTeam) -> list[Check]:
        project, cluster = team.argocd_project, team.cluster
        return [
            Check(
                name=f"cluster {cluster}",
                question="Does Argo CD know the team's cluster?",
                remedy=f"argocd cluster add CONTEXT --name {cluster}; or set DEV_CLUSTER_NAME, OPS_CLUSTER_NAME or the "
                "catalog's cluster to a name that argocd cluster list shows",
                run=partial(self._cluster, cluster),
                needs=("token",),
            ),
            *ProjectChecks(
                self._probe,
                team,
                clusters=lambda: self._clusters,
                helm_url=self._helm_url,
                namespaces=partial(self._namespaces, team.id),
            ).all(),
            Check(
                name=f"rights in {project}",
                question="May the token manage the team's applications?",
                remedy=f"{_POLICY}, for {{get, create, update, delete, sync}}: p, ROLE, applications, ACTION, "
                f"{project}/*, allow",
                run=partial(self._application_rights, team),
                needs=("token",),
            ),
        ]

    def _repositories(self) -> Check:
        return Check(
            name="rights on repositories",
            question="May the token manage repositories?",
            remedy=f"{_POLICY}, for {{get, create, update, delete}}: p, ROLE, repositories, ACTION, *, allow",
            run=self._repository_rights,
            needs=("token",),
        )

    # -- the teams' places ------------------------------------------------------------------------------------

    @cached_property
    def _clusters(self) -> dict[str, dict[str, Any]]:
        reply = self._probe.expect(self._probe.get(*_API, "clusters"), "listing the clusters")
        return {str(row.get("name")): row for row in json_object(reply).get("items") or ()}

    def _cluster(self, name: str) -> str:
        if name in self._clusters:
            return str(self._clusters[name].get("server", ""))
        if not self._may("clusters", "get", "*"):
            remedy = f"{_POLICY}: p, ROLE, clusters, get, *, allow; or check by hand: argocd cluster list"
            raise CheckInconclusiveError("the token may not read clusters, which jobs do not need", remedy)
        raise CheckFailedError(
            f"Argo CD knows no cluster {name}: it knows {', '.join(sorted(self._clusters)) or 'none'}"
        )

    def _helm_url(self, team: CatalogTeam) -> str:
        base = self._clone_base()
        if not base:
            raise CheckInconclusiveError("GitLab does not show the addresses of its repositories")
        return f"{base}/{team.gitlab_group}/{helm_repository(SAMPLE_APP)}.git"

    # -- rights -----------------------------------------------------------------------------------------------

    def _application_rights(self, team: CatalogTeam) -> str:
        project = team.argocd_project
        place = (project, team.argocd_namespace, SAMPLE_APP) if team.argocd_namespace else (project, SAMPLE_APP)
        lacking = [right for right in APPLICATION_RIGHTS if not self._may("applications", right, *place)]
        if lacking:
            raise CheckFailedError(f"the token may not {', '.join(lacking)} applications in {project}")
        return ", ".join(APPLICATION_RIGHTS)

    def _repository_rights(self) -> str:
        """Ask about `*` first, then about each address: a policy may name the addresses instead of all."""
        not_for_all = [right for right in REPOSITORY_RIGHTS if not self._may("repositories", right, "*")]
        urls = [self._helm_url(team) for team in self._teams] if not_for_all else []
        lacking = [right for right in not_for_all if not all(self._may("repositories", right, url) for url in urls)]
        if lacking:
            raise CheckFailedError(f"the token may not {', '.join(lacking)} repositories")
        return ", ".join(REPOSITORY_RIGHTS)

    def _may(self, resource: str, action: str, *thing: str) -> bool:
        reply = self._probe.get(*_API, "account", "can-i", resource, action, *thing)
        return json_object(self._can_i(reply)).get("value") == "yes"

    def _can_i(self, reply: Reply) -> Reply:
        if reply.status in (301, 404):  # a proxy, or an old server, that splits an address in a path
            raise CheckInconclusiveError(
                "the request does not reach Argo CD", "argocd account can-i create repositories '*'"
            )
        return self._probe.expect(reply, "reading our rights")
