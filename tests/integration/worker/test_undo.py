"""Undo takes only what was made here: what somebody put in its place stays, and what arrives late goes, too."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from support.operators import MARKER, Hands, pipeline_xml
from support.world import World
from support.worlds import cancel, dying_at

from common.database.models import Job
from common.jobs import interventions
from common.states import JobState, Provenance, StepState
from harbour.faults import Fault
from worker.runner import NextAction

pytestmark = pytest.mark.parametrize("db_url", ["sqlite"], indirect=True)  # the upstreams are what differs here
Name = Callable[[str], str]
THEIRS = "slipway:01920000-0000-7000-8000-000000000000"


def provenance(world: World, made: Job, kind: str) -> dict[str, Provenance]:
    return {row.ref: row.provenance for row in world.ledger(made) if row.kind == kind}


def undo(world: World, made: Job) -> Job:
    return world.drive(world.accept_for(made, "deprovision"))


def make_theirs(hands: Hands, kind: str, app: str) -> None:
    """Put something of somebody else's where the app's would be."""
    match kind:
        case "project":
            hands.found_project(f"dev/{app}", THEIRS)
        case "pipeline":
            hands.make_item("dev", f"{app}_dev", pipeline_xml(THEIRS))
        case "application":
            hands.make_application(app, project="dev", annotations={MARKER: THEIRS})


def look_at(hands: Hands, kind: str, app: str) -> object:
    match kind:
        case "project":
            return dict(vars(hands.project(f"dev/{app}")))
        case "pipeline":
            return hands.jenkins("GET", f"/job/dev/job/{app}_dev/config.xml")
        case _:
            return hands.argocd("GET", f"applications/{app}?project=dev")["metadata"]


def remove(hands: Hands, kind: str, app: str) -> None:
    match kind:
        case "project":
            hands.remove_project(f"dev/{app}")
        case "pipeline":
            hands.remove_item("dev", f"{app}_dev")
        case "application":
            hands.remove_application(app, "dev")


INTENDED = {
    "project": ("gitlab", "fork_source", "/fork$"),
    "pipeline": ("jenkins", "create_pipeline", "/createItem$"),
    "application": ("argocd", "create_application", "/applications$"),
}


@pytest.mark.parametrize("kind", INTENDED)
def test_what_took_the_place_of_what_was_only_intended_stays(world: World, new_name: Name, kind: str) -> None:
    app = new_name("intended")
    before = world.snapshot()
    upstream, step, path = INTENDED[kind]
    made = dying_at(world, world.make_app(app), upstream, step, Fault(kind="reset", method="POST", path=path, times=1))
    assert Provenance.INTENDED in provenance(world, made, kind).values()
    cancel(world, made)
    hands = Hands(world.harbour)
    make_theirs(hands, kind, app)
    theirs = look_at(hands, kind, app)

    undone = undo(world, made)

    assert undone.state is JobState.SUCCEEDED
    assert look_at(hands, kind, app) == theirs
    remove(hands, kind, app)
    world.end_retention()
    assert world.snapshot() == before


def test_what_took_the_place_of_what_was_made_stops_the_undo_until_somebody_decides(
    world: World, new_name: Name
) -> None:
    app = new_name("replaced")
    made = world.drive(world.make_app(app))
    hands = Hands(world.harbour)
    hands.remove_item("dev", f"{app}_dev")
    make_theirs(hands, "pipeline", app)
    theirs = world.snapshot()["jenkins"]

    undone = undo(world, made)

    step = world.step(undone, "delete_pipeline")
    assert (undone.state, step.state, step.code) == (JobState.FAILED, StepState.FAILED, "conflict")
    now = world.time()
    world.db.transaction(
        lambda session: interventions.skip(session, undone.id, "delete_pipeline", reason="they may keep it", now=now)
    )
    assert world.drive(undone).state is JobState.SUCCEEDED
    assert world.snapshot()["jenkins"] == theirs
    assert provenance(world, made, "project") == {f"dev/{app}": "gone", f"dev/{app}_helm": "gone"}


def test_what_arrives_after_its_worker_died_goes_too(world: World, new_name: Name) -> None:
    app = new_name("late")
    before = world.snapshot()
    lost = Fault(kind="reset", method="POST", path="/fork$", times=1)
    made = dying_at(world, world.make_app(app), "gitlab", "fork_source", lost)
    cancel(world, made)
    undone = world.drive(world.accept_for(made, "deprovision"), until="delete_source")

    assert world.runner.run(undone.id, "delete_source").action is NextAction.LATER
    Hands(world.harbour).fork("templates/Flask_Template", f"dev/{app}", f"slipway:{made.subject_id}")

    assert world.drive(undone).state is JobState.SUCCEEDED
    world.end_retention()
    assert world.snapshot() == before


def test_undo_does_not_wait_for_an_attempt_that_reported_back(world: World, new_name: Name) -> None:
    made = world.make_app(new_name("refused"))
    world.harbour.jenkins.inject(Fault(kind="status", method="POST", status=403))
    world.drive(made)
    world.harbour.clear_faults()
    assert provenance(world, made, "pipeline").popitem()[1] is Provenance.INTENDED
    undone = world.drive(world.accept_for(made, "deprovision"), until="delete_pipeline")

    assert world.runner.run(undone.id, "delete_pipeline").action is NextAction.GO_ON


def test_a_repair_that_died_is_undone_with_what_it_made(world: World, new_name: Name) -> None:
    app = new_name("repaired")
    before = world.snapshot()
    made = world.drive(world.make_app(app))
    Hands(world.harbour).remove_project(f"dev/{app}")
    lost = Fault(kind="lost", method="POST", path="/fork$", times=1)
    repair = dying_at(world, world.accept_for(made, "reconcile"), "gitlab", "fork_source", lost)
    cancel(world, repair)

    assert undo(world, made).state is JobState.SUCCEEDED

    world.end_retention()
    assert world.snapshot() == before


def test_a_repository_that_somebody_registered_anew_is_theirs(world: World, new_name: Name) -> None:
    app = new_name("anew")
    made = world.drive(world.make_app(app))
    world.harbour.jenkins.inject(Fault(kind="status", status=422, times=1))
    assert undo(world, made).state is JobState.FAILED
    world.harbour.clear_faults()
    Hands(world.harbour).register_for_all(f"{world.harbour.gitlab.url}/dev/{app}_helm.git")
    theirs = world.snapshot()["argocd"]["repositories"]

    assert world.drive(world.accept_for(made, "reconcile")).state is JobState.SUCCEEDED
    assert undo(world, made).state is JobState.SUCCEEDED

    assert world.snapshot()["argocd"]["repositories"] == theirs


def test_an_account_that_somebody_made_meanwhile_is_not_closed(world: World, new_name: Name) -> None:
    login = new_name("person")
    signup = world.sign_up(login)
    away = world.harbour.jenkins.inject(Fault(kind="reset", method="POST", path="createAccountByAdmin", times=1))
    assert world.runner.run(signup.id, "create_jenkins_user").action is NextAction.LATER
    assert away.times == 0
    Hands(world.harbour).make_jenkins_user(login)
    world.drive(signup)
    assert world.step(signup, "create_jenkins_user").code == "conflict"

    closed = world.drive(world.accept_for(signup, "offboard"))

    assert closed.state is JobState.SUCCEEDED, [(step.name, step.reason) for step in world.step_rows(closed)]
    assert login in world.harbour.jenkins.users


def test_a_repository_that_somebody_registered_after_a_refusal_is_theirs(world: World, new_name: Name) -> None:
    app = new_name("refused")
    made = world.make_app(app)
    refusal = Fault(kind="status", method="POST", path="/repositories$", status=403)
    world.harbour.argocd.inject(refusal)
    assert world.drive(made).state is JobState.FAILED
    world.harbour.clear_faults()
    Hands(world.harbour).register_for_all(f"{world.harbour.gitlab.url}/dev/{app}_helm.git")
    theirs = world.snapshot()["argocd"]["repositories"]
    now = world.time()
    world.db.transaction(lambda session: interventions.retry(session, made.id, now))
    assert world.drive(made).state is JobState.SUCCEEDED

    assert undo(world, made).state is JobState.SUCCEEDED

    assert world.snapshot()["argocd"]["repositories"] == theirs
