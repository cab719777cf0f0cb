"""GitLab's groups and their members.

member   no marker: a membership is what it is; its level is only ever raised
         removed from this one group; what somebody granted in its subgroups and projects stays
"""

from __future__ import annotations

from collections.abc import Callable

from worker.upstreams.base import Api
from worker.upstreams.gitlab.schemas import (
    DEVELOPER,
    Group,
    GroupSchema,
    MemberSchema,
    Membership,
    membership_of,
    same_path,
)
from worker.upstreams.replies import Reply


class Groups:
    """The groups of one GitLab."""

    def __init__(self, api: Api) -> None:
        self._api = api

    def get(self, path: str) -> Group:
        """Return the group at the full `path`. Raises Permanent when there is none.

        A path of digits alone is read by GitLab as an id: what comes back must say that it is `path`.
        Source: GitLab groups API, "Get a single group".
        """
        reply = self._api.send("GET", "groups", path, params={"with_projects": "false"})
        if reply.status not in (200, 404):
            raise self._api.failed(reply, f"reading the group {path}")
        group = reply.read_as(GroupSchema) if reply.status == 200 else None
        if group is None or not same_path(group.full_path, path):
            raise self._api.permanent(f"GitLab shows us no group {path}")
        return Group(id=group.id, path=group.full_path, web_url=group.web_url)

    def ensure_member(
        self, group: str, user_id: int, *, access_level: int = DEVELOPER, on_create: Callable[[], None]
    ) -> Membership:
        """Make the user a direct member of `group` with `access_level` at least.

        Safe to repeat: an existing membership is kept, its level is only raised. Raises Permanent when the group or the
        user is missing or the group's members are locked. Source: GitLab members API, "Add a member".
        """
        team = self.get(group)
        member = self._member(team, user_id)
        if member:
            return self._raise_level(team, member, access_level)
        on_create()
        wanted = {"user_id": user_id, "access_level": access_level}
        reply = self._api.send("POST", "groups", str(team.id), "members", json=wanted)
        if reply.status == 201:
            self._require_member(reply, team)
            return membership_of(team, reply.read_as(MemberSchema), found=False)
        if reply.status == 409 and (member := self._member(team, user_id)):
            return self._raise_level(team, member, access_level)
        raise self._api.failed(reply, f"adding a member to {group}")

    def _require_member(self, reply: Reply, group: Group) -> None:
        """Refuse an answer without a member: with role promotions to be approved, GitLab only queues the request.

        Source: GitLab members API, "Add a member": `queued_users`.
        """
        body = reply.json()
        if isinstance(body, dict) and "id" not in body and "queued_users" in body:
            raise self._api.permanent(
                f"GitLab has queued the membership in {group.path} for approval: an administrator of GitLab has to "
                "approve it under Admin → Users → Role promotions; then retry"
            )

    def _member(self, group: Group, user_id: int) -> MemberSchema | None:
        reply = self._api.send("GET", "groups", str(group.id), "members", str(user_id))
        if reply.status not in (200, 404):
            raise self._api.failed(reply, f"reading a member of {group.path}")
        return reply.read_as(MemberSchema) if reply.status == 200 else None

    def _raise_level(self, group: Group, member: MemberSchema, access_level: int) -> Membership:
        if member.access_level >= access_level:
            return membership_of(group, member, found=True)
        wanted: dict[str, object] = {"access_level": access_level}
        if member.expires_at:
            wanted["expires_at"] = member.expires_at  # what GitLab does to an expiry left out is not documented
        reply = self._api.send("PUT", "groups", str(group.id), "members", str(member.id), json=wanted)
        if reply.status != 200:
            raise self._api.failed(reply, f"raising the access level of a member of {group.path}")
        self._require_member(reply, group)
        return membership_of(group, reply.read_as(MemberSchema), found=True)

    def remove_member(self, group_path: str, user_id: int) -> bool:
        """Return True once the user is no direct member of the group; memberships below it are left alone.

        Safe to repeat. Raises Permanent when there is no such group: under another path, it would still have the
        member. Source: GitLab members API, "Remove a member".
        """
        group = self.get(group_path)
        if self._member(group, user_id) is None:
            return True
        only_here = {"skip_subresources": "true"}
        reply = self._api.send("DELETE", "groups", str(group.id), "members", str(user_id), params=only_here)
        if reply.status not in (204, 404):
            raise self._api.failed(reply, f"removing a member of {group_path}")
        if self._member(group, user_id):
            raise self._api.transient(f"GitLab still shows the member that left {group_path}")
        return True
