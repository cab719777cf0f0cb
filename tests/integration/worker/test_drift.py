"""Drift names what was tampered with, and reconcile repairs what is ours.

Each case is one thing that people do to an app's parts on the upstreams, past Slipway.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest
from support.operators import FOLDER_XML, MARKER, Hands, pipeline_xml
from support.world import World

from common.database.models import Job
from common.states import JobState, StepState

pytestmark = pytest.mark.parametrize("db_url", ["sqlite"], indirect=True)  # the upstreams are what differs here

Tamper = Callable[[Hands, str], object]
THEIRS = "slipway:01920000-0000-7000-8000-000000000000"


@dataclass(frozen=True)
class Case:
    """What is done, which step has to see it, and in which word; `clean` takes away what nobody else would."""

    tamper: Tamper
    step: str
    word: str
    clean: Tamper = lambda _hands, _app: None


def _replace_project(hands: Hands, path: str) -> None:
    hands.remove_project(path)
    hands.found_project(path, THEIRS)


def _replace_pipeline(xml: str) -> Tamper:
    def tamper(hands: Hands, app: str) -> None:
        hands.remove_item("dev", f"{app}_dev")
        hands.make_item("dev", f"{app}_dev", xml)

    return tamper


def _drop_parameter(hands: Hands, app: str) -> None:
    hands.edit_item("dev", f"{app}_dev", "<name>image_tag</name>", "<name>image_label</name>")


def _drop_marker_of_pipeline(hands: Hands, app: str) -> None:
    hands.edit_item("dev", f"{app}_dev", "<description>slipway:", "<description>Was made by slipway:")


def _unregister(hands: Hands, app: str) -> None:
    hands.unregister(f"{hands.harbour.gitlab.url}/dev/{app}_helm.git")


def _replace_application(project: str) -> Tamper:
    def tamper(hands: Hands, app: str) -> None:
        hands.remove_application(app, "dev")
        hands.make_application(app, project=project, annotations={MARKER: THEIRS})

    return tamper


def _image(hands: Hands, app: str) -> None:
    rows = [{"name": "image.repository", "value": "registry.example.com/mine", "forceString": True}]
    hands.edit_application(app, "dev", source={"helm": {"parameters": rows}})


def _branch(hands: Hands, app: str) -> None:
    """Let the application follow a branch that somebody pushed."""
    place = hands.harbour.gitlab.repository(hands.project(f"dev/{app}_helm"))
    (place / "refs" / "heads" / "theirs").write_text(_head(place))
    hands.edit_application(app, "dev", source={"targetRevision": "theirs"})


def _head(place: Any) -> str:
    packed: str = (place / "packed-refs").read_text()
    return next(line.split(" ")[0] for line in packed.splitlines() if line.endswith(" refs/heads/main")) + "\n"


def _path(hands: Hands, app: str) -> None:
    hands.replace_spec(app, "dev", lambda spec: spec["source"].update(path="templates"))


def _cluster(hands: Hands, app: str) -> None:
    """Point it at another cluster; the team's project would not allow that to whoever asks."""
    with hands.harbour.argocd.lock:
        hands.harbour.argocd.applications[app].spec["destination"]["name"] = "in-cluster"


def _record(**changes: Any) -> Tamper:
    def tamper(hands: Hands, app: str) -> None:
        with hands.harbour.gitlab.lock:
            vars(hands.project(f"dev/{app}")).update(changes)

    return tamper


CASES = {
    "source deleted": Case(lambda hands, app: hands.remove_project(f"dev/{app}"), "fork_source", "missing"),
    "source renamed": Case(
        lambda hands, app: hands.rename_project(f"dev/{app}", f"{app}-old"),
        "fork_source",
        "missing",
        clean=lambda hands, app: hands.remove_project(f"dev/{app}-old"),
    ),
    "source replaced": Case(lambda hands, app: _replace_project(hands, f"dev/{app}"), "fork_source", "foreign"),
    "source lets merge requests go to the template": Case(
        _record(mr_default_target_self=False), "fork_source", "changed"
    ),
    "helm deleted": Case(lambda hands, app: hands.remove_project(f"dev/{app}_helm"), "fork_helm", "missing"),
    "helm replaced": Case(lambda hands, app: _replace_project(hands, f"dev/{app}_helm"), "fork_helm", "foreign"),
    "protection removed": Case(lambda hands, app: hands.unprotect(f"dev/{app}"), "open_to_developers", "changed"),
    "protection raised": Case(lambda hands, app: hands.protect(f"dev/{app}", 40), "open_to_developers", "changed"),
    "pipeline deleted": Case(lambda hands, app: hands.remove_item("dev", f"{app}_dev"), "create_pipeline", "missing"),
    "pipeline builds another repository": Case(
        lambda hands, app: hands.edit_item("dev", f"{app}_dev", f"/dev/{app}.git", "/dev/theirs.git"),
        "create_pipeline",
        "changed",
    ),
    "pipeline lost a parameter": Case(_drop_parameter, "create_pipeline", "changed"),
    "pipeline replaced": Case(_replace_pipeline(pipeline_xml(THEIRS)), "create_pipeline", "foreign"),
    "pipeline replaced by a folder": Case(_replace_pipeline(FOLDER_XML), "create_pipeline", "foreign"),
    "pipeline lost its marker": Case(_drop_marker_of_pipeline, "create_pipeline", "foreign"),
    "repository unregistered": Case(_unregister, "register_repository", "missing"),
    "application deleted": Case(
        lambda hands, app: hands.remove_application(app, "dev"), "create_application", "missing"
    ),
    "application has another image": Case(_image, "create_application", "changed"),
    "application has another path": Case(_path, "create_application", "changed"),
    "application follows another branch": Case(_branch, "create_application", "changed"),
    "application in another namespace": Case(
        lambda hands, app: hands.edit_application(app, "dev", destination={"namespace": "dev-theirs"}),
        "create_application",
        "changed",
    ),
    "application on another cluster": Case(_cluster, "create_application", "changed"),
    "application replaced": Case(_replace_application("dev"), "create_application", "foreign"),
    "application replaced in another project": Case(_replace_application("default"), "create_application", "foreign"),
    "application lost its marker": Case(
        lambda hands, app: hands.edit_application(app, "dev", metadata={"annotations": {MARKER: None}}),
        "create_application",
        "foreign",
    ),
}


def every(wanted: Callable[[Case], bool]) -> pytest.MarkDecorator:
    return pytest.mark.parametrize(
        "case", [pytest.param(case, id=name) for name, case in CASES.items() if wanted(case)]
    )


@pytest.fixture
def made(world: World, new_name: Callable[[str], str]) -> Job:
    """An app that is as it should be."""
    return world.drive(world.make_app(new_name("drifting")))


def drift(world: World, made: Job) -> dict[str, str]:
    """Return the word for each step that is off, and see that nothing was written."""
    before, writes = world.snapshot(), world.write_count()
    job = world.drive(world.accept_for(made, "drift"))
    assert (world.write_count(), world.snapshot()) == (writes, before)
    output = world.step(job, "compare_app").output
    assert output is not None, world.step(job, "compare_app").reason
    assert output["drifted"] is bool(output["parts"])
    return {part["step"]: part["state"] for part in output["parts"]}


def reconcile(world: World, made: Job) -> Job:
    return world.drive(world.accept_for(made, "reconcile"))


@every(lambda case: case.word != "foreign")
def test_what_was_tampered_with_is_named_and_put_right(
    world: World, new_name: Callable[[str], str], case: Case
) -> None:
    untouched = world.snapshot()
    made = world.drive(world.make_app(new_name("drifting")))
    assert drift(world, made) == {}
    case.tamper(Hands(world.harbour), made.input["app"])

    found = drift(world, made)
    job = reconcile(world, made)

    assert found.pop(case.step) == case.word
    assert not found or case.step.startswith("fork"), found  # what needs the repository cannot be as it should
    assert job.state is JobState.SUCCEEDED, [(step.name, step.reason) for step in world.step_rows(job)]
    assert drift(world, made) == {}
    writes, repaired = world.write_count(), world.snapshot()
    assert reconcile(world, made).state is JobState.SUCCEEDED
    assert (world.write_count(), world.snapshot()) == (writes, repaired)
    case.clean(Hands(world.harbour), made.input["app"])
    assert world.drive(world.accept_for(made, "deprovision")).state is JobState.SUCCEEDED
    world.end_retention()
    assert world.snapshot() == untouched


@every(lambda case: case.word == "foreign")
def test_what_is_somebody_elses_is_named_and_left_alone(world: World, made: Job, case: Case) -> None:
    case.tamper(Hands(world.harbour), made.input["app"])
    before = world.snapshot()

    found = drift(world, made)
    job = reconcile(world, made)

    assert found.pop(case.step) == "foreign"
    assert set(found.values()) <= {"not reached"}
    step = world.step(job, case.step)
    assert (job.state, step.state, step.code) == (JobState.FAILED, StepState.FAILED, "conflict")
    assert world.snapshot() == before


def test_two_tamperings_are_found_at_once(world: World, made: Job) -> None:
    for name in ("protection raised", "application has another image"):
        CASES[name].tamper(Hands(world.harbour), made.input["app"])

    assert drift(world, made) == {"open_to_developers": "changed", "create_application": "changed"}
    assert reconcile(world, made).state is JobState.SUCCEEDED
    assert drift(world, made) == {}


def test_a_repository_that_only_has_to_be_changed_is_there_for_what_follows(world: World, made: Job) -> None:
    _record(mr_default_target_self=False)(Hands(world.harbour), made.input["app"])

    assert drift(world, made) == {"fork_source": "changed"}


def test_a_foreign_part_does_not_keep_the_others_from_being_repaired(world: World, made: Job) -> None:
    for name in ("pipeline replaced", "application has another image"):
        CASES[name].tamper(Hands(world.harbour), made.input["app"])

    assert reconcile(world, made).state is JobState.FAILED

    assert drift(world, made) == {"create_pipeline": "foreign"}


@pytest.mark.parametrize(
    "text", ["{marker}&#xd;\nOwned by the team", "Owned by the team&#xd;\n&#x1b;[31mred&#xd;\n {marker} "]
)
def test_a_pipeline_whose_description_people_edited_is_no_drift_and_can_be_removed(
    world: World, made: Job, text: str
) -> None:
    app, marker = made.input["app"], f"slipway:{made.subject_id}"
    Hands(world.harbour).edit_item("dev", f"{app}_dev", marker, text.format(marker=marker))

    assert drift(world, made) == {}
    assert reconcile(world, made).state is JobState.SUCCEEDED
    assert "Owned by the team" in world.harbour.jenkins.items[f"dev/{app}_dev"]
    assert world.drive(world.accept_for(made, "deprovision")).state is JobState.SUCCEEDED
    assert f"dev/{app}_dev" not in world.harbour.jenkins.items


def test_what_was_deployed_is_no_drift(world: World, made: Job) -> None:
    assert world.drive(world.accept_for(made, "deploy", image_tag="7")).state is JobState.SUCCEEDED

    assert drift(world, made) == {}
    writes = world.write_count()
    assert reconcile(world, made).state is JobState.SUCCEEDED
    assert world.write_count() == writes


@pytest.mark.parametrize("change", [{"description": "About the shop"}, {"description": None}])
def test_a_repository_whose_description_was_edited_is_ours_by_its_id(
    world: World, made: Job, change: dict[str, Any]
) -> None:
    _record(**change)(Hands(world.harbour), made.input["app"])

    assert drift(world, made) == {}
    assert world.drive(world.accept_for(made, "deprovision")).state is JobState.SUCCEEDED


@pytest.mark.parametrize("origin", ["none", "another"])
def test_a_lost_or_another_origin_is_reported_and_keeps_nothing_from_working(
    world: World, made: Job, origin: str
) -> None:
    hands = Hands(world.harbour)
    another = hands.project("templates/Django_Template").id if origin == "another" else None
    _record(forked_from=another)(hands, made.input["app"])

    job = world.drive(world.accept_for(made, "drift"))

    output = world.step(job, "compare_app").output
    assert output is not None
    assert [(part["step"], part["state"]) for part in output["parts"]] == [("fork_source", "differs")]
    assert "as a fork of templates/" in output["parts"][0]["reason"]
    assert (output["drifted"], output["repairable"]) == (True, False)
    assert reconcile(world, made).state is JobState.SUCCEEDED
    assert world.drive(world.accept_for(made, "deprovision")).state is JobState.SUCCEEDED
