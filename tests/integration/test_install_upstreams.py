"""docs/install-upstreams.md makes of empty upstreams an installation in which Slipway works."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from support.prepared import findings_of, settings_with
from support.upstream_setup import NOT_RUN, PlatformTeam, empty_harbour, reason_not_to_run
from support.world import Time, World

from common.config.settings import WorkerSettings
from common.database.engine import Database
from common.database.models import Job
from common.states import JobState
from harbour.world import Harbour
from worker.upstreams.check import CheckState


@pytest.fixture
def harbour(tmp_path: Path) -> Iterator[Harbour]:
    opened = empty_harbour(tmp_path / "harbour")
    opened.start()
    yield opened
    opened.stop()


@pytest.fixture
def team(harbour: Harbour, tmp_path: Path) -> Iterator[PlatformTeam]:
    place = tmp_path / "platform"
    place.mkdir()
    with closing(PlatformTeam(harbour, place)) as opened:
        yield opened


def settings_of(team: PlatformTeam, db: Database) -> WorkerSettings:
    return settings_with(team.settings(), str(db.engine.url))


def main_job(world: World) -> list[Job]:
    """Sign a person up, create an app, build it, and deploy what was built."""
    signed_up = world.drive(world.sign_up("ada"))
    made = world.drive(world.make_app("storefront"))
    built = world.drive(world.accept_build(made))
    tag = str(output_of(world, built, "await_result")["image"]).rpartition(":")[2]
    return [signed_up, made, built, world.drive(world.accept_for(made, "deploy", image_tag=tag))]


def output_of(world: World, job: Job, step: str) -> dict[str, Any]:
    output = world.step(job, step).output
    assert output is not None, [(each.name, each.reason) for each in world.step_rows(job)]
    return output


@pytest.mark.parametrize("db_url", ["sqlite"], indirect=True)
def test_the_page_makes_empty_upstreams_ready_for_the_doctor_and_for_the_main_job(
    harbour: Harbour, team: PlatformTeam, db: Database, time: Time
) -> None:
    team.set_up()
    refused = [call for call in harbour.calls() if (call.status or 599) >= 400]
    settings = settings_of(team, db)
    wrong = [each for each in findings_of(settings) if each.state is not CheckState.PASSED]
    world = World(db, time, harbour, settings)
    jobs = main_job(world)

    assert [call for call in refused if call.kind != "git"] == []
    assert wrong == []
    assert [(job.kind, job.state) for job in jobs] == [
        (kind, JobState.SUCCEEDED) for kind in ("signup", "provision", "build", "deploy")
    ]
    pushed = output_of(world, jobs[2], "await_result")["image"]
    assert harbour.registry.has(pushed)
    assert output_of(world, jobs[3], "await_healthy")["images"] == [pushed]
    print(f"\n{len(team.typed)} commands were typed. These were not:")  # noqa: T201 - the list is the point
    for command in team.left:
        print(f"  {command.heading}: {command.text.splitlines()[0]} … ({reason_not_to_run(command)})")  # noqa: T201


@pytest.mark.parametrize("db_url", ["sqlite"], indirect=True)
def test_empty_upstreams_have_nothing_that_the_doctor_asks_for(team: PlatformTeam, db: Database) -> None:
    settings = settings_of(team, db).model_copy(update={"jenkins_auth_id": "admin"})

    found = findings_of(settings)

    assert {each.group for each in found if each.state is CheckState.FAILED} >= {"GitLab", "Argo CD", "Elasticsearch"}


def test_every_reason_not_to_run_a_command_is_needed(team: PlatformTeam) -> None:
    team.set_up()

    used = {reason_not_to_run(command) for command in team.left}

    assert used == set(NOT_RUN.values())
    assert all(not command.text.startswith("curl") or "KIBANA_EXT_URL" in command.text for command in team.left)
