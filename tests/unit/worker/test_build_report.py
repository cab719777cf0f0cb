"""What a build says of itself is read from Jenkins, and never guessed."""

from __future__ import annotations

import pytest

from worker import build_report
from worker.upstreams.jenkins.schemas import Build

SOURCE = "https://git.example.com/dev/shop.git"
NAME = "registry.example.com:5000/apps/shop"


def build(description: str = "", **commits: str) -> Build:
    return Build(
        number=7,
        url="http://jenkins/7/",
        is_running=False,
        result="SUCCESS",
        duration_s=1.0,
        queue_id=1,
        description=description,
        commits={f"https://git.example.com/dev/{name}.git": commit for name, commit in commits.items()},
    )


@pytest.mark.parametrize("url", [SOURCE, SOURCE.removesuffix(".git"), f"{SOURCE}/"])
def test_the_commit_is_that_of_the_apps_own_repository(url: str) -> None:
    assert build_report.commit(build(shop="aaa", shop_helm="bbb"), url) == "aaa"


def test_a_single_checkout_under_another_address_is_the_app_s() -> None:
    assert build_report.commit(build(shop="aaa"), "http://gitlab.internal/dev/shop.git") == "aaa"


def test_checkouts_of_other_repositories_are_not_the_app_s() -> None:
    assert build_report.commit(build(library="aaa", shop_helm="bbb"), SOURCE) is None
    assert build_report.commit(build(), SOURCE) is None


@pytest.mark.parametrize(
    ("description", "console", "tag"),
    [
        (f"pushed {NAME}:1-abc", f"+ docker push {NAME}:other", "1-abc"),
        ("", f"+ docker build --tag {NAME}:7 .\n+ docker push {NAME}:7", "7"),
        ("nightly", f'+ docker push "{NAME}:7"', "7"),
        ("", f"+ /kaniko/executor --context . --destination {NAME}:7", "7"),
        ("", f"+ docker push {NAME}:6\n+ docker push {NAME}:7\nFinished: SUCCESS", "7"),
        ("", f"Built and pushed image as {NAME}:7", "7"),
    ],
)
def test_the_image_is_what_description_or_console_say_was_pushed(description: str, console: str, tag: str) -> None:
    assert build_report.image(build(description), NAME, console) == f"{NAME}:{tag}"


@pytest.mark.parametrize(
    "console",
    ["", f"+ docker build --tag {NAME}:7 .", f"+ docker push {NAME}-worker:7", f"+ docker push mirror/{NAME}:7"],
)
def test_what_nobody_says_was_pushed_is_unknown(console: str) -> None:
    assert build_report.image(build(), NAME, console) is None
