"""Checks of an application before it is stored, in Argo CD's order.

project -> destination -> (with `validate`) the repository and the chart in it -> the project's rules -> the name.
The name comes last, after the slow checks.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from harbour.argocd.core import DENIED, INVALID, UNKNOWN, ApiError
from harbour.argocd.git import ChartError, GitError, find_chart
from harbour.argocd.manifests import Manifest, rendered
from harbour.argocd.model import Spec, Wanted
from harbour.argocd.project_rules import allows_destination, allows_source
from harbour.argocd.projects import NAMESPACE, ArgoCDProjects
from harbour.argocd.repositories import ArgoCDRepositories
from harbour.config import HarbourConfig

SUBDOMAIN = re.compile(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*")


@dataclass(frozen=True, kw_only=True)
class Rendering:
    """The objects of an application's chart at a commit, or why there are none, in the repo server's words.

    `problem` is that for the comparison, `refusal` that for a request which asks for validation.
    """

    commit: str = ""
    manifests: list[Manifest] = field(default_factory=list)
    source_type: str = "Helm"
    problem: str = ""
    refusal: str = ""


class ArgoCDChecks(ArgoCDProjects, ArgoCDRepositories):
    """Starts with Argo CD's own cluster and one for each team. `clusters_away` are those that cannot be reached."""

    def __init__(self, config: HarbourConfig, now: Callable[[], float] = time.time) -> None:
        super().__init__(config, now)
        names = () if config.empty else config.teams
        teams = {f"{team}-cluster": f"https://{team}-cluster.invalid:6443" for team in names}
        self.known_clusters = {"in-cluster": "https://kubernetes.default.svc"} | teams
        self.clusters_away: list[str] = []

    def clusters(self) -> dict[str, str]:
        """Return the server of each cluster, by name."""
        return self.known_clusters

    def check(self, name: str, spec: Spec, *, validate: bool) -> Rendering:
        """Return what the application will be compared with. Raises ApiError.

        With `validate`, it has no problem.
        """
        if not name:
            raise ApiError(UNKNOWN, "error while validating and normalizing app: resource name may not be empty")
        self.require_project(spec["project"])
        cluster = self._cluster(name, spec.get("destination", {}))
        _require_source(name, spec.get("source", {}))
        if validate:
            self._require_cluster(cluster)
        rendering = self.render(name, spec, target_of(spec))
        if validate and rendering.refusal:
            raise ApiError(INVALID, f"application spec for {name} is invalid: InvalidSpecError: {rendering.refusal}")
        self._require_allowed(name, spec, cluster)
        return rendering

    def require_project(self, name: str) -> None:
        if name not in self.projects:
            raise ApiError(INVALID, f'app is not allowed in project "{name}", or the project does not exist')

    def _cluster(self, name: str, destination: dict[str, Any]) -> str:
        problem = _destination_problem(self.clusters(), destination.get("name"), destination.get("server"))
        if problem:
            raise ApiError(INVALID, f"application destination spec for {name} is invalid: {problem}")
        return self.cluster_of(destination)

    def cluster_of(self, destination: dict[str, Any]) -> str:
        """Return the name of a destination's cluster, "" when there is none of that name or server."""
        wanted, known = destination.get("name"), self.clusters()
        if wanted:
            return wanted if wanted in known else ""
        return next((name for name, address in known.items() if address == destination.get("server")), "")

    def cluster_problem(self, cluster: str) -> str:
        """Return why a cluster cannot be reached, "" when it can."""
        if cluster not in self.clusters_away:
            return ""
        server = self.clusters()[cluster]
        host = server.rpartition("/")[2]
        asked = f'Get "{server}/version?timeout=32s": dial tcp {host if ":" in host else f"{host}:443"}'
        return f"failed to get server version: {asked}: connect: connection refused"

    def _require_cluster(self, cluster: str) -> None:
        problem = self.cluster_problem(cluster)
        if problem:
            doing = "error while validating and normalizing app: error validating the repo"
            raise ApiError(UNKNOWN, f"{doing}: error getting k8s server version: {problem}")

    def render(self, name: str, spec: Spec, revision: str) -> Rendering:
        """Return the objects of an application's source at a revision."""
        source, commit = spec["source"], ""
        doing = "Failed to load target state: failed to generate manifest for source 1 of 1"
        try:
            self.require_repo_server()
            chart = find_chart(
                source["repoURL"],
                self.credentials_for(source["repoURL"], spec["project"]),
                revision=revision,
                path=source["path"],
                timeout_s=self.git_timeout_s,
            )
            commit, namespace = chart.commit, spec["destination"].get("namespace", "")
            objects = rendered(chart.files, source, name=name, namespace=namespace)
        except GitError as error:
            said = f"rpc error: code = {error.code} desc = {error}"
            return Rendering(problem=f"{doing}: {said}", refusal=self._inaccessible(spec, said))
        except ChartError as error:
            said = f"rpc error: code = Unknown desc = {error}"
            refusal = f"Unable to generate manifests in {source['path']}: {said}"
            return Rendering(commit=commit, problem=f"{doing}: {said}", refusal=refusal)
        kind = "Helm" if "Chart.yaml" in chart.files else "Directory"
        return Rendering(commit=commit, manifests=objects, source_type=kind)

    def _inaccessible(self, spec: Spec, problem: str) -> str:
        """Say that the connection to a repository, which is tested first, fails."""
        url = spec["source"]["repoURL"]
        kind = "git" if self.is_registered(url, spec["project"]) else ""
        tested = problem.replace(
            "desc = failed to list refs:",
            "desc = error testing repository connectivity: unable to ls-remote HEAD on repository: "
            "failed to list refs:",
        )
        repository = f'&Repository{{Repo: "{url}", Type: "{kind}", Name: "", Project: ""}}'
        what = f"repositories not accessible: {repository}: repo client error while testing repository"
        return f"repository not accessible: {what}: {tested}"

    def _require_allowed(self, name: str, spec: Spec, cluster: str) -> None:
        """Refuse what no source or no destination of the project allows."""
        project, url = spec["project"], spec["source"]["repoURL"]
        rules, namespace = self.projects[project], spec["destination"].get("namespace", "")
        if not allows_source(rules, url):
            reason = f"application repo {url} is not permitted in project '{project}'"
        elif not allows_destination(rules, name=cluster, server=self.clusters()[cluster], namespace=namespace):
            place = spec["destination"].get("name") or spec["destination"].get("server")
            target = f"server '{place}' and namespace '{namespace}'"
            refused = f"do not match any of the allowed destinations in project '{project}'"
            reason = f"application destination {target} {refused}"
        else:
            return
        raise ApiError(INVALID, f"application spec for {name} is invalid: InvalidSpecError: {reason}")


def check_metadata(wanted: Wanted) -> None:
    """Raise ApiError for a foreign namespace or a name that Kubernetes does not accept."""
    name = wanted.name
    if wanted.namespace not in ("", NAMESPACE):
        raise ApiError(DENIED, f"namespace '{wanted.namespace}' is not permitted")
    if "/" in name or "%" in name:
        raise ApiError(UNKNOWN, f"invalid resource name \"{name}\": may not contain '/' or '%'")
    if len(name) > 253 or not SUBDOMAIN.fullmatch(name):
        rule = "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.'"
        reason = f'metadata.name: Invalid value: "{name}": {rule}'
        raise ApiError(INVALID, f'Application.argoproj.io "{name}" is invalid: {reason}')


def target_of(spec: Spec) -> str:
    """Return the revision that an application follows."""
    return str(spec["source"].get("targetRevision", "HEAD"))


def _require_source(name: str, source: dict[str, Any]) -> None:
    if not source.get("repoURL") or not source.get("path"):
        rule = "spec.source.repoURL and either spec.source.path or spec.source.chart are required"
        raise ApiError(INVALID, f"application spec for {name} is invalid: InvalidSpecError: {rule}")


def _destination_problem(known: dict[str, str], name: str | None, server: str | None) -> str:
    if name and server:
        return "application destination can't have both name and server defined"
    if name:
        return "" if name in known else f"there are no clusters with this name: {name}"
    if server:
        missing = f'rpc error: code = NotFound desc = cluster "{server}" not found'
        return "" if server in known.values() else f'error getting cluster by server "{server}": {missing}'
    return "application destination must have either a name or a server defined"
