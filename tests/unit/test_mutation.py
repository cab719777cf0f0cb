"""Mutation testing itself: what it names exists, and what it leaves out has a reason."""

from __future__ import annotations

import ast

import pytest
from mutation import mutants
from mutation.equivalent import equivalents
from mutation.targets import TARGETS, Target
from support.images import ROOT


def _keys(target: Target) -> set[str]:
    tree = ast.parse((ROOT / target.file).read_text(encoding="utf-8"))
    return {mutant.key for mutant in mutants.of(tree, target.functions)}


@pytest.mark.parametrize("target", TARGETS, ids=lambda target: target.file)
def test_every_target_has_mutants_and_its_tests_exist(target: Target) -> None:
    functions = {key.partition(":")[0] for key in _keys(target)}

    assert set(target.functions) <= functions
    assert functions
    assert [name for name in target.tests if not (ROOT / name).exists()] == []


def test_every_equivalent_mutant_is_one_of_its_file_and_has_a_reason() -> None:
    known = {target.file: _keys(target) for target in TARGETS}

    assert {file: set(listed) - known.get(file, set()) for file, listed in equivalents().items()} == {
        file: set() for file in equivalents()
    }
    assert [mutant for listed in equivalents().values() for mutant, reason in listed.items() if not reason] == []


def test_mutants_are_told_apart_and_texts_for_people_are_left_alone() -> None:
    code = '''
def check(a, b):
    """Say it."""
    log.error("failed", extra={"code": "x"})
    if a.x < 1 and b:
        raise ValueError(f"no {a}")
    return a.x < 1
'''

    found = mutants.of(ast.parse(code))

    assert [mutant.key for mutant in found] == [
        "check: a.x < 1 and b -> a.x < 1 or b",
        "check: a.x < 1 -> a.x <= 1",
        "check: a.x < 1 -> a.x >= 1",
        "check: 1 -> 2",
        "check: raise ValueError(f'no {a}') -> pass",
        "check: a.x < 1 -> a.x <= 1 #2",
        "check: a.x < 1 -> a.x >= 1 #2",
        "check: 1 -> 2 #2",
    ]
