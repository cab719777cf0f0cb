"""The GitLab client: REST API v4 with an administrator's `PRIVATE-TOKEN` of the scope `api`.

Every `ensure_` reads first, creates with our marker what is absent, and reads again when GitLab refuses: its statuses
do not distinguish a taken name from a bad one, and most of its texts follow the language of the token's owner. Every
removal reads first, too, and checks the marker.
"""

from __future__ import annotations

from worker.upstreams.base import Api
from worker.upstreams.gitlab.accounts import Accounts
from worker.upstreams.gitlab.activity import Repositories
from worker.upstreams.gitlab.errors import failure
from worker.upstreams.gitlab.groups import Groups
from worker.upstreams.gitlab.projects import Projects
from worker.upstreams.gitlab.removals import Removals
from worker.upstreams.gitlab.schemas import Branch, Group, Membership, Project, User
from worker.upstreams.http import Http

__all__ = ["Branch", "GitLab", "Group", "Membership", "Project", "User"]


class GitLab:
    """GitLab's accounts, groups and projects."""

    def __init__(self, http: Http) -> None:
        api = Api(http, translate=failure, root=("api", "v4"))
        self.accounts = Accounts(api)
        self.groups = Groups(api)
        self.projects = Projects(api)
        self.removals = Removals(api, self.projects)
        self.repositories = Repositories(api)
