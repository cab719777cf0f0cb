"""What we read of GitLab's JSON, and what the steps get of it.

Schemas are GitLab's, the other classes are results of ours. Schemas have only the keys that decisions depend on;
GitLab sends many more. `note`, `email` and `import_status` are shown to an administrator's token alone: where they are
absent, a right is missing.
"""

from __future__ import annotations

from dataclasses import dataclass

DEVELOPER = 30


@dataclass(frozen=True)
class UserSchema:
    id: int
    username: str
    web_url: str
    email: str | None = None
    note: str | None = None
    state: str | None = None
    is_auditor: bool | None = None


@dataclass(frozen=True)
class GroupSchema:
    id: int
    full_path: str
    web_url: str


@dataclass(frozen=True)
class MemberSchema:
    id: int
    access_level: int
    expires_at: str | None = None


@dataclass(frozen=True)
class Origin:
    id: int
    path_with_namespace: str | None = None


@dataclass(frozen=True)
class ProjectSchema:
    id: int
    path_with_namespace: str
    web_url: str
    http_url_to_repo: str
    default_branch: str | None = None
    description: str | None = None
    import_status: str | None = None
    name: str | None = None
    import_error: str | None = None
    forked_from_project: Origin | None = None
    marked_for_deletion_on: str | None = None
    empty_repo: bool | None = None
    archived: bool | None = None
    mr_default_target_self: bool | None = None  # of a fork

    def is_fork_of(self, template: str) -> bool:
        """Say whether this came from `template`, a full path or an id in digits."""
        origin = self.forked_from_project
        return origin is not None and (
            same_path(origin.path_with_namespace or "", template) or str(origin.id) == template
        )


@dataclass(frozen=True)
class CommitSchema:
    id: str


@dataclass(frozen=True)
class BranchSchema:
    name: str
    commit: CommitSchema
    default: bool = False


@dataclass(frozen=True)
class AccessSchema:
    access_level: int | None = None
    user_id: int | None = None
    group_id: int | None = None
    deploy_key_id: int | None = None

    @property
    def is_for_role(self) -> bool:
        return self.user_id is None and self.group_id is None and self.deploy_key_id is None


@dataclass(frozen=True)
class ProtectionSchema:
    push_access_levels: list[AccessSchema]
    merge_access_levels: list[AccessSchema]
    allow_force_push: bool = False

    @property
    def is_open_to_developers(self) -> bool:
        push, merge = _role_levels(self.push_access_levels), _role_levels(self.merge_access_levels)
        return push == merge == {DEVELOPER} and not self.allow_force_push


def _role_levels(levels: list[AccessSchema]) -> set[int | None]:
    return {level.access_level for level in levels if level.is_for_role}


def same_path(one: str, other: str) -> bool:
    """Compare as GitLab does: `App` takes the place of `app`."""
    return one.lower() == other.lower()


@dataclass(frozen=True, kw_only=True)
class User:
    """`found`, here and below: it was there before this call."""

    id: int
    login: str
    web_url: str
    found: bool


@dataclass(frozen=True, kw_only=True)
class Group:
    id: int
    path: str
    web_url: str


@dataclass(frozen=True, kw_only=True)
class Membership:
    group_id: int
    user_id: int
    access_level: int
    web_url: str
    found: bool


@dataclass(frozen=True, kw_only=True)
class Project:
    """`path` includes the namespace; `default_branch` is None until the import is over.

    `is_fork`: GitLab still knows that it came from the template that was asked for.
    """

    id: int
    path: str
    web_url: str
    clone_url: str
    default_branch: str | None
    found: bool
    is_fork: bool = False


@dataclass(frozen=True, kw_only=True)
class Branch:
    """A branch and its newest commit."""

    name: str
    commit_id: str
    is_default: bool


def user_of(user: UserSchema, *, found: bool) -> User:
    return User(id=user.id, login=user.username, web_url=user.web_url, found=found)


def membership_of(group: Group, member: MemberSchema, *, found: bool) -> Membership:
    return Membership(
        group_id=group.id, user_id=member.id, access_level=member.access_level, web_url=group.web_url, found=found
    )


def project_of(project: ProjectSchema, *, found: bool, template: str = "") -> Project:
    return Project(
        is_fork=project.is_fork_of(template),
        id=project.id,
        path=project.path_with_namespace,
        web_url=project.web_url,
        clone_url=project.http_url_to_repo,
        default_branch=project.default_branch,
        found=found,
    )
