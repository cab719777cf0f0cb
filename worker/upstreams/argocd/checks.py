"""Does Argo CD let us register repositories and make applications, in each team's project and on its cluster?

A list shows what the token may see and no more, so what is missing there is not always absent.
Source: argo-cd 3.5 `server/account CanI`, `server/project Get`, `server/cluster List`.
"""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from functools import cached_property, partial
from typing import Any

from common.config.catalog import Catalog, Team
from common.config.naming import helm_repository
from common.config.settings import WorkerSettings
from worker.upstreams.argocd.project_globs import allows_destination, allows_source
from worker.upstreams.check import Check, CheckFailedError, Untold
from worker.upstreams.error_text import reason_in
from worker.upstreams.http import Reply
from worker.upstreams.probe import Probe, at_least, json_object

OLDEST = (2, 8)  # since then a look at an application may name its project
SOON = timedelta(days=7)
ANY_APP = "any-app"
APPLICATION_RIGHTS = ("get", "create", "update", "delete", "sync")
REPOSITORY_RIGHTS = ("get", "create", "update", "delete")
_API = ("api", "v1")
_MAKE_ONE = (
    "argocd account generate-token --account NAME (the account needs the capability apiKey in the ConfigMap "
    "argocd-cm); put it in ARGO_TOKEN"
)
_POLICY = "in policy.csv of the ConfigMap argocd-rbac-cm"


class ArgoCDChecks:
    """`clone_base` returns the address under which GitLab offers its repositories, "" when it does not say."""

    def __init__(
        self, way: Probe, settings: WorkerSettings, catalog: Catalog, *, clone_base: Callable[[], str]
    ) -> None:
        self._way = way
        self._token_text = settings.argocd_token.get_secret_value().rpartition(" ")[2]
        self._teams = list(catalog.teams.values())
        self._clone_base = clone_base

    def table(self) -> tuple[Check, ...]:
        teams = [check for team in self._teams for check in self._about_team(team)]
        return (*self._about_us(), *teams, self._about_repositories())

    def _about_us(self) -> list[Check]:
        return [
            Check(
                name="answers",
                question="Does Argo CD answer at ARGO_URL?",
                remedy="start argocd-server, or correct ARGO_URL",
                look=self._answers,
            ),
            Check(
                name="version",
                question="Is it a version that we know?",
                remedy="upgrade Argo CD",
                look=self._version,
                needs=("answers",),
            ),
            Check(
                name="token",
                question="Does Argo CD accept ARGO_TOKEN?",
                remedy=_MAKE_ONE,
                look=self._token,
                needs=("answers",),
            ),
            Check(
                name="token's end",
                question="Will the token be valid next week?",
                remedy=_MAKE_ONE,
                look=self._end,
                needs=("token",),
            ),
        ]

    def _about_team(self, team: Team) -> list[Check]:
        project, cluster = team.argocd_project, team.cluster
        place = f"{project}: {cluster}"
        return [
            Check(
                name=f"cluster {cluster}",
                question="Does Argo CD know the team's cluster?",
                remedy=f"argocd cluster add CONTEXT --name {cluster}; or set DEV_CLUSTER_NAME, OPS_CLUSTER_NAME or the "
                "catalog's cluster to a name that argocd cluster list shows",
                look=partial(self._cluster, cluster),
                needs=("token",),
            ),
            Check(
                name=f"project {project}",
                question="Is the team's project there?",
                remedy=f"argocd proj create {project}; or correct argocd_project in the catalog (CATALOG_FILE)",
                look=partial(self._project, project),
                needs=("token",),
            ),
            Check(
                name=f"destinations of {place}",
                question="Does the project allow every namespace of the team's cluster?",
                remedy=f"argocd proj add-destination {project} {cluster} '*' --name",
                look=partial(self._destinations, team),
                needs=(f"project {project}",),
            ),
            Check(
                name=f"sources of {project}: {team.gitlab_group}",
                question="Does the project allow the team's helm repositories?",
                remedy=f"argocd proj add-source {project} '*'",
                look=partial(self._sources, team),
                needs=(f"project {project}",),
            ),
            Check(
                name=f"rights in {project}",
                question="May the token handle the team's applications?",
                remedy=f"{_POLICY}, for {{get, create, update, delete, sync}}: p, ROLE, applications, ACTION, "
                f"{project}/*, allow",
                look=partial(self._application_rights, project),
                needs=("token",),
            ),
        ]

    def _about_repositories(self) -> Check:
        return Check(
            name="rights on repositories",
            question="May the token handle repositories?",
            remedy=f"{_POLICY}, for {{get, create, update, delete}}: p, ROLE, repositories, ACTION, *, allow",
            look=self._repository_rights,
            needs=("token",),
        )

    # -- we ---------------------------------------------------------------------------------------------------

    def _answers(self) -> str:
        reply = self._way.get("api", "version")
        if reply.status == 307:
            raise CheckFailedError("Argo CD wants https", "let ARGO_URL begin with https://")
        if "Version" not in json_object(reply):
            raise self._way.stranger(reply)
        return self._way.url

    def _version(self) -> str:
        return at_least("Argo CD", str(json_object(self._way.get("api", "version"))["Version"]), OLDEST)

    def _token(self) -> str:
        """The call answers 200 to anybody: `loggedIn` tells. Why it is refused, a second call says."""
        reply = self._way.expect(self._way.get(*_API, "session", "userinfo"), "asking who we are")
        who = json_object(reply)
        if who.get("loggedIn") is not True:
            refusal = self._way.get(*_API, "applications", params={"name": "none-such"})
            why = reason_in(refusal.body) if refusal.status == 401 else "it takes us for anonymous"
            raise CheckFailedError(f"Argo CD refuses ARGO_TOKEN: {why}")
        return str(who.get("username", "accepted"))

    def _end(self) -> str:
        ends_at = _end_of(self._token_text)
        if ends_at is None:
            return "it does not say that it ends"
        if ends_at <= datetime.now(UTC) + SOON:
            raise CheckFailedError(f"the token ends on {ends_at.date().isoformat()}")
        return f"it ends on {ends_at.date().isoformat()}"

    # -- the teams' places ------------------------------------------------------------------------------------

    @cached_property
    def _clusters(self) -> dict[str, str]:
        reply = self._way.expect(self._way.get(*_API, "clusters"), "listing the clusters")
        rows = json_object(reply).get("items") or ()
        return {str(row.get("name")): str(row.get("server", "")) for row in rows}

    def _cluster(self, name: str) -> str:
        if name in self._clusters:
            return self._clusters[name]
        if not self._may("clusters", "get", "*"):
            remedy = f"{_POLICY}: p, ROLE, clusters, get, *, allow; or look yourself: argocd cluster list"
            raise Untold("the token may not see clusters, which jobs do not need", remedy)
        raise CheckFailedError(
            f"Argo CD knows no cluster {name}: it knows {', '.join(sorted(self._clusters)) or 'none'}"
        )

    def _project(self, name: str) -> str:
        self._spec(name)
        return "there"

    def _spec(self, name: str) -> dict[str, Any]:
        reply = self._way.get(*_API, "projects", name)
        if reply.status == 404:
            raise CheckFailedError("Argo CD has no such project")
        if reply.status == 403:
            remedy = f"{_POLICY}: p, ROLE, projects, get, {name}, allow; or look yourself: argocd proj get {name}"
            raise Untold("the token may not look at projects, which jobs do not need", remedy)
        spec = json_object(self._way.expect(reply, "looking for the project")).get("spec")
        return spec if isinstance(spec, dict) else {}

    def _destinations(self, team: Team) -> str:
        rows = self._spec(team.argocd_project).get("destinations") or ()
        server = self._clusters.get(team.cluster, "")
        is_allowed = allows_destination(rows, name=team.cluster, server=server, namespace=ANY_APP)
        if not (is_allowed or server):
            raise Untold(f"the project does not name {team.cluster}, and we do not know its server")
        if not is_allowed:
            raise CheckFailedError(
                f"it does not allow a namespace {ANY_APP} on {team.cluster}: every app has one of its own"
            )
        return "allowed"

    def _sources(self, team: Team) -> str:
        patterns = self._spec(team.argocd_project).get("sourceRepos") or ()
        url = self._helm_url(team)
        if not allows_source(map(str, patterns), url):
            raise CheckFailedError(f"it does not allow {url}: it allows {', '.join(map(str, patterns)) or 'none'}")
        return "allowed"

    def _helm_url(self, team: Team) -> str:
        base = self._clone_base()
        if not base:
            raise Untold("GitLab does not say what the addresses of its repositories are")
        return f"{base}/{team.gitlab_group}/{helm_repository(ANY_APP)}.git"

    # -- rights -----------------------------------------------------------------------------------------------

    def _application_rights(self, project: str) -> str:
        lacking = [right for right in APPLICATION_RIGHTS if not self._may("applications", right, project, ANY_APP)]
        if lacking:
            raise CheckFailedError(f"the token may not {', '.join(lacking)} applications in {project}")
        return ", ".join(APPLICATION_RIGHTS)

    def _repository_rights(self) -> str:
        """A policy may name the addresses instead of all: then the question has to."""
        not_for_all = [right for right in REPOSITORY_RIGHTS if not self._may("repositories", right, "*")]
        urls = [self._helm_url(team) for team in self._teams] if not_for_all else []
        lacking = [right for right in not_for_all if not all(self._may("repositories", right, url) for url in urls)]
        if lacking:
            raise CheckFailedError(f"the token may not {', '.join(lacking)} repositories")
        return ", ".join(REPOSITORY_RIGHTS)

    def _may(self, resource: str, action: str, *thing: str) -> bool:
        reply = self._way.get(*_API, "account", "can-i", resource, action, *thing)
        return json_object(self._can_i(reply)).get("value") == "yes"

    def _can_i(self, reply: Reply) -> Reply:
        if reply.status in (301, 404):  # a proxy, or an old server, that takes an address in a path apart
            raise Untold("the question does not get through to Argo CD", "argocd account can-i create repositories '*'")
        return self._way.expect(reply, "asking what we may do")


def _end_of(token: str) -> datetime | None:
    """Return when a token says that it ends; it is read, not verified: that is Argo CD's business."""
    try:
        payload = token.split(".")[1]
        claims = json.loads(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))
        return datetime.fromtimestamp(float(claims["exp"]), UTC)
    except (IndexError, KeyError, TypeError, ValueError, OverflowError, binascii.Error):
        return None
