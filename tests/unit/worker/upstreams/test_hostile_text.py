"""Text of an upstream is bounded, costs linear time, and reaches people without markup and invisible characters."""

from __future__ import annotations

import ast
import re
import sys
import time
import unicodedata
from collections import deque
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from support.pumped import patterns_in, patterns_of, pumps_of

import common
import worker
import worker.doctor
import worker.steps
import worker.upstreams
from common.plain_text import harmless, without_invisible
from worker import build_report
from worker.upstreams.argocd.causes import read_failure
from worker.upstreams.argocd.denials import rights_in
from worker.upstreams.argocd.project_globs import allows_source
from worker.upstreams.error_text import READ_CHARACTERS, cleaned, reason_in

SETTINGS = "common.config."  # its patterns read what operators write, not upstreams
FOUND = patterns_in(worker.upstreams, worker.steps, worker.doctor, common) | patterns_of(build_report)
PATTERNS = {place: each for place, each in FOUND.items() if not place.startswith(SETTINGS)}
CHARACTERS = 16 * 1024
MOST = 2.5  # times the CPU time for twice the text
SHORTEST_S = 0.002  # below it, the clock of the CPU says nothing about a ratio
TRIES = 3  # a quadratic pattern needs four times as long in each
LONGEST_S = 1.0  # for so little text
FUNCTIONS: dict[str, Callable[[str], object]] = {
    "cleaned": cleaned,
    "reason_in": lambda text: reason_in(text.encode()),
    "read_failure": read_failure,
    "rights_in": rights_in,
    "harmless": harmless,
}
HOSTILE = (
    "<head ", "<script>", "<", "&amp;", "&lt;", "&", "\u202e", "desc = ", "`helm template ", "failed exit status 1: ",
    'Get "', "unable to resolve '", "permission denied: a, b, c, sub: ", '{"a":', "[", '"', "\x1b[",
)  # fmt: skip


def _search(pattern: re.Pattern[Any], text: str) -> None:
    searched = text.encode() if isinstance(pattern.pattern, bytes) else text
    pattern.match(searched)
    deque(pattern.finditer(searched), maxlen=0)


def _cpu_s(work: Callable[[str], object], text: str, *, times: int) -> float:
    return min(_once_s(work, text) for _ in range(times))


def _once_s(work: Callable[[str], object], text: str) -> float:
    began_s = time.process_time()
    work(text)
    return time.process_time() - began_s


def _is_linear(work: Callable[[str], object], pump: str, characters: int = CHARACTERS) -> bool:
    short = (pump * characters)[:characters]
    long = short + short
    slow_s = _cpu_s(work, long, times=1)
    if slow_s > LONGEST_S:
        return False
    if slow_s < SHORTEST_S or slow_s <= MOST * _cpu_s(work, short, times=1):
        return True
    return any(_ratio(work, short, long) <= MOST for _ in range(TRIES))


def _ratio(work: Callable[[str], object], short: str, long: str) -> float:
    """Compare the least of five, taken in turn: another process may use the caches of this one meanwhile."""
    pairs = [(_once_s(work, short), _once_s(work, long)) for _ in range(5)]
    return min(slow_s for _, slow_s in pairs) / min(quick_s for quick_s, _ in pairs)


@pytest.mark.parametrize("place", sorted(PATTERNS))
def test_every_pattern_takes_linear_time(place: str) -> None:
    pattern = PATTERNS[place]

    assert [pump for pump in pumps_of(pattern) if not _is_linear(partial(_search, pattern), pump)] == []


@pytest.mark.parametrize("name", sorted(FUNCTIONS))
def test_every_reader_of_a_text_takes_linear_time(name: str) -> None:
    assert [pump for pump in HOSTILE if not _is_linear(FUNCTIONS[name], pump, READ_CHARACTERS // 2)] == []


@pytest.mark.parametrize("name", ["cleaned", "reason_in", "read_failure"])
def test_what_is_long_costs_no_more_than_what_is_read_of_it(name: str) -> None:
    took_s = [_cpu_s(FUNCTIONS[name], pump * (1024 * 1024 // len(pump)), times=1) for pump in HOSTILE]

    assert max(took_s) < 1.0


def test_a_text_of_argo_cd_that_is_made_to_be_slow_is_read_at_once() -> None:
    assert _cpu_s(read_failure, "helm template failed: " + "<head " * 12_000, times=3) < 0.2


def test_a_glob_of_an_upstream_cannot_take_exponential_time() -> None:
    pattern = "*a" * 200 + "b"

    assert _cpu_s(lambda value: allows_source([pattern], value), "a" * 400, times=1) < 1.0


def test_no_module_builds_patterns_in_passing() -> None:
    """What is compiled where it is used is not among those that are timed."""
    allowed = {"gitlab/removals.py", "jenkins/authorization_checks.py", "doctor/database.py"}
    used = {
        str(path)
        for path in Path(worker.__file__).parent.rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Call)
        and isinstance(node.func, ast.Attribute)
        and isinstance(node.func.value, ast.Name)
        and node.func.value.id == "re"
        and node.func.attr not in ("compile", "escape")
    }

    assert {path for path in used if not any(path.endswith(each) for each in allowed)} == set()


@pytest.mark.parametrize(
    "text",
    [
        "&lt;img src=x onerror=alert(1)&gt;",
        "&amp;lt;img src=x onerror=alert(1)&amp;gt;",
        "&amp;amp;amp;amp;amp;amp;amp;amp;lt;svg onload=alert(1)&gt;",
        "&#38;#60;svg onload=alert(1)&#38;#62;",
        "&l&#8203;t;svg onload=alert(1)&g&#x200b;t;",
        "<scr<script>x</script>ipt>alert(1)</script>",
        "<img src=x onerror=alert(1)",
        "\uff1cimg\uff1e<svg/onload=alert(1)//",
    ],
)
def test_no_markup_is_left_however_it_is_wrapped(text: str) -> None:
    assert not set("<>") & set(cleaned(text))
    assert not set("<>") & set(reason_in(text.encode()))


def test_text_beside_markup_stays() -> None:
    assert cleaned("<p>no such <b>namespace</b>: 3 < 4</p>") == "no such namespace : 3 ‹ 4"


def test_invisible_characters_are_those_that_unicode_calls_so() -> None:
    invisible = "".join(
        chr(code)
        for code in range(sys.maxunicode + 1)
        if unicodedata.category(chr(code)) in ("Cc", "Cf", "Cs", "Zl", "Zp") and chr(code) not in "\n\r\t"
    )

    assert without_invisible(invisible) == ""


def test_a_colour_leaves_nothing_behind() -> None:
    assert harmless("\x1b[31mred\x1b[0m\r\nnext\rline\x1b]0;title\x07") == "red\nnext\nline]0;title"


def test_letters_of_every_script_stay() -> None:
    text = "Größe 長さ длина 🙂 «ñ»"

    assert cleaned(text) == text
