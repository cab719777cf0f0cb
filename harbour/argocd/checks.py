"""Checks of an application before it is stored, in Argo CD's order.

project -> destination -> (with `validate`) the repository and the chart in it -> the project's rules -> the name.
The name comes last, after the slow checks.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from typing import Any

from harbour.argocd.core import DENIED, INVALID, UNKNOWN, ApiError, ArgoCDCore
from harbour.argocd.git import Chart, ChartError, GitError, find_chart
from harbour.argocd.model import Spec, Wanted
from harbour.config import HarbourConfig

NAMESPACE = "argocd"
SUBDOMAIN = re.compile(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*")


class ArgoCDChecks(ArgoCDCore):
    """Starts with Argo CD's own cluster and one for each team, the project `default` and one for each team."""

    def __init__(self, config: HarbourConfig, now: Callable[[], float] = time.time) -> None:
        super().__init__(config, now)
        names = () if config.empty else config.teams
        teams = {f"{team}-cluster": f"https://{team}-cluster.invalid:6443" for team in names}
        self.known_clusters = {"in-cluster": "https://kubernetes.default.svc"} | teams
        self.projects = {"default": project_spec("*")} | {team: project_spec(f"{team}-cluster") for team in names}

    def clusters(self) -> dict[str, str]:
        """Return the server of each cluster, by name."""
        return self.known_clusters

    def check(self, name: str, spec: Spec, *, validate: bool) -> tuple[str, str]:
        """Return the commit that the application will be compared with, and why its manifests do not render.

        Raises ApiError. With `validate`, the second part is always empty.
        """
        project = spec["project"]
        if project not in self.projects:
            raise ApiError(INVALID, f'app is not allowed in project "{project}", or the project does not exist')
        cluster = self._cluster(name, spec.get("destination", {}))
        _require_source(name, spec.get("source", {}))
        revision, problem = self._rendered(spec)
        if validate and problem:
            raise ApiError(INVALID, f"application spec for {name} is invalid: InvalidSpecError: {problem}")
        self._require_allowed(spec, cluster)
        return revision, problem

    def _cluster(self, name: str, destination: dict[str, Any]) -> str:
        known = self.clusters()
        wanted, server = destination.get("name"), destination.get("server")
        problem = _destination_problem(known, wanted, server)
        if problem:
            raise ApiError(INVALID, f"application destination spec for {name} is invalid: {problem}")
        return wanted or next(each for each, address in known.items() if address == server)

    def _rendered(self, spec: Spec) -> tuple[str, str]:
        try:
            return self.chart(spec, target_of(spec)).commit, ""
        except GitError as error:
            return "", f"repository not accessible: {error}"
        except ChartError as error:
            path = spec["source"]["path"]
            return "", f"Unable to generate manifests in {path}: rpc error: code = Unknown desc = {error}"

    def chart(self, spec: Spec, revision: str) -> Chart:
        """Return the chart of an application at a revision. Raises GitError, ChartError."""
        source = spec["source"]
        return find_chart(
            source["repoURL"],
            self.credentials_for(source["repoURL"], spec["project"]),
            revision=revision,
            path=source["path"],
            timeout_s=self.git_timeout_s,
        )

    def _require_allowed(self, spec: Spec, cluster: str) -> None:
        """Refuse what no source or no destination of the project allows; `!` patterns are not supported here."""
        project, url = spec["project"], spec["source"]["repoURL"]
        allowed, server = self.projects[project], self.clusters()[cluster]
        if not any(_matches(each.lower(), url.lower(), "/") for each in allowed["sourceRepos"]):
            raise ApiError(INVALID, f"application repo {url} is not permitted in project '{project}'")
        namespace = spec["destination"].get("namespace", "")
        for each in allowed["destinations"]:
            is_there = _matches(each.get("name", ""), cluster) or _matches(each.get("server", ""), server)
            if is_there and _matches(each["namespace"], namespace):
                return
        target = f"server '{server}' and namespace '{namespace}'"
        reason = f"do not match any of the allowed destinations in project '{project}'"
        raise ApiError(INVALID, f"application destination {target} {reason}")


def project_spec(cluster: str) -> Spec:
    """Return a project that allows every repository, and every namespace of this cluster."""
    return {"sourceRepos": ["*"], "destinations": [{"name": cluster, "server": "", "namespace": "*"}]}


def _matches(pattern: str, value: str, separator: str = "") -> bool:
    """Match a glob whose `*` stops at the separator; a pattern `*` matches everything."""
    one = f"[^{separator}]" if separator else "."
    return pattern == "*" or re.fullmatch(re.escape(pattern).replace(r"\*", f"{one}*"), value) is not None


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
        return "" if server in known.values() else f'cluster "{server}" not found'
    return "application destination must have either a name or a server defined"
