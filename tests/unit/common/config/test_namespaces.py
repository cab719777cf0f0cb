"""Namespaces of apps: two teams never give the same one, which is proven against all names that a pattern can give."""

from __future__ import annotations

import random
import re
from itertools import product

import pytest

from api.contract.validation import NAME
from common.config import namespaces
from common.config.namespaces import NamespacePattern, find_shared, pattern_of

PAIRS = 1_000  # of patterns


def _matching(pattern: NamespacePattern) -> re.Pattern[str]:
    """Return what matches the names that the pattern gives: the rule for apps' names, with the length before it."""
    sizes = namespaces.APP_CHARACTERS
    grammar = NAME.pattern.removeprefix(f"(?=.{{{sizes[0]},{sizes[-1]}}}\\Z)")
    inner = f"(?=.{{{sizes[0]},{sizes[-1]}}}{pattern.suffix}\\Z){grammar}"
    return re.compile(f"{pattern.prefix}{inner}{pattern.suffix}")


def _names() -> list[str]:
    """Return all short names of apps that consist of one letter, one digit and hyphens."""
    texts = ("".join(each) for size in range(3, 7) for each in product("a0-", repeat=size))
    return [text for text in texts if NAME.fullmatch(text)]


def _part(chance: random.Random) -> str:
    return "".join(chance.choices("a0-", k=chance.randrange(4)))


def test_the_rule_for_lengths_is_that_of_names() -> None:
    sizes = namespaces.APP_CHARACTERS

    assert [bool(NAME.fullmatch("a" * size)) for size in (sizes[0] - 1, sizes[0], sizes[-1], sizes[-1] + 1)] == [
        False, True, True, False,
    ]  # fmt: skip


def test_a_shared_name_is_found_exactly_where_there_is_one() -> None:
    chance, names, found = random.Random(20_26), _names(), 0

    for _ in range(PAIRS):
        one, other = (NamespacePattern(prefix=_part(chance), suffix=_part(chance)) for _ in "ab")
        shared = find_shared(one, other)
        if shared is not None:
            found += 1
            assert all(_matching(each).fullmatch(shared) for each in (one, other)), (one, other, shared)
        else:
            theirs = _matching(other)
            assert not [name for name in names if theirs.fullmatch(one.namespace_of(name))], (one, other)

    assert PAIRS / 20 < found < PAIRS / 2, found  # or it proves little


@pytest.mark.parametrize(
    ("one", "other", "shared"),
    [
        (("{team}-{app}", "dev"), ("{team}-{app}", "ops"), None),
        (("{team}-{app}", "dev"), ("{team}-{app}", "dev-x"), "dev-x-aaa"),
        (("{app}-{team}", "dev"), ("{team}-{app}", "ops"), "ops-dev"),
        (("{app}", "dev"), ("{app}", "ops"), "aaa"),
        (("{app}-x", "dev"), ("{app}-y", "ops"), None),
        (("a--{app}", "dev"), ("{app}", "ops"), None),  # no app's name has two hyphens side by side
        (("{team}-{app}", "d" * 40), ("{app}", "ops"), None),  # none is as long
        (("{team}-{app}", "Dev"), ("{team}-{app}", "dev"), "dev-aaa"),
    ],
)
def test_patterns_of_two_teams_are_compared(one: tuple[str, str], other: tuple[str, str], shared: str | None) -> None:
    assert find_shared(pattern_of(*one), pattern_of(*other)) == shared
    assert (find_shared(pattern_of(*other), pattern_of(*one)) is None) == (shared is None)


@pytest.mark.parametrize(
    ("text", "team", "why"),
    [
        ("{team}", "dev", "must contain {app} once"),
        ("{app}-{app}", "dev", "must contain {app} once"),
        ("", "dev", "must contain {app} once"),
        ("-{app}", "dev", "which no namespace can have"),
        ("{app}-", "dev", "which no namespace can have"),
        ("Team_{app}", "dev", "which no namespace can have"),
        ("{stage}-{app}", "dev", "which no namespace can have"),
        ("{team}-{app}", "\u00e4", "which no namespace can have"),
        ("{team}-{app}", "d" * 60, "leaves no room"),
    ],
)
def test_a_pattern_that_cannot_work_says_why(text: str, team: str, why: str) -> None:
    with pytest.raises(ValueError, match=re.escape(why)):
        pattern_of(text, team)


def test_a_pattern_gives_names_a_glob_and_the_length_that_is_left() -> None:
    pattern = pattern_of("{team}-{app}-x", "R&D_Lab")

    assert pattern.namespace_of("shop") == "r-d-lab-shop-x"
    assert pattern.glob == "r-d-lab-*-x"
    assert pattern.app_characters == 32
    assert pattern_of("{team}-{app}", "d" * 40).app_characters == 22
