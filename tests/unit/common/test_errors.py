"""Every outcome that a step can raise has a row in the runner and whoever has to act has a remedy."""

from __future__ import annotations

import pytest

from common import errors
from common.errors import ActionBy, StepError
from worker.runner import REMEDIES


def test_there_are_four_outcomes() -> None:
    assert {each.__name__ for each in StepError.__subclasses__()} == {"NotYet", "Transient", "Conflict", "Permanent"}


@pytest.mark.parametrize("outcome", StepError.__subclasses__())
def test_every_outcome_has_a_code_of_its_own(outcome: type[StepError]) -> None:
    codes = [each.code for each in StepError.__subclasses__()]
    assert outcome.code != StepError.code
    assert codes.count(outcome.code) == 1


def test_whoever_has_to_act_has_a_remedy() -> None:
    assert {ActionBy(key) for key in REMEDIES} == set(ActionBy)


def test_the_picture_of_the_tree_names_every_outcome() -> None:
    assert errors.__doc__ is not None
    assert all(each.__name__ in errors.__doc__ for each in StepError.__subclasses__())
