"""The commands in the documents, and the output that the documents show for them.

In a block that begins with ```console, a line `$ …` is a command. Following lines that complete it (an open quote, a
backslash) belong to it; the others are its output. There, a line `…` stands for any number of lines, `…` within a line
for any text, a number for any number, an id for any id, and blanks for any number of blanks.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from support.checkout import ROOT

README, CHANGELOG = "README.md", "CHANGELOG.md"
HTTP_API, COMMAND_LINE = "docs/http-api.md", "docs/command-line.md"
INSTALLATION, OPERATIONS = "docs/installation.md", "docs/operations.md"
RUNBOOK = "docs/runbook.md"
INSTALL_UPSTREAMS = "docs/install-upstreams.md"
DOCUMENTS = tuple(sorted(str(file.relative_to(ROOT)) for file in (*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md"))))
ID = r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}"
BLOCK = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
INLINE = re.compile(r"`([^`]+)`")
ANY = "…"
LOOSE = re.compile(rf"(?P<id>{ID}|\bJOB\b)|(?P<any>{ANY})|(?P<number>\d+)|(?P<blank>\s+)")
LOOSELY = {"id": ID, "any": ".*", "number": r"\d+", "blank": r"\s+"}


@dataclass(frozen=True, kw_only=True)
class Command:
    """One command as it is written. `shown` is the output that the document shows for it; empty if it shows none."""

    document: str
    heading: str
    text: str
    shown: tuple[str, ...]

    def __str__(self) -> str:
        return f"{self.document}, {self.heading}: {self.text}"


def text_of(document: str) -> str:
    return (ROOT / document).read_text(encoding="utf-8")


def blocks(document: str, language: str) -> Iterator[tuple[str, str]]:
    """Yield the blocks in a language, each with the heading above it."""
    text = text_of(document)
    for found in BLOCK.finditer(text):
        if found[1] == language:
            headings = re.findall(r"^#+ (.+)$", BLOCK.sub("", text[: found.start()]), re.MULTILINE)
            yield headings[-1], found[2]


def commands(document: str) -> list[Command]:
    """Return all commands of a document, in order."""
    return [
        Command(document=document, heading=heading, text=text, shown=shown)
        for heading, block in blocks(document, "console")
        for text, shown in _typed(block.splitlines())
    ]


def _typed(lines: Iterable[str]) -> Iterator[tuple[str, tuple[str, ...]]]:
    text, shown = "", []
    for line in lines:
        if text and not is_whole(text):
            text += f"\n{line}"
            continue
        if line.startswith("$ "):
            if text:
                yield text, _without_blank_end(shown)
            text, shown = line.removeprefix("$ "), []
        else:
            shown.append(line)
    assert is_whole(text), text
    yield text, _without_blank_end(shown)


def _without_blank_end(lines: list[str]) -> tuple[str, ...]:
    return tuple("\n".join(lines).rstrip().splitlines())


def is_whole(text: str) -> bool:
    """Return whether the command is complete: no quote is open and no line has to follow."""
    try:
        shlex.split(text, comments=True)
    except ValueError:
        return False
    return True


def inline(document: str) -> Iterator[str]:
    """Yield what is set as code in running text, on one line."""
    for found in INLINE.finditer(BLOCK.sub("", text_of(document))):
        yield " ".join(found[1].split())


def mismatch(shown: Iterable[str], printed: str) -> str:
    """Return a comparison of both texts if they differ; an empty text if what was printed has the shape of `shown`."""
    pattern = "".join(r"(?:.*\n)*?" if line.strip() == ANY else f"{_loosely(line)}\\s*\\n" for line in shown)
    if not pattern or re.fullmatch(pattern, f"{printed.strip()}\n"):
        return ""
    wanted = "\n".join(shown)
    return f"shown:\n{wanted}\n\nprinted:\n{printed}"


def _loosely(line: str) -> str:
    """Return a pattern for lines of the same shape."""
    pattern, end = "", 0
    for found in LOOSE.finditer(line):
        pattern += re.escape(line[end : found.start()]) + LOOSELY[str(found.lastgroup)]
        end = found.end()
    return rf"\s*{pattern}{re.escape(line[end:])}"


def named() -> set[str]:
    """Return all commands of the documents, and everything that is code in their text."""
    present = set(DOCUMENTS) - {CHANGELOG}  # which names what was there, too
    return {text for document in present for text in (*inline(document), *(c.text for c in commands(document)))}
