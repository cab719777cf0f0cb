"""JSON views of GitLab's records, as an administrator sees them."""

from __future__ import annotations

from typing import Any

from harbour.gitlab.model import Branch, Group, Member, Project, State, User

LEVEL_NAMES = {0: "No one", 30: "Developers + Maintainers", 40: "Maintainers", 60: "Administrators"}


class Views:
    """Records as JSON values; `url` is GitLab's external address."""

    def __init__(self, state: State, url: str) -> None:
        self.state = state
        self.url = url

    def user(self, user: User) -> dict[str, Any]:
        return self.basic_user(user) | {
            "created_at": user.created_at,
            "email": user.email,
            "confirmed_at": user.confirmed_at,
            "identities": user.identities,
            "is_admin": user.is_admin,
            "namespace_id": user.namespace_id,
            "note": user.note,
            **user.options,
        }

    def basic_user(self, user: User) -> dict[str, Any]:
        return {
            "id": user.id,
            "username": user.username,
            "name": user.name,
            "state": user.state,
            "avatar_url": None,
            "web_url": f"{self.url}/{user.username}",
        }

    def member(self, member: Member) -> dict[str, Any]:
        creator = self.state.users.get(member.created_by)
        return self.basic_user(self.state.users[member.user_id]) | {
            "access_level": member.access_level,
            "created_at": member.created_at,
            "created_by": self.basic_user(creator) if creator else None,
            "expires_at": member.expires_at,
            "group_saml_identity": None,
        }

    def group(self, group: Group) -> dict[str, Any]:
        return {
            "id": group.id,
            "web_url": f"{self.url}/groups/{group.full_path}",
            "name": group.path,
            "path": group.path,
            "full_name": group.full_path.replace("/", " / "),
            "full_path": group.full_path,
            "description": "",
            "visibility": "private",
            "parent_id": group.parent_id,
            "created_at": group.created_at,
            "marked_for_deletion_on": None,
            "default_branch_protection_defaults": {
                "allowed_to_push": [{"access_level": 40}],
                "allowed_to_merge": [{"access_level": 40}],
                "allow_force_push": False,
                "developer_can_initial_push": False,
            },
        }

    def simple_project(self, project: Project) -> dict[str, Any]:
        full_path = self.state.full_path(project)
        namespace = full_path.rpartition("/")[0]
        return {
            "id": project.id,
            "description": project.description,
            "name": project.name,
            "name_with_namespace": f"{namespace.replace('/', ' / ')} / {project.name}",
            "path": project.path,
            "path_with_namespace": full_path,
            "created_at": project.created_at,
            "default_branch": project.default_branch,
            "ssh_url_to_repo": f"git@{self.url.partition('://')[2].partition(':')[0]}:{full_path}.git",
            "http_url_to_repo": f"{self.url}/{full_path}.git",
            "web_url": f"{self.url}/{full_path}",
            "namespace": self._namespace(project.namespace_id, namespace),
        }

    def project(self, project: Project) -> dict[str, Any]:
        source = self.state.projects.get(project.forked_from or 0)
        forked_from = (
            {
                "forked_from_project": self.simple_project(source),
                "mr_default_target_self": project.mr_default_target_self,
            }
            if source
            else {}
        )
        return (
            self.simple_project(project)
            | forked_from
            | {
                "creator_id": project.creator_id,
                "visibility": project.visibility,
                "archived": project.archived,
                "empty_repo": project.default_branch is None,
                "forking_access_level": project.forking,
                "import_status": project.import_status,
                "import_error": project.import_error,
                "marked_for_deletion_at": project.marked_for_deletion_on,
                "marked_for_deletion_on": project.marked_for_deletion_on,
                "permissions": {"project_access": None, "group_access": None},
            }
        )

    def _namespace(self, namespace_id: int, full_path: str) -> dict[str, Any]:
        is_group = namespace_id in self.state.groups
        path = full_path.rpartition("/")[2]
        prefix = f"{self.url}/groups" if is_group else self.url
        return {
            "id": namespace_id,
            "name": path,
            "path": path,
            "kind": "group" if is_group else "user",
            "full_path": full_path,
            "web_url": f"{prefix}/{full_path}",
        }


def branch_view(branch: Branch, *, enterprise: bool) -> dict[str, Any]:
    view = {
        "id": branch.id,
        "name": branch.name,
        "push_access_levels": [_level(record, enterprise) for record in branch.push],
        "merge_access_levels": [_level(record, enterprise) for record in branch.merge],
        "allow_force_push": branch.allow_force_push,
    }
    if enterprise:
        view |= {"unprotect_access_levels": [], "code_owner_approval_required": False, "inherited": False}
    return view


def _level(record: dict[str, int], enterprise: bool) -> dict[str, Any]:
    described = {**record, "access_level_description": LEVEL_NAMES[record["access_level"]]}
    return described | ({"user_id": None, "group_id": None} if enterprise else {})
