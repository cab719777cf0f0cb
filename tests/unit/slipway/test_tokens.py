"""A log-in is kept for its owner alone, for one server, whole or not at all."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest

from slipway.tokens import Tokens, directory

URL, OTHER_URL, TOKEN = "http://127.0.0.1:8000", "https://slipway.example.com", "canary-token"


@pytest.fixture
def tokens(tmp_path: Path) -> Tokens:
    return Tokens(tmp_path / "slipway")


def test_its_owner_alone_can_read_a_token_whatever_the_umask(tokens: Tokens, tmp_path: Path) -> None:
    usual = os.umask(0)
    try:
        tokens.keep(URL, TOKEN)
    finally:
        os.umask(usual)

    place = tmp_path / "slipway"
    assert [stat.S_IMODE(file.stat().st_mode) for file in place.iterdir()] == [0o600]
    assert stat.S_IMODE(place.stat().st_mode) == 0o700


def test_a_token_is_found_at_its_own_server_only(tokens: Tokens) -> None:
    tokens.keep(URL, TOKEN)

    assert tokens.find(URL) == TOKEN
    assert tokens.find(OTHER_URL) is None


def test_a_newer_log_in_replaces_the_older_one_and_leaves_nothing_behind(tokens: Tokens, tmp_path: Path) -> None:
    tokens.keep(URL, "older")
    tokens.keep(URL, "newer")

    assert tokens.find(URL) == "newer"
    assert len(list((tmp_path / "slipway").iterdir())) == 1


def test_what_cannot_be_written_whole_leaves_the_older_log_in(tokens: Tokens, tmp_path: Path) -> None:
    tokens.keep(URL, "older")

    with pytest.raises(TypeError):
        tokens.keep(URL, object())  # type: ignore[arg-type] # it fails in the middle of the file

    assert tokens.find(URL) == "older"
    assert len(list((tmp_path / "slipway").iterdir())) == 1


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o666])
def test_a_token_that_others_can_read_is_not_used(tokens: Tokens, tmp_path: Path, mode: int) -> None:
    tokens.keep(URL, TOKEN)
    (file,) = (tmp_path / "slipway").iterdir()
    file.chmod(mode)

    with pytest.raises(PermissionError, match="Other users can read") as caught:
        tokens.find(URL)

    assert TOKEN not in str(caught.value)


@pytest.mark.parametrize("content", ["", "{", "[]", "{}", "null"])
def test_a_broken_file_is_no_log_in(tokens: Tokens, tmp_path: Path, content: str) -> None:
    tokens.keep(URL, TOKEN)
    (file,) = (tmp_path / "slipway").iterdir()
    file.write_text(content)

    assert tokens.find(URL) is None


def test_forgetting_twice_is_fine(tokens: Tokens) -> None:
    tokens.keep(URL, TOKEN)

    tokens.forget(URL)
    tokens.forget(URL)

    assert tokens.find(URL) is None


@pytest.mark.parametrize(
    ("environment", "place"),
    [
        ({"XDG_CONFIG_HOME": "/etc/mine"}, Path("/etc/mine/slipway")),
        ({"XDG_CONFIG_HOME": "not/absolute"}, Path.home() / ".config" / "slipway"),
        ({"XDG_CONFIG_HOME": ""}, Path.home() / ".config" / "slipway"),
        ({}, Path.home() / ".config" / "slipway"),
    ],
)
def test_the_place_is_where_the_standard_says(environment: dict[str, str], place: Path) -> None:
    assert directory(environment) == place
