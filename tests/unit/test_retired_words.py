"""Words that users never read: pictures and old-fashioned words for which the field has a usual term.

The glossary and the style guide name the terms in use. Each area is the text of one part of the product that somebody
reads; code in the text, such as names of settings and commands, is left out.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import click
import pytest
from prometheus_client import Counter, Histogram
from support.checkout import ROOT
from support.documents import DOCUMENTS

from api import publish
from api.cli import GROUPS
from api.contract.problems import CODES
from common.telemetry import metrics
from slipway.cli import slipway

RETIRED = {  # what to say instead
    r"look(?:s|ed|ing)?": "check, poll, probe, search, read",
    r"tells?|telling|told": "report, say, send, log",
    r"mend(?:s|ed|ing)?": "correct, fix",
    r"ways? (?:to|of) (?:the |an? )?(?:upstreams?|GitLab|Jenkins|Argo CD|Elasticsearch)": "connection",
    r"(?:came|comes?) of it|(?:become|becomes|became) of": "outcome, result",
    r"amiss": "wrong, missing",
    r"upon": "on, after",
    r"silent|silence": "unavailable, does not answer",
    r"stumbl(?:e|es|ed|ing)": "fail temporarily, retry",
    r"bur(?:y|ied) the dead": "release the claims of dead workers",
    r"by chance": "random, randomly",
    r"in a moment": "soon, in N seconds",
    r"nudg(?:e|es|ed|ing)": "dispatch, message",
    r"gates?": "outage, pause",
    r"tall(?:y|ies)": "count, rate counter",
    r"census": "backlog",
    r"lookout": "outage probe",
    r"pulse": "heartbeat",
    r"desk": "context",
}
ALLOWED = (
    r"look(?:s|ed|ing)?[ -]up|look-ups?",  # the usual word for a search by key
    r"looks? like",  # to resemble
    r"silently",  # without a message
    r"stumbled(?=:)",  # the published value of an attempt's outcome, where the document explains it
)
WORD = re.compile(rf"\b(?:{'|'.join(RETIRED)})\b", re.IGNORECASE)
ALLOWED_WORD = re.compile(rf"\b(?:{'|'.join(ALLOWED)})\b", re.IGNORECASE)
CODE = re.compile(r"```.*?```|`[^`]*`|<!--.*?-->|\]\([^)]*\)", re.DOTALL)
DESCRIPTIVE = frozenset({"description", "summary", "title", "remedy", "message"})
TEXTS = [each for each in DOCUMENTS if each != "docs/glossary.md"]  # which lists former names on purpose
PRODUCT = ("api", "common", "worker", "slipway", "harbour", "stack", "server")


def _problems() -> Iterator[str]:
    return (text for problem in CODES.values() for text in (problem.title, problem.remedy))


def _openapi() -> Iterator[str]:
    def walk(node: Any) -> Iterator[str]:
        if isinstance(node, dict):
            yield from (text for key, text in node.items() if key in DESCRIPTIVE and isinstance(text, str))
            node = list(node.values())
        if isinstance(node, list):
            for each in node:
                yield from walk(each)

    return walk(publish.document())


def _help(command: click.Command) -> Iterator[str]:
    yield from filter(None, (command.help, command.epilog, command.short_help))
    yield from (option.help or "" for option in command.params if isinstance(option, click.Option))
    if isinstance(command, click.Group):
        for each in command.commands.values():
            yield from _help(each)


def _modules(package: str) -> Iterator[tuple[Path, ast.Module]]:
    for file in sorted((ROOT / package).rglob("*.py")):
        yield file.relative_to(ROOT), ast.parse(file.read_text(encoding="utf-8"))


def _messages(package: str) -> Iterator[str]:
    """Return the literal texts of a package that are no docstrings: its messages, prompts and remedies."""
    for _, module in _modules(package):
        docstrings = {id(node.value) for node in ast.walk(module) if isinstance(node, ast.Expr)}
        for node in ast.walk(module):
            if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in docstrings:
                yield node.value if " " in node.value else ""


def _remedies() -> Iterator[str]:
    """Return what the doctor's checks ask and advise."""
    for _, module in _modules("worker"):
        for call in (node for node in ast.walk(module) if isinstance(node, ast.keyword)):
            if call.arg in ("question", "remedy"):
                yield from (
                    node.value
                    for node in ast.walk(call.value)
                    if isinstance(node, ast.Constant) and isinstance(node.value, str)
                )


def _metrics() -> Iterator[str]:
    yield from (gauge.help for gauge in metrics.QUERIED_GAUGES)
    for metric in vars(metrics).values():
        if isinstance(metric, Counter | Histogram):
            yield from (family.documentation for family in metric.describe())


AREAS: dict[str, Callable[[], Iterable[str]]] = {
    "problems": _problems,
    "the OpenAPI document": _openapi,
    "help of flask --app api": lambda: _help(click.Group(commands=GROUPS)),
    "messages of the API": lambda: _messages("api"),
    "messages of the worker": lambda: _messages("worker"),
    "messages of what both share": lambda: _messages("common"),
    "messages of the stack": lambda: _messages("stack"),
    "help of slipway": lambda: _help(slipway),
    "messages of slipway": lambda: _messages("slipway"),
    "checks of the doctor": _remedies,
    "metrics": _metrics,
    **{document: lambda document=document: [(ROOT / document).read_text("utf-8")] for document in TEXTS},  # type: ignore[misc]
}


def _retired(text: str) -> list[str]:
    """Return the retired words of a text, each with the words around it."""
    prose = " ".join(ALLOWED_WORD.sub("", CODE.sub("", text)).split())
    return [prose[max(0, found.start() - 40) : found.end() + 40] for found in WORD.finditer(prose)]


@pytest.mark.parametrize("area", AREAS)
def test_users_read_no_retired_word(area: str) -> None:
    texts = list(AREAS[area]())

    assert any(texts)
    assert [words for text in texts for words in _retired(text)] == []


@pytest.mark.parametrize("text", ["Look at `look`.", "He TOLD us", "what became of it", "look at it, look it up"])
def test_a_retired_word_is_noticed_whatever_stands_around_it(text: str) -> None:
    assert _retired(text)


@pytest.mark.parametrize("text", ["Look up the id.", "`gate` and [a page](way.md)", "outlook, upstream, aggregate"])
def test_code_other_words_and_allowed_phrases_pass(text: str) -> None:
    assert _retired(text) == []


@pytest.mark.parametrize("package", PRODUCT)
def test_no_module_docstring_opens_with_a_question(package: str) -> None:
    docstrings = {str(file): ast.get_docstring(module) or "" for file, module in _modules(package)}

    assert [file for file, text in docstrings.items() if re.match(r"[^.!?]*\?", text)] == []
