"""Documents for maintainers name only what exists: files, tests, functions, classes, columns, settings."""

from __future__ import annotations

import ast
import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from functools import cache
from pathlib import Path

import pytest
from support.checkout import ROOT
from support.documents import BLOCK, blocks, inline

from common.database.models import Base

PACKAGES = ("api", "client", "common", "harbour", "server", "slipway", "stack", "worker")
DECISIONS = tuple(sorted(f"docs/adr/{file.name}" for file in (ROOT / "docs/adr").glob("*.md")))
DOCUMENTS = ("CONTRIBUTING.md", "docs/architecture.md", "docs/glossary.md", "docs/promises.md", *DECISIONS)
FILE = re.compile(r"(?:[\w.-]+/)*[\w.-]+\.(?:py|md|toml|json|yml|txt|in|env|js|mako)|(?:[\w.-]+/)+|\.[\w/-]+")
DOTTED = re.compile(r"[A-Za-z_]\w*(?:\.[A-Za-z_]\w*)+")
CLASS = re.compile(r"[A-Z][a-z]\w*[A-Z]\w*")
NAME = re.compile(r"[A-Za-z]+(?:_[A-Za-z]+)+")
FOREIGN = {  # of Python, Celery and the like
    "app.conf", "os.environ", "time.sleep", "sequenceDiagram",
}  # fmt: skip


def _words(document: str) -> Iterator[str]:
    """Yield what is set as code, and what the diagrams name."""
    for text in inline(document):
        yield text.removesuffix("()")
    for _heading, diagram in blocks(document, "mermaid"):
        yield from re.findall(r"(?:\w+/)+\w+\.py|[A-Za-z_]\w*\.[a-z_]\w*(?!\w*/)", diagram)


@cache
def _trees() -> Mapping[Path, ast.Module]:
    files = (file for package in PACKAGES for file in (ROOT / package).rglob("*.py"))
    return {file: ast.parse(file.read_text(encoding="utf-8")) for file in files}


@cache
def _holders() -> Mapping[str, set[str]]:
    """Return what each module, class and table holds, by its own short name: `attempts.claim`, `Runner.run`."""
    found: dict[str, set[str]] = defaultdict(set)
    for file, tree in _trees().items():
        found[file.parent.name if file.stem == "__init__" else file.stem] |= set(_defined(tree.body))
        for part in (each for each in ast.walk(tree) if isinstance(each, ast.ClassDef)):
            found[part.name] |= set(_defined(part.body))
    for table in Base.metadata.tables.values():
        found[table.name] |= set(table.columns.keys())
    return found


def _defined(body: Iterable[ast.stmt]) -> Iterator[str]:
    for each in body:
        match each:
            case ast.FunctionDef() | ast.ClassDef():
                yield each.name
            case ast.Assign():
                yield from (target.id for target in each.targets if isinstance(target, ast.Name))
            case ast.AnnAssign(target=ast.Name() as target):
                yield target.id


@cache
def _identifiers() -> set[str]:
    """Return every word of our code and settings."""
    others = (".env.example", "Makefile", "docker-compose.yml", "tests/support/services.py")
    files = (*_trees(), *(ROOT / name for name in others))
    return {word for file in files for word in re.findall(r"\w+", file.read_text(encoding="utf-8"))}


def _is_there(word: str) -> bool:
    """Say whether what a word names exists; a word that names nothing of ours is fine."""
    file, is_test, name = word.partition("::")
    if is_test:
        return (ROOT / file).is_file() and name in set(_defined(ast.parse((ROOT / file).read_text()).body))
    if word in FOREIGN:
        return True
    if FILE.fullmatch(word):
        return (ROOT / word).exists() or word.startswith((".venv", "var/"))
    if DOTTED.fullmatch(word):
        holder, name = word.split(".")[-2:]
        return name in _holders().get(holder, ()) or (ROOT / f"{word.replace('.', '/')}.py").exists()
    if CLASS.fullmatch(word) or NAME.fullmatch(word):
        return word in _identifiers()
    return True


def _is_of_its_day(word: str) -> bool:
    """A decision may speak of other people's code: of its words, files and names in our modules have to exist."""
    holder = word.split(".")[-2] if DOTTED.fullmatch(word) and not FILE.fullmatch(word) else ""
    return holder not in _holders() if holder else not ("/" in word or "::" in word)


@pytest.mark.parametrize("document", DOCUMENTS)
def test_whatever_is_named_exists(document: str) -> None:
    words = {word for word in _words(document) if document not in DECISIONS or not _is_of_its_day(word)}

    assert sorted(word for word in words if not _is_there(word)) == []


@pytest.mark.parametrize(
    ("word", "is_there"),
    [
        ("common/workflows.py", True),
        ("common/workflow.py", False),
        ("common/jobs/", True),
        ("common/job/", False),
        ("common/jobs/attempts.py::claim", True),
        ("common/jobs/attempts.py::claims", False),
        ("attempts.claim", True),
        ("attempts.claims", False),
        ("Runner.run", True),
        ("Runner.runs", False),
        ("steps.nudge_at", True),
        ("steps.nudged_at", False),
        ("SettingsError", True),
        ("NoSuchClass", False),
        ("SECRET_KEYS", True),
        ("NO_SUCH_SETTING", False),
        ("in progress", True),
    ],
)
def test_a_name_that_does_not_exist_is_found(word: str, is_there: bool) -> None:
    assert _is_there(word) is is_there


@pytest.mark.parametrize(
    ("document", "section", "at_least"),
    [("docs/architecture.md", "## Promises", 30), ("docs/promises.md", "## The promises", 15)],
)
def test_every_promise_names_a_place_and_a_test(document: str, section: str, at_least: int) -> None:
    text = (ROOT / document).read_text(encoding="utf-8")
    promises = re.split(r"\n## ", BLOCK.sub("", text).partition(section)[2])[0]
    rows = [line for line in promises.splitlines() if re.match(r"\| (?!promise |---)", line)]

    assert len(rows) > at_least
    assert [
        row for row in rows if not re.fullmatch(r"\| [^|`]+ \| `[\w/.:]+` \| `tests/[\w/]+\.py::test_\w+` \|", row)
    ] == []
