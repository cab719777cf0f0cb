"""The Jenkins client: users, their rights, pipelines and builds, with an account that has Overall/Administer.

Jenkins answers people, not programs: a rejected form is a 200, an accepted one a 302, and a role call is a 200 whether
or not it changed anything. So every write is confirmed by reading the object back.
Source: jenkinsci/jenkins 2.568, role-strategy 898, cloudbees-folder 6.1100.
"""

from __future__ import annotations

from worker.upstreams.base import Api
from worker.upstreams.http import Http
from worker.upstreams.jenkins.accounts import Accounts, User
from worker.upstreams.jenkins.builds import Build, Builds, BuildSearch, Console, QueueItem
from worker.upstreams.jenkins.errors import refusal
from worker.upstreams.jenkins.folder_permissions import FolderMember, FolderPermissions
from worker.upstreams.jenkins.pipelines import Pipeline, Pipelines
from worker.upstreams.jenkins.roles import RoleAssignment, Roles

__all__ = [
    "Build",
    "BuildSearch",
    "Console",
    "FolderMember",
    "Jenkins",
    "Pipeline",
    "QueueItem",
    "RoleAssignment",
    "User",
]


class Jenkins:
    """Jenkins' accounts, roles, permissions in folders, pipelines and builds."""

    def __init__(self, http: Http) -> None:
        api = Api(http, translate=refusal)
        self.accounts = Accounts(api)
        self.roles = Roles(api)
        self.folder_permissions = FolderPermissions(api)
        self.pipelines = Pipelines(api)
        self.builds = Builds(api)
