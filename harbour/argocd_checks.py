"""What does Argo CD check about an application before it keeps it, and in which order?

project -> destination -> (with `validate`) the repository and the chart in it -> the project's rules -> the name.
The name comes last, after everything slow.
"""

from __future__ import annotations

import re
from typing import Any

from harbour.argocd_core import DENIED, INVALID, UNKNOWN, ArgoCDCore, Refused
from harbour.argocd_git import Chart, ChartError, GitError, find_chart
from harbour.argocd_model import Spec, Wanted

NAMESPACE = "argocd"
SUBDOMAIN = re.compile(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*")


class ArgoCDChecks(ArgoCDCore):
    def clusters(self) -> dict[str, str]:
        """Return the server of each cluster, by name: Argo CD's own, and one for each team."""
        teams = {f"{team}-cluster": f"https://{team}-cluster.invalid:6443" for team in self.config.teams}
        return {"in-cluster": "https://kubernetes.default.svc"} | teams

    def check(self, name: str, spec: Spec, *, validate: bool) -> tuple[str, str]:
        """Return the commit that the application will be compared with, and what keeps it from being rendered.

        Raises Refused. The second part is never set when `validate` is.
        """
        project = spec["project"]
        if project not in ("default", *self.config.teams):
            raise Refused(INVALID, f'app is not allowed in project "{project}", or the project does not exist')
        cluster = self._cluster(name, spec.get("destination", {}))
        _require_source(name, spec.get("source", {}))
        revision, problem = self._rendered(spec)
        if validate and problem:
            raise Refused(INVALID, f"application spec for {name} is invalid: InvalidSpecError: {problem}")
        self._require_allowed(spec, cluster)
        return revision, problem

    def _cluster(self, name: str, destination: dict[str, Any]) -> str:
        known = self.clusters()
        wanted, server = destination.get("name"), destination.get("server")
        problem = _destination_problem(known, wanted, server)
        if problem:
            raise Refused(INVALID, f"application destination spec for {name} is invalid: {problem}")
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
        """Return the chart of an application at a revision, or raise GitError or ChartError."""
        source = spec["source"]
        return find_chart(
            source["repoURL"],
            self.credentials_for(source["repoURL"], spec["project"]),
            revision=revision,
            path=source["path"],
            timeout_s=self.git_timeout_s,
        )

    def _require_allowed(self, spec: Spec, cluster: str) -> None:
        """A team's project deploys to the team's cluster, `default` to any."""
        project = spec["project"]
        if project == "default" or cluster == f"{project}-cluster":
            return
        target = f"server '{self.clusters()[cluster]}' and namespace '{spec['destination'].get('namespace', '')}'"
        reason = f"do not match any of the allowed destinations in project '{project}'"
        raise Refused(INVALID, f"application destination {target} {reason}")


def check_metadata(wanted: Wanted) -> None:
    """Raise Refused for a foreign namespace or a name that Kubernetes does not take."""
    name = wanted.name
    if wanted.namespace not in ("", NAMESPACE):
        raise Refused(DENIED, f"namespace '{wanted.namespace}' is not permitted")
    if "/" in name or "%" in name:
        raise Refused(UNKNOWN, f"invalid resource name \"{name}\": may not contain '/' or '%'")
    if len(name) > 253 or not SUBDOMAIN.fullmatch(name):
        rule = "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.'"
        reason = f'metadata.name: Invalid value: "{name}": {rule}'
        raise Refused(INVALID, f'Application.argoproj.io "{name}" is invalid: {reason}')


def target_of(spec: Spec) -> str:
    """Return the revision that an application follows."""
    return str(spec["source"].get("targetRevision", "HEAD"))


def _require_source(name: str, source: dict[str, Any]) -> None:
    if not source.get("repoURL") or not source.get("path"):
        rule = "spec.source.repoURL and either spec.source.path or spec.source.chart are required"
        raise Refused(INVALID, f"application spec for {name} is invalid: InvalidSpecError: {rule}")


def _destination_problem(known: dict[str, str], name: str | None, server: str | None) -> str:
    if name and server:
        return "application destination can't have both name and server defined"
    if name:
        return "" if name in known else f"there are no clusters with this name: {name}"
    if server:
        return "" if server in known.values() else f'cluster "{server}" not found'
    return "application destination must have either a name or a server defined"
