"""What commands print commands no terminal and no spreadsheet."""

from __future__ import annotations

import pytest

from api.presentation.printable import cell, plain


@pytest.mark.parametrize("text", ["=1+1", "+1", "-1", "@SUM(A1)", "\t=1", "  =1", "\uff1d1", "=cmd|'/c calc'!A0"])
def test_a_cell_that_begins_like_a_formula_is_a_text(text: str) -> None:
    assert str(cell(text)).startswith("'")


@pytest.mark.parametrize("value", ["https://gitlab.example.com/dev/app", "storefront", "", None, 7])
def test_any_other_cell_is_as_it_is(value: object) -> None:
    assert cell(value) == value


def test_nothing_printed_moves_the_cursor_or_changes_the_order() -> None:
    assert not {"\x1b", "\u202e", "\u2028", "\u200b"} & set(plain("\x1b[2J a\u202eb\u2028c\u200b"))
