"""Scopes of API tokens: which calls a token may make.

Each scope includes those before it: read, build, deploy, team. A call that is not in the table is made with a session
only. No token manages sessions, tokens, passwords or people, and none has the rights of an administrator.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum


class Scope(StrEnum):
    """read: see the team's projects, apps and jobs · build: also start builds · deploy: also deploy and roll back ·
    team: also create, repair and remove projects and apps, retry and cancel jobs.
    """

    READ = "read"
    BUILD = "build"
    DEPLOY = "deploy"
    TEAM = "team"

    def includes(self, needed: Scope) -> bool:
        order = list(Scope)
        return order.index(needed) <= order.index(self)


SCOPES: Mapping[str, Scope | None] = {  # by the name of the call; None: no token may
    "log_out": None,
    "who_am_i": Scope.READ,
    "list_sessions": None,
    "end_session": None,
    "end_other_sessions": None,
    "list_tokens": None,
    "create_token": None,
    "revoke_token": None,
    "change_password": None,
    "reset_password": None,
    "show_team": Scope.READ,
    "list_members": Scope.READ,
    "list_types": Scope.READ,
    "create_project": Scope.TEAM,
    "list_projects": Scope.READ,
    "show_project": Scope.READ,
    "create_app": Scope.TEAM,
    "list_team_apps": Scope.READ,
    "list_apps": Scope.READ,
    "show_app": Scope.READ,
    "start_build": Scope.BUILD,
    "start_build_by_get": Scope.BUILD,
    "list_builds": Scope.READ,
    "start_deploy": Scope.DEPLOY,
    "roll_back": Scope.DEPLOY,
    "list_deploys": Scope.READ,
    "list_rollback_targets": Scope.READ,
    "reconcile_app": Scope.TEAM,
    "compare_app": Scope.TEAM,
    "start_comparison": Scope.TEAM,
    "remove_app": Scope.TEAM,
    "list_jobs": Scope.READ,
    "show_job": Scope.READ,
    "follow_job": Scope.READ,
    "create_ticket": Scope.READ,
    "read_log": Scope.READ,
    "retry_job": Scope.TEAM,
    "cancel_job": Scope.TEAM,
    "poll_job": Scope.TEAM,
    "count_jobs": Scope.READ,
    "retry_jobs": None,
    "skip_step": None,
    "show_status": None,
    "list_upstreams": None,
    "check_up": None,
    "pause_upstream": None,
    "resume_upstream": None,
    "list_stuck_jobs": None,
    "list_users": None,
    "remove_user": None,
    "list_signups": None,
    "approve_signup": None,
    "reject_signup": None,
    "list_actions": None,
    "export_actions": None,
}
