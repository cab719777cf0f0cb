"""The doctor judges as the upstreams do, and reports every end of a check."""

from __future__ import annotations

import time
from typing import Any

import pytest

from common.errors import Transient
from worker.doctor import run
from worker.upstreams.argocd.project_globs import allows_destination, allows_source
from worker.upstreams.check import Check, CheckFailedError, CheckInconclusiveError, CheckState, Group
from worker.upstreams.probe import number_of

HELM = "https://git.example/dev/shop_helm.git"
NO_RED = {"name": "!red-*", "server": "", "namespace": "*"}
ALL = {"name": "*", "server": "*", "namespace": "*"}


@pytest.mark.parametrize(
    ("patterns", "is_allowed"),
    [
        (["*"], True),
        (["https://git.example/dev/*"], True),
        (["https://GIT.example/dev/shop_helm"], True),
        (["https://git.example/*"], False),  # a * stops at a slash
        (["https://git.example/**"], True),
        (["https://git.example/{dev,ops}/*"], True),
        (["https://git.example/{qa,ops}/*"], False),
        (["https://git.example/[d-e]ev/shop?helm.git"], True),
        (["https://git.example/[!d]ev/*"], False),
        (["*", "!https://git.example/dev/*"], False),
        (["*", "!https://git.example/ops/*"], True),
        ([], False),
    ],
)
def test_sources_are_allowed_as_argo_cd_does(patterns: list[str], is_allowed: bool) -> None:
    assert allows_source(patterns, HELM) is is_allowed


@pytest.mark.parametrize(
    ("rows", "is_allowed"),
    [
        ([ALL], True),
        ([{"name": "red-cluster", "namespace": "*"}], True),
        ([{"server": "https://red", "namespace": "*"}], True),
        ([{"name": "blue-cluster", "namespace": "*"}], False),
        ([{"name": "red-cluster", "namespace": "team-*"}], False),
        ([{"name": "red-cluster", "namespace": "!kube-*"}], True),
        ([ALL, NO_RED], False),
        ([ALL, {"name": "*", "server": "", "namespace": "!kube-system"}], True),
        ([{"server": "https://red", "namespace": "*"}, {"server": "!https://red", "namespace": "*"}], False),
        ([], False),
    ],
)
def test_destinations_are_allowed_as_argo_cd_does(rows: list[dict[str, Any]], is_allowed: bool) -> None:
    place = {"name": "red-cluster", "server": "https://red", "namespace": "shop"}

    assert allows_destination(rows, **place) is is_allowed


def test_a_server_that_is_not_known_is_not_the_one_that_is_allowed() -> None:
    """A token may see a project and not the clusters."""
    rows = [{"name": "blue-cluster", "namespace": "*"}, {"server": "https://blue", "namespace": "*"}]

    assert not allows_destination(rows, name="red-cluster", server="", namespace="shop")


@pytest.mark.parametrize(
    ("version", "numbers"),
    [
        ("18.5.1-ee", (18, 5, 1)),
        ("v3.5.1+109ca7c", (3, 5, 1)),
        ("2.568", (2, 568)),
        ("9.0.0-rc1", (9, 0, 0)),
        ("x", ()),
    ],
)
def test_a_version_is_its_leading_numbers(version: str, numbers: tuple[int, ...]) -> None:
    assert number_of(version) == numbers


def test_each_end_of_a_check_is_a_finding_and_what_needs_it_is_not_looked_at() -> None:
    def fail(error: Exception) -> str:
        raise error

    group = Group(
        name="Moon",
        checks=(
            _check("well", lambda: "seen"),
            _check("wrong", lambda: fail(CheckFailedError("bad", "correct it so"))),
            _check("stumbles", lambda: fail(Transient("no answer"))),
            _check("untold", lambda: fail(CheckInconclusiveError("hidden"))),
            _check("after wrong", lambda: "seen", "wrong"),
            _check("after untold", lambda: "seen", "untold"),
        ),
    )

    found = run.run_checks([group], within_s=5)

    assert [(each.check, each.state, each.said, each.remedy) for each in found] == [
        ("well", CheckState.PASSED, "seen", ""),
        ("wrong", CheckState.FAILED, "bad", "correct it so"),
        ("stumbles", CheckState.FAILED, "no answer", "correct it"),
        ("untold", CheckState.INCONCLUSIVE, "hidden", ""),
        ("after wrong", CheckState.INCONCLUSIVE, "not checked, because this did not pass: wrong", ""),
        ("after untold", CheckState.INCONCLUSIVE, "not checked, because this did not pass: untold", ""),
    ]


def test_a_check_that_hangs_ends_with_the_time_and_holds_nobody_else_up() -> None:
    hanging = Group(name="Moon", checks=(_check("hangs", lambda: time.sleep(2) or "late"), _check("next", lambda: "")))
    quick = Group(name="Sun", checks=(_check("shines", lambda: "warm"),))

    found = run.run_checks([hanging, quick], within_s=0.2)

    assert [each.state for each in found] == [CheckState.FAILED, CheckState.INCONCLUSIVE, CheckState.PASSED]
    assert "--seconds" in found[1].remedy


def test_a_fault_of_our_own_is_not_a_finding() -> None:
    with pytest.raises(ZeroDivisionError):
        run.run_checks([Group(name="Moon", checks=(_check("odd", lambda: str(1 // 0)),))], within_s=5)


def _check(name: str, act: Any, *needs: str) -> Check:
    return Check(name=name, question="Is it so?", remedy="correct it", run=act, needs=needs)
