"""How do people get onto GitLab: users, groups, memberships?

user     marker: a line of the admin-only `note`, and the e-mail must be equal
member   no marker: a membership is what it is; its level is only ever raised
"""

from __future__ import annotations

from collections.abc import Callable

from common.errors import ActionBy, Conflict, Permanent, StepError, Transient
from worker.upstreams.error_text import reason_in
from worker.upstreams.gitlab.base import Edge, is_locked
from worker.upstreams.gitlab.schemas import (
    DEVELOPER,
    Group,
    GroupRow,
    MemberRow,
    Membership,
    User,
    UserRow,
    carries,
    membership_of,
    same_path,
    user_of,
)
from worker.upstreams.http import Reply


class People(Edge):
    """The half of the client that signs people up."""

    def ensure_user(
        self,
        *,
        login: str,
        email: str,
        name: str,
        password: str,
        marker: str,
        on_create: Callable[[], None],
    ) -> User:
        """Return the user `login`, creating it, confirmed and without rights of its own, when absent.

        Safe to repeat: a user with our marker and the same e-mail is ours. An existing user's password is never
        touched. Raises Conflict when the name (also as a group's) or the e-mail belongs to somebody else, Permanent
        with GitLab's reasons when it does not accept what the person chose. Source: GitLab users API, "Create a user".
        """
        row = self._user_row(login)
        if row is None:
            on_create()
            reply = self._create_user(login, email, name, password, marker)
            if reply.status == 201:
                return user_of(reply.read_as(UserRow), found=False)
            row = self._user_row(login) if reply.status in (400, 409) else None
            if row is None:
                raise self._refused_user(reply, login, password)
        return self._our_user(row, email=email, marker=marker)

    def find_user(self, login: str) -> User | None:
        """Return the user `login`, whoever made it. Source: GitLab users API, "List users", `username`."""
        row = self._user_row(login)
        return user_of(row, found=True) if row else None

    def _user_row(self, login: str) -> UserRow | None:
        reply = self._send("GET", "users", params={"username": login})
        if reply.status != 200:
            raise self._failed(reply, f"looking for the user {login}")
        rows = reply.read_as(list[UserRow])
        return next((row for row in rows if same_path(row.username, login)), None)

    def _create_user(self, login: str, email: str, name: str, password: str, marker: str) -> Reply:
        user = {
            "username": login,
            "email": email,
            "name": name,
            "password": password,
            "note": marker,
            "skip_confirmation": True,
            "projects_limit": 0,
            "can_create_group": False,
        }
        return self._send("POST", "users", json=user)

    def _our_user(self, row: UserRow, *, email: str, marker: str) -> User:
        if carries(row.note, marker) and (row.email or "").lower() == email.lower():
            return user_of(row, found=True)
        raise self._taken(f"GitLab already has a user {row.username}, and we did not make it", "choose another id")

    def _taken(self, reason: str, *choices: str) -> Conflict:
        everywhere = (*choices, "ask an operator whose it is")
        return Conflict(reason, choices=everywhere, upstream=self._http.name)

    def _refused_user(self, reply: Reply, login: str, password: str) -> StepError:
        """Say why GitLab did not create a user who does not exist."""
        doing = f"creating the user {login}"
        if reply.status == 409 and not is_locked(reply):
            # the name is free, so it is the address; GitLab looks at that before it looks at anything else
            return self._taken("the e-mail address belongs to another user of GitLab", "use another e-mail address")
        faults = _validation_faults(reply) if reply.status == 400 else {}
        if not faults:
            return self._failed(reply, doing, password)
        why = reason_in(reply.body, secrets=(password,))
        if "base" in faults:  # users and groups share one set of names
            return self._taken(f"the id {login} is taken on GitLab: {why}", "choose another id")
        return Permanent(f"GitLab refused {doing}: {why}", action_by=ActionBy.USER, upstream=self._http.name)

    def get_group(self, path: str) -> Group:
        """Return the group at the full `path`. Raises Permanent when there is none.

        A path of digits alone is read by GitLab as an id: what comes back must say that it is `path`.
        Source: GitLab groups API, "Get a single group".
        """
        reply = self._send("GET", "groups", path, params={"with_projects": "false"})
        if reply.status not in (200, 404):
            raise self._failed(reply, f"looking for the group {path}")
        row = reply.read_as(GroupRow) if reply.status == 200 else None
        if row is None or not same_path(row.full_path, path):
            raise Permanent(f"GitLab shows us no group {path}", upstream=self._http.name)
        return Group(id=row.id, path=row.full_path, web_url=row.web_url)

    def ensure_member(
        self, group: str, user_id: int, *, access_level: int = DEVELOPER, on_create: Callable[[], None]
    ) -> Membership:
        """Make the user a direct member of `group` with `access_level` at least.

        Safe to repeat: an existing membership is kept, its level only raised. Raises Permanent when the group or the
        user is missing or the group's members are locked. Source: GitLab members API, "Add a member".
        """
        team = self.get_group(group)
        row = self._member_row(team, user_id)
        if row:
            return self._raised(team, row, access_level)
        on_create()
        member = {"user_id": user_id, "access_level": access_level}
        reply = self._send("POST", "groups", str(team.id), "members", json=member)
        if reply.status == 201:
            return membership_of(team, reply.read_as(MemberRow), found=False)
        if reply.status == 409 and (row := self._member_row(team, user_id)):
            return self._raised(team, row, access_level)
        raise self._failed(reply, f"adding a member to {group}")

    def _member_row(self, group: Group, user_id: int) -> MemberRow | None:
        reply = self._send("GET", "groups", str(group.id), "members", str(user_id))
        if reply.status not in (200, 404):
            raise self._failed(reply, f"looking for a member of {group.path}")
        return reply.read_as(MemberRow) if reply.status == 200 else None

    def _raised(self, group: Group, row: MemberRow, access_level: int) -> Membership:
        if row.access_level >= access_level:
            return membership_of(group, row, found=True)
        wanted: dict[str, object] = {"access_level": access_level}
        if row.expires_at:
            wanted["expires_at"] = row.expires_at  # what GitLab does to an expiry left out is not documented
        reply = self._send("PUT", "groups", str(group.id), "members", str(row.id), json=wanted)
        if reply.status != 200:
            raise self._failed(reply, f"raising a member of {group.path}")
        return membership_of(group, reply.read_as(MemberRow), found=True)


def _validation_faults(reply: Reply) -> dict[str, object]:
    """Return the faults by field of a 400 from the model; {} for any other 400."""
    try:
        body = reply.json()
    except Transient:
        return {}
    message = body.get("message") if isinstance(body, dict) else None
    return message if isinstance(message, dict) else {}
