"""How do we make users, memberships and repositories on GitLab, once each and never over somebody else's?

Every `ensure_` looks, creates with our marker what is absent, and looks again when GitLab refuses: its statuses do not
tell a taken name from a bad one, and most of its texts follow the language of the token's owner. What takes things away
again looks first, too, and goes by the marker.
"""

from __future__ import annotations

from worker.upstreams.gitlab.removal import Removal
from worker.upstreams.gitlab.schemas import Group, Membership, Project, User

__all__ = ["GitLab", "Group", "Membership", "Project", "User"]


class GitLab(Removal):
    """GitLab, whole: people, projects, and their removal."""
