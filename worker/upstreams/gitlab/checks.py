"""The doctor's checks of GitLab: the groups, the templates, and all others in their order.

Source: GitLab API, "Personal access tokens", "Users", "Groups", "Projects"; git's smart HTTP.
"""

from __future__ import annotations

from functools import partial

from common.config.catalog import Catalog
from worker.upstreams.check import Check, CheckFailedError, CheckInconclusiveError
from worker.upstreams.gitlab import access_checks
from worker.upstreams.gitlab.errors import is_moved
from worker.upstreams.gitlab.instance_checks import instance_checks
from worker.upstreams.gitlab.schemas import ProjectSchema, UserSchema
from worker.upstreams.probe import Probe, is_html, json_object
from worker.upstreams.replies import Reply

_API = ("api", "v4")
_NEW_READ_ACCESS = (
    "on GitLab: create a user, invite it to the groups of all teams as Reporter, and add a token to it with the scope "
    "read_repository; set GITLAB_READ_USER to its name and GITLAB_READ_TOKEN to the token. A deploy token of a group "
    "reads this group only"
)
REPORTER = 20


class GitLabChecks:
    """`cloning` is a probe with the token of `reader`, which may only read, None when there is no such token.

    `calls_per_s` is Slipway's own limit, 0 for none.
    """

    def __init__(
        self, probe: Probe, catalog: Catalog, *, cloning: Probe | None, reader: str = "", calls_per_s: float = 0
    ) -> None:
        self._probe = probe
        self._access = access_checks.of(probe)
        self._calls_per_s = calls_per_s
        self._cloning = cloning
        self._reader = reader
        self._groups = sorted({team.gitlab_group for team in catalog.teams.values()})
        kinds = catalog.types.values()
        self._sources = {kind.source_template for kind in kinds}
        self._charts = {kind.helm_template for kind in kinds}

    def all(self) -> tuple[Check, ...]:
        return (
            *self._access.values(),
            *instance_checks(self._probe, calls_per_s=self._calls_per_s),
            *self._places(),
            *self._read_token(),
        )

    def _places(self) -> list[Check]:
        groups = [
            Check(
                name=f"group {path}",
                question="Does the team's group exist?",
                remedy=f"on GitLab: Groups → New group → Create group, with the URL {path}; or correct gitlab_group in "
                "the catalog (CATALOG_FILE)",
                run=partial(self._group, path),
                needs=("administrator",),
            )
            for path in self._groups
        ]
        templates = [
            Check(
                name=f"template {path}",
                question="Does the template exist, with contents, and can it be forked?",
                remedy=f"push the template to {path} on GitLab; or correct the type in the catalog (CATALOG_FILE)",
                run=partial(self._template, path),
                needs=("administrator",),
            )
            for path in sorted(self._sources | self._charts)
        ]
        return groups + templates

    def _read_token(self) -> list[Check]:
        if self._cloning is None:
            return []
        return [
            Check(
                name="read token",
                question="Can GITLAB_READ_USER and GITLAB_READ_TOKEN read repositories?",
                remedy=_NEW_READ_ACCESS,
                run=partial(self._clones, self._cloning),
                needs=("administrator", *(f"group {path}" for path in self._groups)),
            )
        ]

    # -- places -----------------------------------------------------------------------------------------------

    def _group(self, path: str) -> str:
        reply = self._probe.get(*_API, "groups", path, params={"with_projects": "false"})
        if reply.status == 404:
            raise CheckFailedError("GitLab has no such group")
        found = str(json_object(self._probe.expect(reply, "reading the group")).get("full_path", ""))
        if found.lower() != path.lower():  # digits alone are read as an id
            raise CheckFailedError(
                f"GitLab finds {found} under this name", "give the group a path that is not only digits"
            )
        return "exists"

    def _template(self, path: str) -> str:
        reply = self._probe.get(*_API, "projects", path)
        if reply.status == 404 or is_moved(reply):  # GitLab's redirect leads to what was moved away or deleted
            raise CheckFailedError("GitLab has no such project")
        project = json_object(self._probe.expect(reply, "reading the template"))
        if project.get("marked_for_deletion_on"):
            raise CheckFailedError("the project is marked for deletion", f"on GitLab: restore {path}")
        if project.get("empty_repo") or not project.get("default_branch"):
            raise CheckFailedError("its repository is empty, so every fork of it would be empty")
        if project.get("forking_access_level") == "disabled":
            page = "Settings → General → Visibility, project features, permissions → Forks"
            raise CheckFailedError("forking it is turned off", f"on GitLab, in {path}: {page}")
        return f"branch {project['default_branch']}"

    # -- cloning ----------------------------------------------------------------------------------------------

    def _clones(self, cloning: Probe) -> str:
        """Try it on a repository of each team's group: a deploy token may be refused everywhere else."""
        tried = [path for group in self._groups if (path := self._any_project(group))]
        for path in tried:
            reply = _refs(cloning, path)
            if reply.status in (401, 403, 404):
                raise CheckFailedError(f"git cannot read {path} with it ({reply.status})")
            cloning.expect(reply, f"reading {path}")
        untried = [group for group in self._groups if not any(path.startswith(f"{group}/") for path in tried)]
        for group in untried:
            self._require_member(group)
        return f"reads {', '.join(tried)}" if tried else self._clones_template(cloning)

    def _require_member(self, group: str) -> None:
        """Look for the reading account among the members of a group without a repository to try it on.

        An unknown user name says nothing: tokens of groups and deploy tokens come with any, or with their own. An
        auditor, of GitLab Premium, reads every group.
        """
        users = self._probe.get(*_API, "users", params={"username": self._reader}).read_as(list[UserSchema])
        if not users or users[0].is_auditor:
            return
        reply = self._probe.get(*_API, "groups", group, "members", "all", str(users[0].id))
        level = int(json_object(reply).get("access_level") or 0)
        if reply.status in (200, 404) and level < REPORTER:
            raise CheckFailedError(
                f"{self._reader} cannot read what will be in the group {group}",
                f"on GitLab: {group} → Manage → Members → Invite members: {self._reader}, with the role Reporter",
            )

    def _clones_template(self, cloning: Probe) -> str:
        path = min(self._charts)
        reply = _refs(cloning, path)
        if reply.status != 200 or is_html(reply):
            reason = f"no team has a repository to try it on yet, and it cannot read {path} ({reply.status})"
            raise CheckInconclusiveError(reason, _NEW_READ_ACCESS)
        return f"reads {path}"

    def _any_project(self, group: str) -> str:
        newest: dict[str, str | int] = {"per_page": 1, "simple": "true", "archived": "false", "with_shared": "false"}
        reply = self._probe.expect(
            self._probe.get(*_API, "groups", group, "projects", params=newest), "listing projects"
        )
        projects = reply.read_as(list[ProjectSchema])
        return projects[0].path_with_namespace if projects else ""


def _refs(cloning: Probe, path: str) -> Reply:
    return cloning.get(*f"{path}.git".split("/"), "info", "refs", params={"service": "git-upload-pack"})


def clone_base(probe: Probe, catalog: Catalog) -> str:
    """Return what the addresses of GitLab's repositories begin with, "" when GitLab does not say."""
    template = min(kind.helm_template for kind in catalog.types.values())
    try:
        project = json_object(probe.get(*_API, "projects", template))
    except CheckFailedError:  # GitLab's own checks report it
        return ""
    url, path = str(project.get("http_url_to_repo", "")), str(project.get("path_with_namespace", ""))
    is_ours = probe.is_own(url) and path and url.endswith(f"/{path}.git")
    return url.removesuffix(f"/{path}.git") if is_ours else ""
