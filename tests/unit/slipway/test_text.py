"""Texts of others cannot reorder, hide or command anything in a terminal."""

from __future__ import annotations

from slipway.text import plain


def test_directions_and_zero_width_are_left_out() -> None:
    assert plain("a\u202eb\u2066c\u200b\u2028d\ufeff") == "abcd"


def test_control_codes_are_shown_as_replaced_and_colours_are_gone() -> None:
    assert plain("\x1b[31mred\x1b[0m\x1b]0;title\x07\r\nnext") == "red\ufffd]0;title\ufffd\nnext"
