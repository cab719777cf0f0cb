"""The doctor's checks of a team's project on Argo CD: its rules must permit the team's apps, and should permit no more.

Source: argo-cd 3.5 `app_project_types.go`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

from common.config.catalog import CatalogTeam
from worker.upstreams.argocd.project_globs import allows_destination, allows_kind, allows_source, is_allowed_name
from worker.upstreams.check import Check, CheckFailedError, CheckInconclusiveError
from worker.upstreams.probe import Probe, json_object

POLICY = "in policy.csv of the ConfigMap argocd-rbac-cm"
ELSEWHERE = "kube-system"
_API = ("api", "v1")


class ProjectChecks:
    """Checks of one team's project.

    `clusters` returns what Argo CD shows of its clusters, by name; `helm_url` an address of a chart of the team;
    `namespaces` those in which its apps run: older apps have others than the pattern's.
    """

    def __init__(
        self,
        probe: Probe,
        team: CatalogTeam,
        *,
        clusters: Callable[[], Mapping[str, Mapping[str, Any]]],
        helm_url: Callable[[CatalogTeam], str],
        namespaces: Callable[[], list[str]],
    ) -> None:
        self._probe = probe
        self._team = team
        self._clusters = clusters
        self._helm_url = helm_url
        self._in_use = namespaces

    def all(self) -> list[Check]:
        team = self._team
        project, cluster = team.argocd_project, team.cluster
        place = f"{project}: {cluster}"
        pattern = team.namespace_glob
        return [
            Check(
                name=f"project {project}",
                question="Does the team's project exist?",
                remedy=f"argocd proj create {project}; or correct argocd_project in the catalog (CATALOG_FILE)",
                run=self._exists,
                needs=("token",),
            ),
            self._check(
                f"destinations of {place}",
                "Does the project allow the namespaces of the team's apps on its cluster?",
                self._remedy_for([pattern]),
                self._destinations,
            ),
            self._check(
                f"other namespaces of {place}",
                "Does the project keep the team's charts out of other namespaces?",
                self._remedy_for([pattern]),
                self._fence,
            ),
            self._check(
                f"sources of {project}: {team.gitlab_group}",
                "Does the project allow the team's helm repositories?",
                f"argocd proj add-source {project} '*'",
                self._sources,
            ),
            self._check(
                f"namespaces made in {project}",
                "Does the project allow that a sync makes the namespace of a new app?",
                f'argocd proj allow-cluster-resource {project} "" Namespace',
                self._namespaces,
            ),
            *([self._source_namespace(team.argocd_namespace)] if team.argocd_namespace else []),
        ]

    def _check(self, name: str, question: str, remedy: str, run: Callable[[], str]) -> Check:
        needs = (f"project {self._team.argocd_project}",)
        return Check(name=name, question=question, remedy=remedy, run=run, needs=needs)

    def _source_namespace(self, namespace: str) -> Check:
        project = self._team.argocd_project
        return self._check(
            f"applications of {project} in {namespace}",
            "Does the project allow applications in the team's argocd_namespace?",
            f"argocd proj add-source-namespace {project} {namespace}; and add it to application.namespaces in the "
            "ConfigMap argocd-cmd-params-cm",
            partial(self._applications_in, namespace),
        )

    def _exists(self) -> str:
        self._spec()
        return "exists"

    def _spec(self) -> dict[str, Any]:
        name = self._team.argocd_project
        reply = self._probe.get(*_API, "projects", name)
        if reply.status == 404:
            raise CheckFailedError("Argo CD has no such project")
        if reply.status == 403:
            remedy = f"{POLICY}: p, ROLE, projects, get, {name}, allow; or check by hand: argocd proj get {name}"
            raise CheckInconclusiveError("the token may not read projects, which jobs do not need", remedy)
        spec = json_object(self._probe.expect(reply, "reading the project")).get("spec")
        return spec if isinstance(spec, dict) else {}

    def _destinations(self) -> str:
        team, spec = self._team, self._spec()
        shown = self._clusters().get(team.cluster, {})
        if not self._allows(spec, team.sample_namespace):
            if not shown:
                raise CheckInconclusiveError(f"the project does not name {team.cluster}, and its server is not known")
            raise CheckFailedError(
                f"it does not allow a namespace {team.sample_namespace} on {team.cluster}: every app has its own "
                "namespace"
            )
        if spec.get("permitOnlyProjectScopedClusters") and shown and shown.get("project") != team.argocd_project:
            raise CheckFailedError(
                f"it permits only clusters of its own, and {team.cluster} is not one of them",
                f"argocd cluster add CONTEXT --name {team.cluster} --project {team.argocd_project}; or take "
                "permitOnlyProjectScopedClusters out of the project",
            )
        if closed := [each for each in self._older() if not self._allows(spec, each)]:
            raise CheckFailedError(
                f"it does not allow {', '.join(closed)} on {team.cluster}, where apps run that were made before the "
                "team's pattern: none of them can be deployed",
                self._remedy_for(closed),
            )
        return "allowed"

    def _older(self) -> list[str]:
        """Return the namespaces of the team's apps that its pattern does not give."""
        return [each for each in self._in_use() if not is_allowed_name([self._team.namespace_glob], each)]

    def _remedy_for(self, namespaces: list[str]) -> str:
        team = self._team
        return "; ".join(
            f"argocd proj add-destination {team.argocd_project} {team.cluster} '{each}' --name" for each in namespaces
        )

    def _fence(self) -> str:
        if self._allows(self._spec(), ELSEWHERE):
            reason = f"a chart of the team can change {ELSEWHERE} and what other teams run: the project allows it"
            needed = self._remedy_for([self._team.namespace_glob, *self._older()])
            rest = f"argocd proj remove-destination {self._team.argocd_project} SERVER '*', for each that allows more"
            raise CheckInconclusiveError(reason, f"{needed}; {rest}")
        return f"only {', '.join([self._team.namespace_glob, *self._older()])}"

    def _allows(self, spec: Mapping[str, Any], namespace: str) -> bool:
        cluster = self._team.cluster
        server = str(self._clusters().get(cluster, {}).get("server", ""))
        return allows_destination(spec.get("destinations") or (), name=cluster, server=server, namespace=namespace)

    def _sources(self) -> str:
        patterns = self._spec().get("sourceRepos") or ()
        url = self._helm_url(self._team)
        if not allows_source(map(str, patterns), url):
            raise CheckFailedError(f"it does not allow {url}: it allows {', '.join(map(str, patterns)) or 'none'}")
        return "allowed"

    def _namespaces(self) -> str:
        """Ask as a first sync does: it makes the namespace, and an empty list permits nothing without a namespace."""
        spec, name = self._spec(), self._team.sample_namespace
        denied = spec.get("clusterResourceBlacklist") or ()
        if allows_kind(denied, group="", kind="Namespace", name=name):
            project = self._team.argocd_project
            raise CheckFailedError(
                f"its list of denied cluster resources has Namespace, so the namespace {name} cannot be made",
                f'argocd proj allow-cluster-resource {project} "" Namespace; and remove the entry of '
                "clusterResourceBlacklist that matches it",
            )
        if not allows_kind(spec.get("clusterResourceWhitelist") or (), group="", kind="Namespace", name=name):
            raise CheckFailedError(f"no first deployment can make its namespace, for instance {name}: it permits none")
        return "allowed"

    def _applications_in(self, namespace: str) -> str:
        if not is_allowed_name(map(str, self._spec().get("sourceNamespaces") or ()), namespace):
            raise CheckFailedError(f"it does not allow applications in the namespace {namespace}")
        return "allowed"
