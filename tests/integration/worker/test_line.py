"""From a commit to the cluster: which commit a build built, which image it pushed, and which one runs."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from support.builds import Plant, paced
from support.repositories import branches, commit, show, tip
from support.world import Time, World

from common.database.engine import Database
from common.database.models import App, Job
from common.jobs import builds
from common.states import JobState
from common.workflows import RECONCILE
from harbour.world import Harbour

pytestmark = pytest.mark.one_database

FORMER_IMAGE_STAGE = """
        stage('Image') {
            steps {
                sh 'docker build --tag "$image_name:$BUILD_NUMBER" .'
                sh 'docker push "$image_name:$BUILD_NUMBER"'
            }
        }
"""


@pytest.fixture
def plant(world: World, new_name: Callable[[str], str]) -> Iterator[Plant]:
    with paced(world.harbour.jenkins):
        yield Plant(world, new_name("shop"))


def build(plant: Plant, **inputs: str | None) -> Job:
    return plant.world.drive(plant.world.accept_build(plant.made, **inputs))


def result(plant: Plant, job: Job) -> dict[str, object]:
    output = plant.world.step(job, "await_result").output
    assert output is not None, [(step.name, step.reason) for step in plant.world.step_rows(job)]
    return output


def source(plant: Plant) -> str:
    return f"dev/{plant.made.input['app']}"


def image(plant: Plant, tag: str) -> str:
    return f"registry.example.com/apps/{plant.made.input['app']}:{tag}"


def test_a_build_reports_the_commit_and_the_image(plant: Plant) -> None:
    pushed = commit(plant.world.harbour.gitlab, source(plant), {"CHANGES.md": "one\n"})

    made = result(plant, build(plant, image_tag="1-abc"))

    assert (made["commit"], made["image"]) == (pushed, image(plant, "1-abc"))
    assert plant.world.harbour.registry.images()[image(plant, "1-abc")] == pushed


def test_a_branch_is_built_at_its_own_commit(plant: Plant) -> None:
    pushed = commit(plant.world.harbour.gitlab, source(plant), {"CHANGES.md": "two\n"}, branch="feature/x")

    made = result(plant, build(plant, branch="feature/x", image_tag="2-abc"))

    assert made["commit"] == pushed != tip(plant.world.harbour.gitlab, source(plant))


def test_a_branch_that_is_not_there_fails_the_job_with_jenkins_s_words(plant: Plant) -> None:
    job = build(plant, branch="none", image_tag="3-abc")

    reason = plant.world.step(job, "await_result").reason or ""
    assert job.state is JobState.FAILED
    assert "Couldn't find any revision to build" in reason
    assert not plant.world.harbour.registry.has(image(plant, "3-abc"))


def test_a_jenkinsfile_that_describes_nothing_is_read_by_its_console(plant: Plant) -> None:
    gitlab, name = plant.world.harbour.gitlab, source(plant)
    script = show(gitlab, name, "Jenkinsfile")
    head, tail = script.split("        stage('Image')")
    commit(gitlab, name, {"Jenkinsfile": head + FORMER_IMAGE_STAGE + "    }\n}\n"})
    assert "currentBuild" in tail

    made = result(plant, build(plant, image_tag="ignored"))

    assert made["image"] == image(plant, str(made["number"]))


def test_a_build_that_was_started_in_jenkins_needs_no_parameter(plant: Plant) -> None:
    plant.start_by_hand()
    plant.world.time.advance(60)

    with plant.jenkins.lock:
        plant.jenkins.catch_up()
        (made,) = plant.jenkins.builds[plant.pipeline]
    assert (made.outcome, [each["commit"] for each in made.checkouts]) == (
        "SUCCESS",
        [tip(plant.world.harbour.gitlab, source(plant))],
    )
    assert all(plant.world.harbour.registry.has(pushed) for pushed in made.images)


@pytest.fixture
def trunk(db: Database, time: Time, harbour: Harbour, tmp_path: Path) -> Iterator[World]:
    """A world in which the default branch of every template is `trunk`."""
    config = replace(harbour.config, root=tmp_path / "harbour", template_branch="trunk")
    opened = Harbour(config, now=lambda: time().timestamp())
    opened.start()
    with paced(opened.jenkins):
        yield World(db, time, opened)
    opened.stop()


def test_no_default_branch_has_to_be_called_main(trunk: World, new_name: Callable[[str], str]) -> None:
    name = new_name("shop")
    made = trunk.drive(trunk.make_app(name))
    gitlab, argocd = trunk.harbour.gitlab, trunk.harbour.argocd
    pushed = commit(gitlab, f"dev/{name}", {"CHANGES.md": "one\n"}, branch="trunk")

    built = trunk.drive(trunk.accept_build(made, image_tag="1-abc"))
    deployed = trunk.drive(trunk.accept_for(made, "deploy", image_tag="1-abc"))
    drift = trunk.drive(trunk.accept_for(made, "drift"))

    assert [job.state for job in (made, built, deployed, drift)] == [JobState.SUCCEEDED] * 4
    assert branches(gitlab, f"dev/{name}") == branches(gitlab, f"dev/{name}_helm") == ["trunk"]
    assert "<name>*/trunk</name>" in trunk.harbour.jenkins.items[f"dev/{name}_dev"]
    assert trunk.harbour.registry.images()[f"registry.example.com/apps/{name}:1-abc"] == pushed
    assert argocd.applications[name].spec["source"]["targetRevision"] == "trunk"
    assert (trunk.step(deployed, "await_healthy").output or {})["revision"] == tip(gitlab, f"dev/{name}_helm", "trunk")
    assert (trunk.step(drift, "compare_app").output or {})["drifted"] is False


def test_tags_of_an_app_never_repeat_and_those_of_another_one_are_others(plant: Plant) -> None:
    def take(app_id: str | None) -> list[str]:
        return plant.world.db.transaction(
            lambda session: [builds.next_tag(session.get_one(App, app_id)) for _ in range(3)]
        )

    other = plant.world.drive(plant.world.make_app(f"{plant.made.input['app']}-again"))

    tags = [*take(plant.made.app_id), *take(plant.made.app_id), *take(other.app_id)]
    assert len(set(tags)) == 9


def test_an_app_of_an_older_version_gets_the_parameters_by_reconcile(plant: Plant) -> None:
    held = plant.jenkins.items[plant.pipeline]
    plant.jenkins.items[plant.pipeline] = held.replace("<name>registry_credential</name>", "<name>other</name>")

    plant.world.drive(plant.world.accept_for(plant.made, RECONCILE.name))

    assert "<name>registry_credential</name>" in plant.jenkins.items[plant.pipeline]
