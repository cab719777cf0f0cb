"""The profile `harbour` of docker-compose.yml shows the main job with no upstream of one's own: `make compose`."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest
from support.composition import Composition, opened

WITHIN_S = 120.0


@pytest.fixture(scope="module")
def composition(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Composition]:
    """Everything that `docker compose --profile harbour up` starts, healthy."""
    with opened(tmp_path_factory.mktemp("compose")) as composition:
        for name in ("harbour", "api", "worker", "flower"):
            composition.up(name)
        for name in ("harbour", "api", "worker", "flower"):
            composition.up(name).await_health()
        yield composition


def test_the_demo_signs_up_makes_an_app_builds_it_and_deploys_it(composition: Composition) -> None:
    demo = composition.up("demo")

    assert demo.process.wait(WITHIN_S) == 0, demo.log
    assert demo.log.count("  created ") == 5  # two projects, a repository, a pipeline, an application


def test_the_doctor_finds_everything_but_links_that_others_can_open(composition: Composition) -> None:
    told = composition.up("worker").run("python", "-m", "worker.doctor", "--json").stdout

    wrong = [each["check"] for each in json.loads(told)["checks"] if each["state"] != "well"]
    assert wrong == ["links to GITLAB_URL", "links to JENKINS_URL", "links to ARGO_URL"]


def test_the_stand_ins_take_the_tokens_of_the_files_and_print_none(composition: Composition) -> None:
    harbour = composition.up("harbour")
    secrets = [file.read_text() for file in composition.secrets.iterdir()]

    assert "GITLAB_URL=http://harbour:18080\n" in harbour.log
    assert not [secret for secret in secrets if secret in harbour.log]


def test_the_stand_ins_end_when_they_are_told_to(composition: Composition) -> None:
    harbour = composition.start("harbour", number=2)  # listens nowhere: the first one does

    assert harbour.process.wait(WITHIN_S) != 0
    assert composition.up("harbour").stop() < composition.service("harbour").grace_s
