"""Sign-up where the upstreams know the name already: nothing foreign changes, no right is inherited, nothing is left.

Every combination of GitLab, Jenkins and Elasticsearch, on each of which the name is free, an account made by hand, one
that a former person of Slipway left, or nothing but rights that are kept under it. A sample of them by default.
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import product

import pytest
import requests
from support.operators import THEIR_KIBANA_PASSWORD, Hands
from support.runs import runs
from support.world import World

from common.database.models import Job
from common.states import JobState, Provenance, StepState
from common.workflows import NAME_CHECKS

Name = Callable[[str], str]
SOMEBODY = "slipway:01920000-0000-7000-8000-000000000000"  # the marker of a former person
FREE, BY_HAND, LEFT, RIGHTS = "free", "made by hand", "left by a former person", "rights only"
UPSTREAMS = ("gitlab", "jenkins", "elasticsearch")
COMBINATIONS = [dict(zip(UPSTREAMS, kinds, strict=True)) for kinds in product((FREE, BY_HAND, LEFT, RIGHTS), repeat=3)]
EVERY_SO_MANY = 1 if runs(1) > 1 else 7  # coprime with the number of kinds: a sample has all of them

pytestmark = pytest.mark.parametrize("db_url", ["sqlite"], indirect=True)


@pytest.fixture
def hands(world: World) -> Hands:
    return Hands(world.harbour)


def _on_gitlab(hands: Hands, kind: str, login: str) -> None:
    """Rights without an account do not exist on GitLab: there, the address belongs to a member under another name."""
    if kind == FREE:
        return
    note = SOMEBODY if kind == LEFT else "by hand"
    username = f"{login}-too" if kind == RIGHTS else login
    address = {BY_HAND: f"{login}@elsewhere.example"}.get(kind, f"{login}@example.com")
    person = {"email": address, "name": "Somebody", "password": "theirs alone, it is", "note": note}
    user = hands.gitlab("POST", "users", username=username, skip_confirmation=True, **person)
    hands.gitlab("POST", "groups/dev/members", user_id=user["id"], access_level=50)
    if kind == LEFT:
        hands.gitlab("POST", f"users/{user['id']}/block")


def _on_jenkins(hands: Hands, kind: str, login: str) -> None:
    if kind in (BY_HAND, LEFT):
        hands.make_jenkins_user(login)
        hands.describe_jenkins_user(login, SOMEBODY if kind == LEFT else "by hand")
    if kind == RIGHTS:
        hands.assign_role(login.upper(), role="admin", role_type="globalRoles")


def _on_elasticsearch(hands: Hands, kind: str, login: str) -> None:
    if kind in (BY_HAND, LEFT):
        hands.make_kibana_user(login)
    if kind == RIGHTS:
        rules = {"any": [{"field": {"dn": "*"}}, {"all": [{"field": {"username": ["zoe", login.title()]}}]}]}
        hands.elastic("PUT", f"role_mapping/{login}", {"roles": ["superuser"], "rules": rules})


ARRANGE = {"gitlab": _on_gitlab, "jenkins": _on_jenkins, "elasticsearch": _on_elasticsearch}


def _state(world: World) -> str:
    """Return everything about people that the upstreams have."""
    harbour = world.harbour
    jenkins = {
        kind: {name: sorted(role.sids) for name, role in roles.items()} for kind, roles in harbour.jenkins.roles.items()
    }
    elastic = (harbour.elasticsearch.users, harbour.elasticsearch.role_mappings, harbour.elasticsearch.api_keys)
    gitlab = (harbour.gitlab.state.users, harbour.gitlab.state.groups)
    return repr((gitlab, sorted(harbour.jenkins.users.items()), jenkins, elastic))


def _states(world: World, job: Job) -> dict[str, StepState]:
    return {step.name: step.state for step in world.step_rows(job)}


def test_whoever_has_the_name_anywhere_keeps_it_and_nobody_inherits_anything(
    world: World, hands: Hands, new_name: Name
) -> None:
    played = COMBINATIONS[::EVERY_SO_MANY]
    for kinds in played:
        login = new_name("dora")
        for upstream, kind in kinds.items():
            ARRANGE[upstream](hands, kind, login)
        before = _state(world)

        job = world.drive(world.sign_up(login, is_checked=True))

        is_free = set(kinds.values()) == {FREE}
        assert job.state is (JobState.SUCCEEDED if is_free else JobState.FAILED), kinds
        if not is_free:
            assert _state(world) == before, f"{kinds}: something was changed, or an account is left"
            taken = [upstream for upstream, kind in kinds.items() if kind != FREE]
            failed = [step for step in world.step_rows(job) if step.state is StepState.FAILED]
            assert [(step.upstream, step.code) for step in failed] == [(upstream, "conflict") for upstream in taken]
    print(f"\n{len(played)} of {len(COMBINATIONS)} combinations")  # noqa: T201 - for whoever runs it with -s


@pytest.mark.parametrize(
    "arrange",
    [
        lambda hands, login: hands.assign_role(login, role="admin", role_type="globalRoles"),
        lambda hands, login: hands.assign_role(login, role="ops", role_type="projectRoles"),
        lambda hands, login: hands.assign_role(login, role="admin", role_type="globalRoles", kind="EITHER"),
        lambda hands, login: hands.leave_api_key(login),
    ],
    ids=["global role", "another team's role", "an ambiguous entry", "API key"],
)
def test_rights_of_a_former_person_stop_a_sign_up_until_they_are_removed(
    world: World, hands: Hands, new_name: Name, arrange: Callable[[Hands, str], Callable[[], None]]
) -> None:
    login = new_name("dora")
    remove = arrange(hands, login)

    job = world.drive(world.sign_up(login, is_checked=True))
    (failed,) = [step for step in world.step_rows(job) if step.state is StepState.FAILED]
    remove()
    world.retry(job)

    assert failed.code == "conflict"
    assert f"has rights for a user named {login}" in (failed.reason or "")
    assert world.drive(job).state is JobState.SUCCEEDED


@pytest.mark.parametrize(
    ("arrange", "step"),
    [
        (lambda hands, login: hands.assign_role(login, role="admin", role_type="globalRoles"), "create_jenkins_user"),
        (lambda hands, login: hands.leave_api_key(login), "create_kibana_user"),
    ],
    ids=["Jenkins", "Elasticsearch"],
)
def test_a_right_that_appears_after_the_check_is_not_inherited(
    world: World, hands: Hands, new_name: Name, arrange: Callable[[Hands, str], Callable[[], None]], step: str
) -> None:
    login = new_name("dora")
    job = world.sign_up(login, is_checked=True)
    for check in NAME_CHECKS:
        world.run_through(job, check)
    remove = arrange(hands, login)

    assert world.drive(job).state is JobState.FAILED
    assert world.step(job, step).code == "conflict"
    assert login not in (world.harbour.jenkins.users if "jenkins" in step else world.harbour.elasticsearch.users)
    remove()
    world.retry(job)
    assert world.drive(job).state is JobState.SUCCEEDED


def test_the_role_of_the_team_may_be_there_before(world: World, hands: Hands, new_name: Name) -> None:
    login = new_name("dora")
    hands.assign_role(login, role="dev", role_type="projectRoles")

    assert world.drive(world.sign_up(login, is_checked=True)).state is JobState.SUCCEEDED


def test_a_group_role_of_that_name_is_nobodys_right(world: World, hands: Hands, new_name: Name) -> None:
    login = new_name("dora")
    hands.assign_role(login, role="admin", role_type="globalRoles", kind="GROUP")

    assert world.drive(world.sign_up(login, is_checked=True)).state is JobState.SUCCEEDED


def test_nothing_is_made_before_the_last_check_has_passed(world: World, new_name: Name) -> None:
    job = world.sign_up(new_name("dora"), is_checked=True)

    for check in NAME_CHECKS[:2]:
        world.run_through(job, check)
    assert _states(world, job)["create_gitlab_user"] is StepState.PENDING
    world.run_through(job, NAME_CHECKS[2])

    ready = {name for name, state in _states(world, job).items() if state is StepState.READY}
    assert ready == {"create_gitlab_user", "create_jenkins_user", "create_kibana_user"}


def test_the_checks_of_our_own_accounts_pass_when_they_are_repeated(world: World, new_name: Name) -> None:
    job = world.drive(world.sign_up(new_name("dora"), is_checked=True))

    for check in NAME_CHECKS:
        world.deliver_again(job, check)

    assert {_states(world, job)[check] for check in NAME_CHECKS} == {StepState.SUCCEEDED}


def test_api_keys_of_who_leaves_work_no_more(world: World, hands: Hands, new_name: Name) -> None:
    login = new_name("dora")
    signup = world.drive(world.sign_up(login))
    hands.elastic("PUT", f"user/{login}/_password", {"password": THEIR_KIBANA_PASSWORD})
    world.harbour.elasticsearch.users[login]["roles"].append("superuser")
    key = hands.elastic("PUT", "api_key", {"name": "for a script"}, auth=(login, THEIR_KIBANA_PASSWORD))
    authorization = {"Authorization": f"ApiKey {key['encoded']}"}
    url = f"{world.harbour.elasticsearch.url}/_security/_authenticate"
    before = requests.get(url, headers=authorization, timeout=5).status_code

    left = world.drive(world.accept_for(signup, "offboard"))

    assert left.state is JobState.SUCCEEDED
    assert (before, requests.get(url, headers=authorization, timeout=5).status_code) == (200, 401)


@pytest.mark.parametrize(
    ("shown", "is_invalidated", "state"),
    [
        ({"realm": "default_native"}, True, JobState.SUCCEEDED),
        ({"realm": "corporate"}, False, JobState.FAILED),
        ({"realm": "corporate", "realm_type": "ldap"}, False, JobState.SUCCEEDED),
        ({"realm": "people", "realm_type": "native"}, True, JobState.SUCCEEDED),
    ],
    ids=["usual name, no type", "other name, no type", "another realm", "a native realm with a name"],
)
def test_only_keys_of_the_native_user_are_invalidated_and_those_in_doubt_are_kept(
    world: World, new_name: Name, shown: dict[str, str], is_invalidated: bool, state: JobState
) -> None:
    """Older versions of Elasticsearch do not say of which type a key's realm is."""
    login = new_name("dora")
    signup = world.drive(world.sign_up(login))
    keys = world.harbour.elasticsearch.api_keys
    keys[login] = {"id": login, "name": "for a script", "invalidated": False, "username": login, **shown}

    left = world.drive(world.accept_for(signup, "offboard"))

    step = world.step(left, "delete_kibana_user")
    assert (keys[login]["invalidated"], left.state) == (is_invalidated, state)
    assert [each["kind"] for each in (step.output or {})["kept"]] == (["api_key"] if state is JobState.FAILED else [])
    keys[login]["invalidated"] = True
    if state is JobState.FAILED:
        world.retry(left)
        assert world.drive(left).state is JobState.SUCCEEDED


@pytest.mark.parametrize("upstream", ["gitlab", "elasticsearch"])
def test_an_off_boarding_ends_once_the_account_that_was_there_before_is_closed(
    world: World, hands: Hands, new_name: Name, upstream: str
) -> None:
    login = new_name("dora")
    signup = world.drive(world.sign_up(login))
    (row,) = [each for each in world.ledger(signup) if (each.upstream, each.kind) == (upstream, "user")]
    world.db.transaction(lambda session: setattr(session.merge(row), "provenance", Provenance.ADOPTED))

    left = world.drive(world.accept_for(signup, "offboard"))
    (failed,) = [step for step in world.step_rows(left) if step.state is StepState.FAILED]
    if upstream == "gitlab":
        hands.gitlab("POST", f"users/{row.outside_id}/block")
    else:
        hands.elastic("PUT", f"user/{login}/_disable")
    world.retry(left)

    assert (failed.upstream, failed.code) == (upstream, "kept")
    assert "password" not in (failed.reason or "")
    assert world.drive(left).state is JobState.SUCCEEDED
