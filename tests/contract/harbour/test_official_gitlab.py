"""python-gitlab, unmodified, works with the stand-in as with a GitLab."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator
from typing import Any

import gitlab as official
import pytest
from gitlab.exceptions import GitlabCreateError, GitlabDeleteError, GitlabGetError

from harbour.config import HarbourConfig
from harbour.gitlab.app import GitLab

PASSWORD = "Correct-Horse-Battery-9"
TEMPLATE = "templates/Spring_Template"


@pytest.fixture
def client(gitlab: GitLab) -> official.Gitlab:
    client = official.Gitlab(gitlab.url, private_token=gitlab.config.gitlab_token)
    client.auth()
    return client


@pytest.fixture
def shop(client: official.Gitlab, gitlab: GitLab) -> Any:
    """A fork of a template, imported and protected."""
    fork = client.projects.get(TEMPLATE).forks.create({"namespace_path": "dev", "path": "shop", "name": "shop"})
    gitlab.background.settle()
    return client.projects.get(fork.id)


def anna(client: official.Gitlab) -> Any:
    person = {"username": "anna", "email": "anna@corp.example", "name": "Anna Bell", "password": PASSWORD}
    return client.users.create(person | {"skip_confirmation": True})


def test_log_in_and_version(client: official.Gitlab) -> None:
    assert client.user is not None
    assert client.user.username == "root"
    assert client.version()[0] == "18.5.1"
    assert client.personal_access_tokens.get("self").scopes == ["api", "admin_mode"]
    assert client.settings.get().deletion_adjourned_period == 30


def test_a_user_is_saved(client: official.Gitlab) -> None:
    user = anna(client)
    user.name, user.email, user.note, user.admin = "Anna B", "a@corp.example", "of the shop team", True
    user.save()

    found = client.users.list(username="anna")[0]
    assert (found.name, found.email, found.note, found.is_admin) == (
        "Anna B",
        "a@corp.example",
        "of the shop team",
        True,
    )


def test_the_states_of_a_user(client: official.Gitlab) -> None:
    user = anna(client)
    states = []

    for change in (user.block, user.unblock, user.deactivate, user.activate, user.ban, user.unban):
        change()
        states.append(client.users.get(user.id).state)

    assert states == ["blocked", "active", "deactivated", "active", "banned", "active"]


def test_a_user_who_waits_for_approval_is_approved(client: official.Gitlab, gitlab: GitLab) -> None:
    gitlab.approves_users = True
    user = anna(client)
    assert user.state == "blocked_pending_approval"

    user.approve()

    assert client.users.get(user.id).state == "active"


def test_an_identity_of_another_provider(client: official.Gitlab) -> None:
    person = {"username": "ben", "email": "ben@corp.example", "name": "Ben", "force_random_password": True}
    made = client.users.create(person | {"extern_uid": "uid=ben", "provider": "saml"})

    (found,) = client.users.list(extern_uid="uid=ben", provider="saml")
    assert found.id == made.id
    assert found.identities == [{"provider": "saml", "extern_uid": "uid=ben"}]


def test_groups_and_their_members(client: official.Gitlab) -> None:
    group = client.groups.create({"name": "Shop", "path": "shops"})
    below = client.groups.create({"name": "Web", "path": "web", "parent_id": group.id})
    user = anna(client)
    member = group.members.create({"user_id": user.id, "access_level": 30})
    member.access_level = 40
    member.save()

    assert client.groups.get("shops/web").id == below.id
    assert {each.username: each.access_level for each in below.members_all.list(iterator=True)} == {
        "root": 50,
        "anna": 40,
    }
    assert below.members_all.get(user.id).access_level == 40
    member.delete()
    assert [each.username for each in group.members.list(iterator=True)] == ["root"]


def test_a_project_is_made_and_edited(client: official.Gitlab) -> None:
    group = client.groups.get("dev")
    project = client.projects.create({"name": "blank", "namespace_id": group.id})
    assert (project.empty_repo, project.default_branch) == (True, None)
    project.description, project.path, project.name = "Nothing yet", "blank-page", "Blank"
    project.save()

    found = client.projects.get("dev/blank-page")
    assert (found.id, found.description, found.name) == (project.id, "Nothing yet", "Blank")
    assert client.projects.get("dev/blank").id == project.id  # by GitLab's redirect
    found.archive()
    assert client.projects.get(project.id).archived
    found.unarchive()
    assert not client.projects.get(project.id).archived


def test_a_fork_targets_its_origin_unless_told_otherwise(client: official.Gitlab, shop: Any) -> None:
    assert shop.mr_default_target_self is False
    assert shop.forked_from_project["path_with_namespace"] == TEMPLATE
    shop.mr_default_target_self = True
    shop.save()
    assert client.projects.get(shop.id).mr_default_target_self is True

    shop.delete_fork_relation()

    assert not hasattr(client.projects.get(shop.id), "mr_default_target_self")


def test_a_deleted_project_is_restored(client: official.Gitlab, shop: Any) -> None:
    shop.delete()
    remains = client.projects.get(shop.id)
    assert (remains.archived, remains.path) == (True, f"shop-deletion_scheduled-{shop.id}")

    remains.restore()

    assert client.projects.get("dev/shop").marked_for_deletion_on is None


def test_a_project_of_gitlab_17_is_gone(config: HarbourConfig, eventually: Callable[..., Any]) -> None:
    for client in _clients(dataclasses.replace(config, gitlab_version="17.11.2", fork_s=0.01)):
        group = client.groups.get("dev")
        project = client.projects.create({"name": "blank", "namespace_id": group.id})
        project.delete()

        def is_gone(number: int = project.id, client: official.Gitlab = client) -> bool:
            return number not in [each.id for each in client.projects.list(iterator=True)]

        assert eventually(is_gone)


def _clients(config: HarbourConfig) -> Iterator[official.Gitlab]:
    service = GitLab(config)
    service.start()
    yield official.Gitlab(service.url, private_token=config.gitlab_token)
    service.stop()


def test_branches_files_commits_and_trees(shop: Any) -> None:
    shop.branches.create({"branch": "feature", "ref": "main"})
    made = shop.files.create(
        {"file_path": "docs/about.md", "branch": "feature", "content": "One\n", "commit_message": "Say what it is"}
    )
    about = shop.files.get("docs/about.md", ref="feature")
    assert (made.file_path, about.decode()) == ("docs/about.md", b"One\n")
    about.content = "Two\n"
    about.save(branch="feature", commit_message="Say more")

    newest, before = shop.commits.list(ref_name="feature", per_page=2, page=1)
    assert (newest.title, before.title, newest.parent_ids) == ("Say more", "Say what it is", [before.id])
    assert shop.commits.get("feature").id == shop.branches.get("feature").commit["id"] == newest.id
    assert shop.branches.get("main").default
    assert [each["path"] for each in shop.repository_tree(path="docs", ref="feature", all=True)] == ["docs/about.md"]
    assert shop.files.raw("docs/about.md", ref="feature") == b"Two\n"
    about.delete(branch="feature", commit_message="Say nothing")
    with pytest.raises(GitlabGetError, match="File Not Found"):
        shop.files.get("docs/about.md", ref="feature")
    shop.branches.delete("feature")
    with pytest.raises(GitlabGetError, match="Branch Not Found"):
        shop.branches.get("feature")


def test_several_changes_are_one_commit(shop: Any) -> None:
    actions = [
        {"action": "create", "file_path": "a.txt", "content": "a"},
        {"action": "create", "file_path": "b.txt", "content": "Yg==", "encoding": "base64"},
    ]

    made = shop.commits.create({"branch": "main", "commit_message": "Add two", "actions": actions})

    assert made.title == "Add two"
    assert shop.files.get("b.txt", ref="main").decode() == b"b"
    assert [event.push_data["ref"] for event in shop.events.list(action="pushed", get_all=True)] == ["main"]


def test_a_protected_branch_is_not_removed(shop: Any) -> None:
    with pytest.raises(GitlabDeleteError, match="protected"):
        shop.branches.delete("main")


def test_the_first_commit_makes_the_default_branch(client: official.Gitlab) -> None:
    project = client.projects.create({"name": "blank", "namespace_id": client.groups.get("dev").id})
    project.files.create({"file_path": "a", "branch": "trunk", "content": "a", "commit_message": "Begin"})

    project = client.projects.get(project.id)

    assert (project.default_branch, project.empty_repo) == ("trunk", False)
    assert [rule.name for rule in project.protectedbranches.list(iterator=True)] == ["trunk"]


def test_merge_requests(shop: Any) -> None:
    shop.branches.create({"branch": "feature", "ref": "main"})
    made = shop.mergerequests.create({"source_branch": "feature", "target_branch": "main", "title": "Add it"})
    assert [each.iid for each in shop.mergerequests.list(state="opened", iterator=True)] == [made.iid]

    made.state_event = "close"
    made.save()

    assert shop.mergerequests.get(made.iid).state == "closed"
    assert shop.mergerequests.list(state="opened", iterator=False, get_all=True) == []
    with pytest.raises(GitlabCreateError, match="does not exist"):
        shop.mergerequests.create({"source_branch": "nowhere", "target_branch": "main", "title": "Add it"})


def test_hooks_and_deploy_tokens_may_be_doubled(shop: Any) -> None:
    for _ in range(2):
        hook = shop.hooks.create({"url": "https://jenkins.example/hook", "push_events": True})
        token = shop.deploytokens.create({"name": "argocd", "scopes": ["read_repository"]})
    assert token.token.startswith("gldt-")
    assert not hasattr(shop.deploytokens.get(token.id), "token")
    hook.push_events = False
    hook.save()

    assert [each.push_events for each in shop.hooks.list(iterator=True)] == [True, False]
    hook.delete()
    token.delete()
    assert (len(shop.hooks.list(get_all=True)), len(shop.deploytokens.list(get_all=True))) == (1, 1)
