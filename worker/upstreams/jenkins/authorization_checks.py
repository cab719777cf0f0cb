"""The doctor's checks of who may do what on Jenkins: the strategy, the teams' roles, the right to open Jenkins at all.

Source: role-strategy 898 `RoleBasedAuthorizationStrategy`; jenkins 2.568 `Jenkins.getTarget`; matrix-auth 3.2.
"""

from __future__ import annotations

import re
from functools import partial
from typing import Any

from common.config import naming
from common.config.catalog import CatalogTeam
from common.config.namespaces import SAMPLE_APP
from worker.upstreams.check import Check, CheckFailedError, CheckInconclusiveError
from worker.upstreams.jenkins.roles import GLOBAL, ITEM
from worker.upstreams.probe import Probe, json_object

_STRATEGY = ("role-strategy", "strategy")
_AUTHORIZATION = "on Jenkins: Manage Jenkins → Security → Authorization"
_MANAGE = "on Jenkins: Manage Jenkins → Manage and Assign Roles"
_ITEM_ROLES = f"{_MANAGE} → Manage Roles → Item roles"
_OPENS = ("hudson.model.Hudson.Read", "hudson.model.Hudson.Administer")
_NEEDED = {"hudson.model.Item.Read": "Job/Read", "hudson.model.Item.Build": "Job/Build"}
_EVERYBODY = ("authenticated", "anonymous")
_LONGEST_PATTERN, _FEW = 300, 3  # characters; parts that repeat without an end, each of which multiplies the time
_UNBOUNDED = re.compile(r"[*+}]")
_REPEATED_GROUP = re.compile(r"\)[*+{]")


class AuthorizationChecks:
    """The checks of the teams' rights; a team uses roles, or the matrix of its folder."""

    def __init__(self, probe: Probe, teams: list[CatalogTeam]) -> None:
        self._probe = probe
        self._by_roles = [team for team in teams if team.jenkins_authorization == "role-strategy"]
        self._by_matrix = [team for team in teams if team.jenkins_authorization == "matrix"]

    def all(self) -> list[Check]:
        roles = [check for team in self._by_roles for check in self._of_team(team)]
        return [*self._strategy_checks(), *roles, *self._matrix_checks()]

    def _strategy_checks(self) -> list[Check]:
        if not self._by_roles:
            return []
        return [
            Check(
                name="role strategy",
                question="Is role-strategy the active authorization?",
                remedy=f"{_AUTHORIZATION} → Role-Based Strategy; or, to keep a project-based matrix, set "
                'jenkins_authorization = "matrix" for the teams in the catalog (CATALOG_FILE)',
                run=self._role_strategy,
                needs=("plugin role-strategy",),
            ),
            Check(
                name="overall read",
                question="May a new person open Jenkins?",
                remedy=f"{_MANAGE} → Manage Roles → Global roles: add reader with Overall/Read; → Assign Roles → "
                "Global roles: give it to the group authenticated; or name it as jenkins_global_role of each team in "
                "the catalog (CATALOG_FILE)",
                run=self._overall_read,
                needs=("role strategy",),
            ),
        ]

    def _of_team(self, team: CatalogTeam) -> list[Check]:
        pattern = f"{team.jenkins_folder}(/.*_{team.id})?"
        on_pipelines = f"role {team.jenkins_role} on {_pipeline_of(team)}"
        return [
            Check(
                name=f"role {team.jenkins_role}",
                question="Does the team's item role exist, and may its people build?",
                remedy=f"{_ITEM_ROLES}: add {team.jenkins_role} with the pattern {pattern} and Job/Read, Build, "
                "Cancel; or correct jenkins_role in the catalog (CATALOG_FILE)",
                run=partial(self._role, team),
                needs=("role strategy",),
            ),
            Check(
                name=on_pipelines,
                question="Does the role's pattern match the team's pipelines?",
                remedy=f"{_ITEM_ROLES}: change the pattern of {team.jenkins_role} to {pattern}",
                run=partial(self._pattern, team),
                needs=(f"role {team.jenkins_role}",),
            ),
            Check(
                name=f"role {team.jenkins_role} on {team.jenkins_folder}",
                question="Does the role's pattern match the folder itself?",
                remedy=f"{_ITEM_ROLES}: change the pattern of {team.jenkins_role} to {pattern}",
                run=partial(self._folder_pattern, team),
                needs=(on_pipelines,),
            ),
        ]

    def _matrix_checks(self) -> list[Check]:
        if not self._by_matrix:
            return []
        return [
            Check(
                name="matrix authorization",
                question="Do permissions in folders have an effect, and may a new person open Jenkins?",
                remedy=f"{_AUTHORIZATION} → Project-based Matrix Authorization Strategy: Overall/Read for "
                "Authenticated Users; or set jenkins_authorization and jenkins_role of the teams in the catalog "
                "(CATALOG_FILE)",
                run=self._matrix_strategy,
                needs=("plugin matrix-auth",),
            )
        ]

    # -- the strategy -----------------------------------------------------------------------------------------

    def _role_strategy(self) -> str:
        if not self._is_role_based():
            raise CheckFailedError("another authorization strategy is active, so roles have no effect")
        return "active"

    def _matrix_strategy(self) -> str:
        if self._is_role_based():
            raise CheckFailedError("role-strategy is active, so permissions in folders have no effect")
        reason = "Jenkins does not say which authorization is active, nor what its matrix allows"
        place = _AUTHORIZATION.removeprefix("on Jenkins: ")
        raise CheckInconclusiveError(
            reason,
            f"open {place}: it must be Project-based Matrix, with Overall/Read for Authenticated Users; sign-ups do "
            "not see who has rights in it, so remove the entries of people who leave",
        )

    def _is_role_based(self) -> bool:
        reply = self._probe.get(*_STRATEGY, "getAllRoles", params={"type": ITEM})
        if reply.status == 404:
            return False
        self._probe.expect(reply, "reading the roles")
        return True

    # -- Overall/Read -----------------------------------------------------------------------------------------

    def _overall_read(self) -> str:
        """No item role includes Overall/Read, and without it every page is a 403."""
        for_everybody = self._role_for_everybody()
        without = [team.id for team in self._by_roles if not (for_everybody or team.jenkins_global_role)]
        if without:
            raise CheckFailedError(
                f"no global role with Overall/Read is given to everybody, and {', '.join(without)} names none: "
                "a new person gets a 403 on all of Jenkins"
            )
        own = sorted({team.jenkins_global_role for team in self._by_roles if team.jenkins_global_role})
        for role in own:
            if not self._opens(self._details(GLOBAL, role)):
                raise CheckFailedError(
                    f"the global role {role} of the catalog does not exist, or lacks Overall/Read",
                    f"{_MANAGE} → Manage Roles → Global roles: add {role} with Overall/Read; or correct "
                    "jenkins_global_role in the catalog (CATALOG_FILE)",
                )
        return f"by the global role {for_everybody or ', '.join(own)}"

    def _role_for_everybody(self) -> str | None:
        reply = self._probe.get(*_STRATEGY, "getAllRoles", params={"type": GLOBAL})
        roles = json_object(self._probe.expect(reply, "reading the global roles"))
        given = [name for name, sids in roles.items() if any(_is_everybody(each) for each in sids)]
        return next((name for name in given if self._opens(self._details(GLOBAL, name))), None)

    @staticmethod
    def _opens(details: dict[str, Any]) -> bool:
        return any(details.get("permissionIds", {}).get(each) for each in _OPENS)

    # -- the teams' roles -------------------------------------------------------------------------------------

    def _role(self, team: CatalogTeam) -> str:
        details = self._details(ITEM, team.jenkins_role)
        if not details:
            raise CheckFailedError("Jenkins has no such item role")
        held = details.get("permissionIds", {})
        if missing := [title for each, title in _NEEDED.items() if not held.get(each)]:
            raise CheckFailedError(
                f"the role lacks {' and '.join(missing)}", f"{_ITEM_ROLES}: give them to {team.jenkins_role}"
            )
        return "exists"

    def _pattern(self, team: CatalogTeam) -> str:
        pattern = str(self._details(ITEM, team.jenkins_role).get("pattern", ""))
        if not _matches(pattern, _pipeline_of(team)):
            raise CheckFailedError(
                f"its pattern {pattern} does not match {_pipeline_of(team)}: the team cannot see its pipelines"
            )
        return pattern

    def _folder_pattern(self, team: CatalogTeam) -> str:
        """Another role may give access to it: people reach an item through every folder above it."""
        pattern = str(self._details(ITEM, team.jenkins_role).get("pattern", ""))
        if not _matches(pattern, team.jenkins_folder):
            reason = (
                f"its pattern {pattern} does not match {team.jenkins_folder} itself, so people need another role for it"
            )
            raise CheckInconclusiveError(
                reason, f"{_ITEM_ROLES}: the pattern {team.jenkins_folder}(/.*_{team.id})? matches both"
            )
        return team.jenkins_folder

    def _details(self, kind: str, role: str) -> dict[str, Any]:
        asked = {"type": kind, "roleName": role}
        return json_object(self._probe.expect(self._probe.get(*_STRATEGY, "getRole", params=asked), "reading the role"))


def _is_everybody(entry: Any) -> bool:
    """Return whether a role's member stands for all people: a plain name before role-strategy 657."""
    sid = entry.get("sid") if isinstance(entry, dict) else entry
    return str(sid).lower() in _EVERYBODY


def _pipeline_of(team: CatalogTeam) -> str:
    return f"{team.jenkins_folder}/{naming.pipeline(SAMPLE_APP, team.id)}"


def _matches(pattern: str, name: str) -> bool:
    """Match the whole name, as the plugin does. Raises CheckInconclusiveError where only Java can, or takes long."""
    is_quick = len(pattern) <= _LONGEST_PATTERN and len(_UNBOUNDED.findall(pattern)) <= _FEW
    if not is_quick or _REPEATED_GROUP.search(pattern):
        raise CheckInconclusiveError(f"only Jenkins itself knows what {pattern} matches")
    try:
        return re.fullmatch(pattern, name) is not None
    except re.error:
        raise CheckInconclusiveError(f"only Jenkins itself knows what {pattern} matches") from None
