"""The removal of an app keeps what people committed, says where, and shows before what they did."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import quote

import pytest
from support.operators import Hands
from support.world import World

from common.database.models import Job
from common.states import JobState
from harbour.faults import Fault

pytestmark = pytest.mark.parametrize("db_url", ["sqlite"], indirect=True)  # the upstreams are what differs here
IN_A_MONTH = (datetime.now(UTC).date() + timedelta(days=30)).isoformat()


@pytest.fixture
def made(world: World, new_name: Callable[[str], str]) -> Job:
    return world.drive(world.make_app(new_name("removed")))


@pytest.fixture
def hands(world: World) -> Hands:
    return Hands(world.harbour)


@contextlib.contextmanager
def version(world: World, number: str) -> Iterator[None]:
    """Let GitLab be of another version."""
    gitlab = world.harbour.gitlab
    before = gitlab.config
    gitlab.config = type(before)(**{**vars(before), "gitlab_version": number})
    try:
        yield
    finally:
        gitlab.config = before


def commit(hands: Hands, path: str, branch: str, *files: str) -> None:
    place = f"projects/{quote(path, safe='')}/repository"
    if branch != "main":
        hands.gitlab("POST", f"{place}/branches", branch=branch, ref="main")
    for file in files:
        actions = [{"action": "create", "file_path": file, "content": file}]
        hands.gitlab("POST", f"{place}/commits", branch=branch, commit_message=f"Add {file}", actions=actions)


def result(world: World, job: Job, step: str) -> Any:
    assert world.job(job).state is JobState.SUCCEEDED, [(row.name, row.reason) for row in world.step_rows(job)]
    return world.step(job, step).output


def test_the_job_says_under_which_name_and_until_when_the_repositories_are_kept(world: World, made: Job) -> None:
    app = made.input["app"]

    removed = world.drive(world.accept_for(made, "deprovision"))

    output = result(world, removed, "release_name")
    kept = {each["name"].partition("-deletion_scheduled-")[0]: each for each in output["remains"]}
    assert {name: each["until"] for name, each in kept.items()} == {
        f"dev/{app}": IN_A_MONTH,
        f"dev/{app}_helm": IN_A_MONTH,
    }
    assert f"dev/{app}" in output["removed"]
    assert all(each["url"].endswith(each["name"]) for each in kept.values())


def test_a_repository_is_restored_with_its_commits(world: World, made: Job, hands: Hands) -> None:
    app = made.input["app"]
    commit(hands, f"dev/{app}", "main", "shop.py")
    project_id = hands.project(f"dev/{app}").id
    world.drive(world.accept_for(made, "deprovision"))

    hands.gitlab("POST", f"projects/{project_id}/restore")

    assert hands.gitlab("GET", f"projects/{project_id}/repository/files/shop.py?ref=main")["file_name"] == "shop.py"


def test_a_gitlab_that_deletes_at_once_is_told_to_put_them_aside(world: World, made: Job, hands: Hands) -> None:
    app, number = made.input["app"], hands.project(f"dev/{made.input['app']}").id

    with version(world, "17.11.2"):
        removed = world.drive(world.accept_for(made, "deprovision"))

    output = result(world, removed, "release_name")
    assert {(each["name"], each["until"]) for each in output["remains"]} >= {(f"dev/{app}-removed-{number}", None)}
    assert world.clients.gitlab.projects.find(f"dev/{app}") is None


def test_an_administrators_purge_leaves_nothing(world: World, made: Job) -> None:
    removed = world.drive(world.accept_for(made, "deprovision", purge="true"))

    assert result(world, removed, "release_name")["remains"] == []
    assert not [each for each in world.harbour.gitlab.state.projects.values() if made.input["app"] in each.path]


def test_what_is_kept_is_known_after_an_attempt_that_died(world: World, made: Job) -> None:
    removed = world.drive(world.accept_for(made, "deprovision"), until="delete_source")
    lost = Fault(kind="lost", method="DELETE", times=1)
    world.harbour.gitlab.inject(lost)

    world.drive(removed)

    assert len(result(world, removed, "release_name")["remains"]) == 2


def test_a_preview_says_what_people_did(world: World, made: Job, hands: Hands) -> None:
    app = made.input["app"]
    commit(hands, f"dev/{app}", "feature", "a.py", "b.py")
    commit(hands, f"dev/{app}", "main", "c.py")
    path = f"projects/{quote(f'dev/{app}', safe='')}/merge_requests"
    hands.gitlab("POST", path, title="Add a", source_branch="feature", target_branch="main")
    before = world.snapshot()

    look = world.drive(world.accept_for(made, "removal_preview"))

    found = {each["name"]: each for each in result(world, look, "inspect_repositories")["repositories"]}
    source, helm = found[f"dev/{app}"], found[f"dev/{app}_helm"]
    assert (source["commits"], source["has_more"], source["open_merge_requests"]) == (3, False, 1)
    assert (source["pushed_by"], bool(source["pushed_at"])) == ("root", True)
    assert (helm["commits"], helm["pushed_at"], helm["open_merge_requests"]) == (0, None, 0)
    assert world.snapshot() == before


def test_a_preview_of_what_is_gone_is_empty(world: World, made: Job, hands: Hands) -> None:
    for suffix in ("", "_helm"):
        hands.remove_project(f"dev/{made.input['app']}{suffix}")

    look = world.drive(world.accept_for(made, "removal_preview"))

    assert result(world, look, "inspect_repositories")["repositories"] == []
