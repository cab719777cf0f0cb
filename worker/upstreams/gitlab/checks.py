"""Does GitLab let us make people, and fork the templates into the teams' groups?

Source: GitLab API, "Personal access tokens", "Users", "Groups", "Projects"; git's smart HTTP.
"""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from functools import partial
from typing import Any

from common.config.catalog import Catalog
from worker.upstreams.check import Check, CheckFailedError, Untold
from worker.upstreams.error_text import reason_in
from worker.upstreams.gitlab.schemas import ProjectRow
from worker.upstreams.http import Reply
from worker.upstreams.probe import Probe, at_least, is_html, json_object

OLDEST = (16,)
SOON = timedelta(days=7)
_API = ("api", "v4")
_MAKE_ONE = (
    "as an administrator on GitLab: avatar → Edit profile → Access tokens → Add new token, scope api "
    "(and admin_mode, if Admin Mode is on); put it in GITLAB_TOKEN"
)
_MAKE_ONE_TO_READ = (
    "on GitLab, in each team's group: Settings → Repository → Deploy tokens, scope read_repository; or a user that is "
    "Reporter in all of them; put its name in GITLAB_READ_USER and it in GITLAB_READ_TOKEN"
)


class GitLabChecks:
    """`cloning` is the way with the token that may only read repositories, None when there is no such token."""

    def __init__(self, way: Probe, catalog: Catalog, *, cloning: Probe | None) -> None:
        self._way = way
        self._cloning = cloning
        self._groups = sorted({team.gitlab_group for team in catalog.teams.values()})
        kinds = catalog.types.values()
        self._sources = {kind.source_template for kind in kinds}
        self._charts = {kind.helm_template for kind in kinds}

    def table(self) -> tuple[Check, ...]:
        return (*self._about_us(), *self._about_places(), *self._about_cloning())

    def _about_us(self) -> list[Check]:
        return [
            Check(
                name="answers",
                question="Does GitLab answer at GITLAB_URL?",
                remedy="start GitLab, or correct GITLAB_URL",
                look=self._answers,
            ),
            Check(
                name="token",
                question="Does GitLab accept GITLAB_TOKEN?",
                remedy=_MAKE_ONE,
                look=self._token,
                needs=("answers",),
            ),
            Check(
                name="version",
                question="Is it a version that we know?",
                remedy="upgrade GitLab",
                look=self._version,
                needs=("token",),
            ),
            Check(
                name="scope",
                question="Has the token the scope api?",
                remedy=_MAKE_ONE,
                look=self._scope,
                needs=("token",),
            ),
            Check(
                name="token's end",
                question="Will the token be valid next week?",
                remedy=_MAKE_ONE,
                look=self._end,
                needs=("token",),
            ),
            Check(
                name="administrator",
                question="Is the token an administrator's?",
                remedy="on GitLab: Admin → Users → the token's owner → Edit → Administrator; or give GITLAB_TOKEN an "
                "administrator's token. With Admin Mode on, the token needs the scope admin_mode, too",
                look=self._administrator,
                needs=("scope",),
            ),
        ]

    def _about_places(self) -> list[Check]:
        groups = [
            Check(
                name=f"group {path}",
                question="Is the team's group there?",
                remedy=f"on GitLab: Groups → New group → Create group, with the URL {path}; or correct gitlab_group in "
                "the catalog (CATALOG_FILE)",
                look=partial(self._group, path),
                needs=("administrator",),
            )
            for path in self._groups
        ]
        templates = [
            Check(
                name=f"template {path}",
                question="Is the template there, with contents, and may it be forked?",
                remedy=f"push the template to {path} on GitLab; or correct the type in the catalog (CATALOG_FILE)",
                look=partial(self._template, path),
                needs=("administrator",),
            )
            for path in sorted(self._sources | self._charts)
        ]
        return groups + templates

    def _about_cloning(self) -> list[Check]:
        if self._cloning is None:
            return []
        return [
            Check(
                name="read token",
                question="Do GITLAB_READ_USER and GITLAB_READ_TOKEN read repositories?",
                remedy=_MAKE_ONE_TO_READ,
                look=partial(self._clones, self._cloning),
                needs=("administrator", *(f"group {path}" for path in self._groups)),
            )
        ]

    # -- we ---------------------------------------------------------------------------------------------------

    def _answers(self) -> str:
        reply = self._way.get(*_API, "version")
        body = json_object(reply)
        is_it = (reply.status == 200 and "version" in body) or (
            reply.status == 401 and bool(body) and _is_refusal(body)
        )
        if not is_it and reply.status not in (403, 429):
            raise self._way.stranger(reply)
        return self._way.url

    def _token(self) -> str:
        reply = self._way.get(*_API, "version")
        if reply.status == 401:
            raise CheckFailedError(f"GitLab refuses GITLAB_TOKEN: {reason_in(reply.body)}")
        self._way.expect(reply, "looking at its version")
        return "accepted"

    def _version(self) -> str:
        reply = self._way.expect(self._way.get(*_API, "version"), "looking at its version")
        return at_least("GitLab", str(json_object(reply).get("version", "0")), OLDEST)

    def _scope(self) -> str:
        scopes = self._about_token().get("scopes") or []
        if "api" not in scopes:
            raise CheckFailedError(f"the scope api is missing: the token has {', '.join(map(str, scopes)) or 'none'}")
        return ", ".join(map(str, scopes))

    def _end(self) -> str:
        ends_on = self._about_token().get("expires_at")
        if not ends_on:
            return "never"
        if date.fromisoformat(str(ends_on)[:10]) <= (datetime.now(UTC) + SOON).date():
            raise CheckFailedError(f"the token ends on {ends_on}")
        return f"it ends on {ends_on}"

    def _about_token(self) -> dict[str, Any]:
        reply = self._way.get(*_API, "personal_access_tokens", "self")
        if reply.status == 404:
            raise Untold("it is no personal access token, and GitLab says nothing about it", _MAKE_ONE)
        return json_object(self._way.expect(reply, "looking at our token"))

    def _administrator(self) -> str:
        user = json_object(self._way.expect(self._way.get(*_API, "user"), "asking who we are"))
        if user.get("is_admin") is not True:
            raise CheckFailedError(f"the token's owner {user.get('username')} does not act as an administrator")
        return str(user.get("username"))

    # -- places -----------------------------------------------------------------------------------------------

    def _group(self, path: str) -> str:
        reply = self._way.get(*_API, "groups", path, params={"with_projects": "false"})
        if reply.status == 404:
            raise CheckFailedError("GitLab has no such group")
        found = str(json_object(self._way.expect(reply, "looking for the group")).get("full_path", ""))
        if found.lower() != path.lower():  # digits alone are read as an id
            raise CheckFailedError(
                f"GitLab finds {found} under this name", "give the group a path that is not digits alone"
            )
        return "there"

    def _template(self, path: str) -> str:
        reply = self._way.get(*_API, "projects", path)
        if reply.status in (301, 404):  # a redirect leads to what was moved away or deleted
            raise CheckFailedError("GitLab has no such project")
        project = json_object(self._way.expect(reply, "looking for the template"))
        if project.get("marked_for_deletion_on"):
            raise CheckFailedError("the project is about to be deleted", f"on GitLab: restore {path}")
        if project.get("empty_repo") or not project.get("default_branch"):
            raise CheckFailedError("its repository is empty: every fork of it would be")
        if project.get("forking_access_level") == "disabled":
            way_in = "Settings → General → Visibility, project features, permissions → Forks"
            raise CheckFailedError("forking it is turned off", f"on GitLab, in {path}: {way_in}")
        return f"branch {project['default_branch']}"

    # -- cloning ----------------------------------------------------------------------------------------------

    def _clones(self, cloning: Probe) -> str:
        """Try it on a repository of each team's group: a deploy token may be refused everywhere else."""
        tried = [path for group in self._groups if (path := self._any_project(group))]
        for path in tried:
            reply = _refs(cloning, path)
            if reply.status in (401, 403, 404):
                raise CheckFailedError(f"git may not read {path} with it ({reply.status})")
            cloning.expect(reply, f"reading {path}")
        return f"reads {', '.join(tried)}" if tried else self._clones_template(cloning)

    def _clones_template(self, cloning: Probe) -> str:
        path = min(self._charts)
        reply = _refs(cloning, path)
        if reply.status != 200 or is_html(reply):
            reason = f"no team has a repository to try it on yet, and {path} is not open to it ({reply.status})"
            raise Untold(reason, _MAKE_ONE_TO_READ)
        return f"reads {path}"

    def _any_project(self, group: str) -> str:
        newest: dict[str, str | int] = {"per_page": 1, "simple": "true", "archived": "false", "with_shared": "false"}
        reply = self._way.expect(self._way.get(*_API, "groups", group, "projects", params=newest), "listing projects")
        rows = reply.read_as(list[ProjectRow])
        return rows[0].path_with_namespace if rows else ""


def _is_refusal(body: dict[str, Any]) -> bool:
    return body.get("error") == "invalid_token" or str(body.get("message", "")).startswith("401")


def _refs(cloning: Probe, path: str) -> Reply:
    return cloning.get(*f"{path}.git".split("/"), "info", "refs", params={"service": "git-upload-pack"})
