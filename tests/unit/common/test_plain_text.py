"""What an upstream says in general is quoted in a reason, and left out for those who do not operate it."""

from __future__ import annotations

import pytest

from common.plain_text import own_words, quoted


@pytest.mark.parametrize(
    "words", ["Bad Request", "“”", "he said “no”. Gave up", "“ “ “", "it”s”", "PRIVATE-TOKEN: x", "”“"]
)
def test_our_own_words_are_what_is_left(words: str) -> None:
    reason = f"GitLab answered 400 while creating the user ada: {quoted(words)}. Gave up after 6 attempts."

    assert own_words(reason) == "GitLab answered 400 while creating the user ada. Gave up after 6 attempts."


def test_a_quotation_that_was_cut_is_left_out_too() -> None:
    assert own_words("GitLab answered 500 while looking: “Bad Gatew…") == "GitLab answered 500 while looking"


def test_a_reason_without_a_quotation_is_as_it_is() -> None:
    assert own_words("Build 7 ended as FAILURE. Its last lines:\nmake: error") == (
        "Build 7 ended as FAILURE. Its last lines:\nmake: error"
    )
