"""Requirement files: complete, exact, with hashes, from no index in particular, and in accord with one another."""

from __future__ import annotations

import re
import tomllib

import pytest
from support.images import ROOT

SETS = ("requirements", "requirements-embedded", "requirements-dev", "requirements-chart")
PIN = re.compile(r"^([a-z0-9.-]+)==(\S+)(?: ; .+?)?((?: --hash=sha256:[0-9a-f]{64})+)$")


def _lines(file: str) -> list[str]:
    """Return the requirements of a file, one a line, without comments."""
    text = (ROOT / file).read_text(encoding="utf-8").replace("\\\n", "")
    lines = (re.sub(r"\s+", " ", re.sub(r"(^|\s)#.*", "", line)).strip() for line in text.splitlines())
    return [line for line in lines if line]


def _pins(name: str) -> dict[str, tuple[str, frozenset[str]]]:
    found = [PIN.match(line) for line in _lines(f"{name}.txt")]
    return {each[1]: (each[2], frozenset(each[3].split())) for each in found if each}


def _declared(name: str) -> set[str]:
    lines = [line for line in _lines(f"{name}.in") if not line.startswith("-")]
    return {re.split(r"[\[~=<>! ]", line)[0].lower() for line in lines}


@pytest.mark.parametrize("name", SETS)
def test_everything_is_pinned_with_hashes_and_nothing_names_an_index(name: str) -> None:
    text = (ROOT / f"{name}.txt").read_text(encoding="utf-8")

    assert [line for line in _lines(f"{name}.txt") if not PIN.match(line)] == []
    assert not re.search(r"://|--\w*index|--find-links|--trusted-host", text)


@pytest.mark.parametrize("name", SETS)
def test_what_is_declared_is_pinned(name: str) -> None:
    assert _declared(name) <= _pins(name).keys()


@pytest.mark.parametrize("name", SETS[1:])
def test_a_set_beside_the_runtime_has_the_runtimes_versions(name: str) -> None:
    runtime, beside = _pins("requirements"), _pins(name)

    assert {each: beside[each] for each in runtime.keys() & beside} == {
        each: runtime[each] for each in runtime.keys() & beside
    }
    assert name != "requirements-dev" or _pins("requirements-embedded").items() | runtime.items() <= beside.items()


def test_the_client_takes_the_versions_that_are_tested() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]

    assert {re.split(r"[<>=~]", each)[0] for each in project["dependencies"]} <= _declared("requirements")


def test_an_image_holds_nothing_of_the_embedded_stack() -> None:
    installs = re.findall(r"pip install (.*?) \\$", (ROOT / "Dockerfile").read_text(encoding="utf-8"), re.MULTILINE)

    assert [each.split(" --require-hashes ")[1] for each in installs] == ["-r requirements.txt"]
    assert not _declared("requirements-embedded") & _pins("requirements").keys()
