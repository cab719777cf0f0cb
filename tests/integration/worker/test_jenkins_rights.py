"""A new person can open Jenkins and the team's folder, whatever authorizes there, and nothing of that outlives them."""

from __future__ import annotations

import copy
import dataclasses
from collections.abc import Callable, Iterator

import pytest
import requests
from support.world import PASSWORD, World

from common.states import JobState
from harbour.faults import Fault
from harbour.jenkins import xml
from harbour.jenkins.core import READ, Role
from harbour.jenkins.matrix import MATRIX

pytestmark = pytest.mark.one_database

Name = Callable[[str], str]


@pytest.fixture
def jenkins(world: World) -> Iterator[World]:
    """Return a world whose Jenkins may be authorized in another way during the test."""
    service = world.harbour.jenkins
    kept = {name: getattr(service, name) for name in ("plugins", "has_role_strategy", "matrix")}
    service.plugins = dict(kept["plugins"])
    roles, folders = service.roles, {name: service.items[name] for name in ("dev", "ops")}
    service.roles = copy.deepcopy(roles)
    yield world
    service.roles = roles
    service.items.update(folders)
    for name, value in kept.items():
        setattr(service, name, value)


def configure(world: World, **fields: str | None) -> None:
    """Change the team in the catalog."""
    catalog = world.context.catalog
    team = catalog.teams["dev"].model_copy(update=fields)
    changed = catalog.model_copy(update={"teams": {**catalog.teams, "dev": team}})
    world.context = dataclasses.replace(world.context, catalog=changed)
    world.runner = world.runner_named("test")


def status_of(world: World, login: str, path: str) -> int:
    return requests.get(world.harbour.jenkins.url + path, auth=(login, PASSWORD), timeout=5).status_code


def statuses(world: World, login: str) -> list[int]:
    return [status_of(world, login, path) for path in ("/api/json", "/job/dev/api/json", "/job/ops/api/json")]


def test_an_item_role_alone_opens_nothing(jenkins: World, new_name: Name) -> None:
    """What the doctor finds before: no global role with Overall/Read for everybody."""
    del jenkins.harbour.jenkins.roles["globalRoles"]["reader"]
    login = new_name("person")

    assert jenkins.drive(jenkins.sign_up(login)).state is JobState.SUCCEEDED

    assert statuses(jenkins, login) == [403, 403, 403]


def test_the_teams_global_role_opens_jenkins_and_goes_with_the_person(jenkins: World, new_name: Name) -> None:
    roles = jenkins.harbour.jenkins.roles["globalRoles"]
    roles["reader"] = Role(permissions=[READ])
    configure(jenkins, jenkins_global_role="reader")
    login = new_name("person")

    signup = jenkins.drive(jenkins.sign_up(login))

    assert signup.state is JobState.SUCCEEDED
    assert statuses(jenkins, login) == [200, 200, 404]
    assert jenkins.drive(jenkins.accept_for(signup, "offboard")).state is JobState.SUCCEEDED
    assert roles["reader"].sids == set()


def test_a_global_role_that_somebody_gave_before_stays(jenkins: World, new_name: Name) -> None:
    login = new_name("person")
    roles = jenkins.harbour.jenkins.roles["globalRoles"]
    roles["reader"] = Role(permissions=[READ], sids={("USER", login)})
    configure(jenkins, jenkins_global_role="reader")

    signup = jenkins.drive(jenkins.sign_up(login))
    jenkins.drive(jenkins.accept_for(signup, "offboard"))

    assert roles["reader"].sids == {("USER", login)}


def test_with_a_matrix_a_person_gets_permissions_in_the_folder(jenkins: World, new_name: Name) -> None:
    service = jenkins.harbour.jenkins
    service.use_matrix()
    configure(jenkins, jenkins_authorization="matrix", jenkins_role="")
    theirs = "<permission>GROUP:hudson.model.Item.Read:auditors</permission>"
    held = f"<{MATRIX}>{theirs}</{MATRIX}>"
    service.items["dev"] = xml.serialised(xml.parse(f"<{xml.FOLDER}><properties>{held}</properties></{xml.FOLDER}>"))
    before = service.items["dev"]
    login, other = new_name("person"), new_name("person")

    signup = jenkins.drive(jenkins.sign_up(login))
    second = jenkins.drive(jenkins.sign_up(other))

    assert (signup.state, second.state) == (JobState.SUCCEEDED, JobState.SUCCEEDED)
    assert statuses(jenkins, login) == statuses(jenkins, other) == [200, 200, 404]
    assert jenkins.drive(jenkins.accept_for(signup, "offboard")).state is JobState.SUCCEEDED
    assert login not in service.items["dev"]
    assert status_of(jenkins, other, "/job/dev/api/json") == 200
    assert jenkins.drive(jenkins.accept_for(second, "offboard")).state is JobState.SUCCEEDED
    assert service.items["dev"] == before


@pytest.mark.parametrize(
    ("folder", "entry", "is_conflict"),
    [
        ("ops", "USER:hudson.model.Item.Read:{}", True),
        ("ops", "hudson.model.Item.Read:{}", True),
        ("dev", "USER:hudson.model.Item.Configure:{}", True),
        ("dev", "USER:hudson.model.Item.Read:{}", False),
        ("ops", "GROUP:hudson.model.Item.Read:{}", False),
        ("ops", "USER:hudson.model.Item.Read:{}-too", False),
    ],
)
def test_permissions_of_a_former_person_in_a_folder_stop_a_sign_up(
    jenkins: World, new_name: Name, folder: str, entry: str, is_conflict: bool
) -> None:
    service = jenkins.harbour.jenkins
    service.use_matrix()
    configure(jenkins, jenkins_authorization="matrix", jenkins_role="")
    login = new_name("dora")
    held = f"<{MATRIX}><permission>{entry.format(login.title())}</permission></{MATRIX}>"
    service.items[folder] = xml.serialised(xml.parse(f"<{xml.FOLDER}><properties>{held}</properties></{xml.FOLDER}>"))
    signup = jenkins.sign_up(login, is_checked=True)

    jenkins.run_through(signup, "check_jenkins_name")

    check = jenkins.step(signup, "check_jenkins_name")
    assert check.code == ("conflict" if is_conflict else None)
    if is_conflict:
        assert f"permissions in the folder {folder}" in (check.reason or "")


def test_a_matrix_entry_that_is_lost_to_another_change_is_made_again(jenkins: World, new_name: Name) -> None:
    service = jenkins.harbour.jenkins
    service.use_matrix()
    configure(jenkins, jenkins_authorization="matrix", jenkins_role="")
    login = new_name("person")
    signup = jenkins.sign_up(login)
    before = service.items["dev"]
    jenkins.drive(signup, until="assign_jenkins_role")
    jenkins.runner.run(signup.id, "assign_jenkins_role")
    assert login in service.items["dev"]
    service.items["dev"] = before  # somebody had read the folder earlier, and saves it now

    assert jenkins.drive(signup).state is JobState.SUCCEEDED

    assert status_of(jenkins, login, "/job/dev/api/json") == 200


def test_without_the_plugin_the_operator_is_told(jenkins: World, new_name: Name) -> None:
    service = jenkins.harbour.jenkins
    service.use_matrix()
    del service.plugins["matrix-auth"]
    configure(jenkins, jenkins_authorization="matrix", jenkins_role="")

    signup = jenkins.drive(jenkins.sign_up(new_name("person")))

    assert signup.state is JobState.FAILED
    assert "matrix-auth" in (jenkins.step(signup, "assign_jenkins_role").reason or "")


def test_a_lost_reply_to_the_change_of_a_folder_is_looked_at(jenkins: World, new_name: Name) -> None:
    service = jenkins.harbour.jenkins
    service.use_matrix()
    configure(jenkins, jenkins_authorization="matrix", jenkins_role="")
    service.inject(Fault(kind="lost", method="POST", path="/job/dev/config.xml", times=1))
    login = new_name("person")

    signup = jenkins.drive(jenkins.sign_up(login))

    assert signup.state is JobState.SUCCEEDED
    assert [row.provenance for row in jenkins.ledger(signup) if row.kind == "folder_permissions"] == ["created"]
