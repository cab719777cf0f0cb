"""What the documents refer to exists: commands and their options, targets, modules, alerts, links."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import click
import pytest
import yaml
from support.checkout import ROOT
from support.documents import DOCUMENTS, README, RUNBOOK, commands, mismatch, named, text_of

from api.cli import GROUPS
from slipway.cli import slipway

PROGRAMS = {"slipway": slipway, "flask --app api": click.Group(commands=GROUPS)}
MAKEFILE = (ROOT / "Makefile").read_text(encoding="utf-8")
EXPLAINED = set(re.findall(r"^([a-z-]+):.*## ", MAKEFILE, re.MULTILINE))
LINK = re.compile(r"\]\(([^)#:\s]*)(?:#([^)\s]*))?\)")


def _mistakes(program: click.Command, words: list[str]) -> list[str]:
    """Return the words that are neither commands nor options of the program; the values of options are not checked."""
    command = program
    while isinstance(command, click.Group) and words and words[0] in command.commands:
        command, words = command.commands[words[0]], words[1:]
    known = {option for each in command.params for option in (*each.opts, *each.secondary_opts)} | {"--help"}
    wrong = [word for word in words if word.startswith("--") and word not in known]
    return wrong if not isinstance(command, click.Group) else [word for word in words if word not in ("…", *known)]


@pytest.mark.parametrize("program", PROGRAMS)
def test_every_command_that_is_named_is_one_and_has_these_options(program: str) -> None:
    used = [text for text in named() if text.startswith(f"{program} ") and not re.search("[|<>;&$]", text)]
    wrong = {
        text: _mistakes(PROGRAMS[program], shlex.split(text.removeprefix(program), comments=True)) for text in used
    }

    assert used
    assert {text: mistakes for text, mistakes in wrong.items() if mistakes} == {}


def test_every_target_that_is_named_is_one_and_make_alone_explains_all_of_them() -> None:
    targets = {word for text in named() for word in re.findall(r"^make ([a-z-]+)", text)}
    phony = re.search(r"^\.PHONY: (.*)$", MAKEFILE, re.MULTILINE)

    assert phony is not None
    assert targets <= EXPLAINED == set(phony[1].split())


def test_whoever_is_alerted_finds_the_section() -> None:
    groups = yaml.safe_load(text_of("deploy/helm/slipway/files/alerts.yml"))["groups"]
    rules = {rule["alert"]: rule["annotations"]["runbook_url"] for group in groups for rule in group["rules"]}

    assert rules == {alert: f"{RUNBOOK}#{alert.lower()}" for alert in rules}
    assert {url.partition("#")[2] for url in rules.values()} == _anchors(ROOT / RUNBOOK) - {"runbook"}


@pytest.mark.parametrize("document", DOCUMENTS)
def test_links_lead_somewhere(document: str) -> None:
    for file, heading in LINK.findall(text_of(document)):
        target = (ROOT / document).parent / file if file else ROOT / document
        assert target.exists(), file
        assert not heading or heading in _anchors(target), heading


def _anchors(document: Path) -> set[str]:
    """Return the headings as links name them."""
    headings = re.findall(r"^#+ (.+)$", document.read_text(encoding="utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize(
    ("shown", "printed", "is_alike"),
    [
        (("7 of 12 at work",), "3 of 12   at work\r\n", True),
        (("7 of 12 at work",), "3 of 12 waiting\n", False),
        (("{…}", "…", "done"), "{1}\nmuch\nmore\ndone\n", True),
        (("{…}", "done"), "{1}\nmuch\ndone\n", False),
        (("job JOB is over",), "job 01a20680-c483-751f-9394-c54e28bf16d9 is over\n", True),
        (("job JOB is over",), "job 7 is over\n", False),
        ((), "whatever\n", True),
        (("one",), "one\ntwo\n", False),
    ],
)
def test_what_is_printed_has_the_shape_of_what_is_shown(shown: tuple[str, ...], printed: str, is_alike: bool) -> None:
    assert (mismatch(shown, printed) == "") is is_alike


def test_a_command_has_all_its_lines_and_what_it_prints() -> None:
    (signup,) = (each for each in commands(README) if each.text.startswith("curl -i"))

    assert signup.heading == "See it work"
    assert len(signup.text.splitlines()) == 3
    assert signup.shown[0] == "HTTP/1.1 202 ACCEPTED"
