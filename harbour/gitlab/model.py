"""Records of the GitLab stand-in, found by id or by path."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

DEVELOPER, MAINTAINER, OWNER, ADMIN = 30, 40, 50, 60


def now() -> str:
    return datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


@dataclass(kw_only=True)
class User:
    """An account; `digest` is None for an account without a password.

    `deleting` is `soft` or `hard` between the answer to a DELETE and its end.
    """

    id: int
    namespace_id: int
    username: str
    email: str
    name: str
    digest: str | None = None
    is_password_expired: bool = False
    state: str = "active"
    note: str | None = None
    is_admin: bool = False
    identities: list[dict[str, str]] = field(default_factory=list)
    options: dict[str, Any] = field(default_factory=dict)
    confirmed_at: str | None = None
    created_at: str = field(default_factory=now)
    deleting: str = ""


@dataclass(kw_only=True)
class Member:
    """A direct membership."""

    user_id: int
    access_level: int
    created_by: int
    expires_at: str | None = None
    created_at: str = field(default_factory=now)


@dataclass(kw_only=True)
class Group:
    id: int
    path: str
    full_path: str
    parent_id: int | None = None
    members: list[Member] = field(default_factory=list)
    created_at: str = field(default_factory=now)


@dataclass(kw_only=True)
class Branch:
    """A protected branch; `push` and `merge` hold access level records `{"id", "access_level"}`."""

    id: int
    name: str
    push: list[dict[str, int]]
    merge: list[dict[str, int]]
    allow_force_push: bool = False


@dataclass(kw_only=True)
class Project:
    """`import_source` is the project a fork is copied from, also after the relation is removed; `settled`: copy and
    protection are done. `removing`: the final deletion is accepted, not yet done. `forking`: `enabled`, `private` or
    `disabled`. `mr_default_target_self`: a fork's merge requests go to itself and not to its origin.
    """

    id: int
    namespace_id: int
    name: str
    path: str
    creator_id: int
    visibility: str
    description: str | None = None
    forked_from: int | None = None
    import_source: int = 0
    import_status: str = "none"
    import_error: str | None = None
    default_branch: str | None = None
    archived: bool = False
    marked_for_deletion_on: str | None = None
    branches: list[Branch] = field(default_factory=list)
    created_at: str = field(default_factory=now)
    settled: bool = True
    removing: bool = False
    forking: str = "enabled"
    mr_default_target_self: bool = False
    pushes: list[dict[str, Any]] = field(default_factory=list)
    merge_requests: list[dict[str, Any]] = field(default_factory=list)
    hooks: list[dict[str, Any]] = field(default_factory=list)
    deploy_tokens: list[dict[str, Any]] = field(default_factory=list)


@dataclass(kw_only=True)
class State:
    """All records. `redirects` maps a former full path, lower-cased, to the project that had it."""

    users: dict[int, User] = field(default_factory=dict)
    groups: dict[int, Group] = field(default_factory=dict)
    projects: dict[int, Project] = field(default_factory=dict)
    redirects: dict[str, int] = field(default_factory=dict)
    last_ids: dict[str, int] = field(default_factory=dict)

    def next_id(self, kind: str) -> int:
        self.last_ids[kind] = self.last_ids.get(kind, 0) + 1
        return self.last_ids[kind]

    def user_named(self, username: str) -> User | None:
        return next((u for u in self.users.values() if u.username.lower() == username.lower()), None)

    def group_at(self, path: str) -> Group | None:
        return next((g for g in self.groups.values() if g.full_path.lower() == path.lower()), None)

    def namespace_path(self, namespace_id: int) -> str:
        """Return the full path of a group or of a user's personal namespace."""
        if group := self.groups.get(namespace_id):
            return group.full_path
        return next(u.username for u in self.users.values() if u.namespace_id == namespace_id)

    def namespace_at(self, path: str) -> int | None:
        if group := self.group_at(path):
            return group.id
        user = self.user_named(path)
        return user.namespace_id if user else None

    def has_namespace(self, namespace_id: int) -> bool:
        return namespace_id in self.groups or any(u.namespace_id == namespace_id for u in self.users.values())

    def full_path(self, project: Project) -> str:
        return f"{self.namespace_path(project.namespace_id)}/{project.path}"

    def project_at(self, path: str) -> Project | None:
        """Return the project at this path, in any letter case, without redirects."""
        namespace, _, slug = path.lower().rpartition("/")
        namespace_id = self.namespace_at(namespace)
        found = (p for p in self.projects.values() if p.namespace_id == namespace_id and p.path.lower() == slug)
        return next(found, None)

    def moved_project(self, path: str) -> Project | None:
        return self.projects.get(self.redirects.get(path.lower(), 0))

    def group_lineage(self, group: Group) -> list[Group]:
        """Return the group and its ancestors, nearest first."""
        lineage = [group]
        while lineage[-1].parent_id is not None:
            lineage.append(self.groups[lineage[-1].parent_id])
        return lineage

    def access_level(self, user: User, project: Project) -> int:
        """Return what this user may do in the project: 0 nothing … 50 owner, 60 administrator."""
        if user.is_admin:
            return ADMIN
        if project.namespace_id == user.namespace_id:
            return OWNER
        group = self.groups.get(project.namespace_id)
        members = [m for g in self.group_lineage(group) for m in g.members] if group else []
        return max((m.access_level for m in members if m.user_id == user.id), default=0)

    def dump(self) -> dict[str, Any]:
        return {
            "users": [vars(user) for user in self.users.values()],
            "groups": [vars(g) | {"members": [vars(m) for m in g.members]} for g in self.groups.values()],
            "projects": [vars(p) | {"branches": [vars(b) for b in p.branches]} for p in self.projects.values()],
            "redirects": self.redirects,
            "last_ids": self.last_ids,
        }


def load_state(saved: dict[str, Any]) -> State:
    """Rebuild what `State.dump` returned."""
    users = [User(**row) for row in saved["users"]]
    groups = [Group(**row | {"members": [Member(**m) for m in row["members"]]}) for row in saved["groups"]]
    projects = [Project(**row | {"branches": [Branch(**b) for b in row["branches"]]}) for row in saved["projects"]]
    return State(
        users={user.id: user for user in users},
        groups={group.id: group for group in groups},
        projects={project.id: project for project in projects},
        redirects=saved["redirects"],
        last_ids=saved["last_ids"],
    )
