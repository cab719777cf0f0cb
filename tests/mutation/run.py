"""Tests against mutants, each mutant in a process of its own that is forked from one that has everything imported.

A mutant is not written to a file: the functions that it concerns get the code of the mutant, and a changed constant
replaces the old one wherever it was imported. No fixture of the session exists before the fork.

Why no tool from the index: mutmut 3 leaves the tables of a module alone, and with them all transitions of states,
cannot leave the tests on MariaDB out, and makes hundreds of mutants of texts. cosmic-ray starts an interpreter for each
mutant: five seconds here before the first test.
"""

from __future__ import annotations

import ast
import os
import pickle
import shutil
import signal
import sys
import tempfile
import threading
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from functools import cache, partial
from hashlib import sha256
from importlib import import_module
from inspect import unwrap
from itertools import zip_longest
from pathlib import Path
from types import FrameType, FunctionType, ModuleType
from typing import Any

import pytest
from _pytest.runner import runtestprotocol

from common.database import migrate
from common.database.engine import Database
from mutation import mutants
from mutation.mutants import Mutant
from mutation.targets import TARGETS, Target

AT_ONCE = 2
FAST_S = 2.0  # of processor time; what takes longer is no fast test
TESTS_S = 30.0  # of processor time: no more tests than this for one mutant
HANGS_S = 90.0  # of the wall; a machine under load is slow
KEPT = Path("var/mutation/tests.pickle")


@dataclass
class Measured:
    """A test: how long it takes, and the lines of the mutated modules that it runs."""

    cpu_s: float
    has_passed: bool
    lines: dict[str, set[int]]
    digests: dict[str, str]


class Run:
    """A plugin of pytest that runs the tests of each target against its mutants."""

    def __init__(self, targets: Iterable[Target], wanted: Callable[[str, str], bool]) -> None:
        self._targets = list(targets)
        self._wanted = wanted
        self.results: dict[str, dict[str, str | None]] = {}
        self._measured: dict[str, Measured] = {}
        self._children = _Children()
        self._template = Path(tempfile.mkdtemp()) / "migrated.db"

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtestloop(self, session: pytest.Session) -> bool:
        self._migrate_once()
        items = [item for item in session.items if getattr(item, "callspec", None) is None or not _is_mariadb(item)]
        self._measure(items)
        for target in self._targets:
            self.results[target.file] = self._try_all(target, [item for item in items if _is_of(item, target)])
        shutil.rmtree(self._template.parent)
        return True

    def _migrate_once(self) -> None:
        """Let every process copy one migrated file instead of making one."""
        upgrade, db = migrate.upgrade, Database(f"sqlite:///{self._template}")
        upgrade(db)
        db.dispose()

        def copied(db: Database, *arguments: Any) -> None:
            file = Path(str(db.engine.url.database))
            if db.is_sqlite and not arguments and not file.exists():
                shutil.copy(self._template, file)
            else:
                upgrade(db, *arguments)

        migrate.upgrade = copied  # type: ignore[assignment]

    # -- tests ------------------------------------------------------------------------------------------------

    def _measure(self, items: list[pytest.Item]) -> None:
        """Run each test once, without a mutant, unless it was run with the same files."""
        code = {str(Path(each.file).resolve()): (each.file, _digest(Path(each.file))) for each in TARGETS}
        keys = {item: f"{item.nodeid} {_digest(item.path)}" for item in items}
        kept = pickle.loads(KEPT.read_bytes()) if KEPT.exists() else {}  # noqa: S301 - our own file
        print(f"{len(items)} tests", flush=True)
        for item in items:
            concerned = {target.file for target in self._targets if _is_of(item, target)}
            is_as_before = keys[item] in kept and all(
                kept[keys[item]].digests.get(file) == digest for file, digest in code.values() if file in concerned
            )
            if not is_as_before:
                for done, measured in self._children.answers(below=AT_ONCE):
                    kept[keys[done]] = measured
                self._children.start(partial(_run_traced, item, code), item)
        kept |= {keys[done]: measured for done, measured in self._children.answers()}
        KEPT.parent.mkdir(parents=True, exist_ok=True)
        KEPT.write_bytes(pickle.dumps(kept))
        self._measured = {item.nodeid: kept[keys[item]] for item in items}
        failed = [name for name, each in self._measured.items() if isinstance(each, str) or not each.has_passed]
        if failed:
            raise pytest.UsageError(f"These tests fail without any mutant: {', '.join(failed)}")

    def _tests_of(
        self, target: Target, mutant: Mutant, items: list[pytest.Item], killers: Counter[str]
    ) -> list[pytest.Item]:
        """Return the tests that run the changed line: those that killed its neighbours first, then the fastest."""
        measured = {item: self._measured[item.nodeid] for item in items}
        fast = [
            item
            for item, each in measured.items()
            if each.cpu_s <= FAST_S and (not mutant.where or each.lines.get(target.file, set()) & set(mutant.lines))
        ]
        fast.sort(key=lambda item: (-killers[item.nodeid], measured[item].cpu_s))
        chosen, used_s = [], 0.0
        for item in fast:
            used_s += measured[item].cpu_s
            if used_s <= TESTS_S:
                chosen.append(item)
        return chosen

    # -- mutants ----------------------------------------------------------------------------------------------

    def _try_all(self, target: Target, items: list[pytest.Item]) -> dict[str, str | None]:
        tree = partial(ast.parse, Path(target.file).read_text(encoding="utf-8"))
        found: dict[str, str | None] = {}
        killers: dict[str, Counter[str]] = defaultdict(Counter)
        began_s = time.monotonic()

        def note(answers: Iterable[tuple[Mutant, str | None]]) -> None:
            for mutant, killer in answers:
                found[mutant.key] = killer
                killers[mutant.where][killer or ""] += 1
                if killer is None:
                    print(f"  line {mutant.lines.start} {mutant.key}", flush=True)

        for number, planned in enumerate(mutants.of(tree(), target.functions)):
            if self._wanted(target.file, planned.key):
                mutant = mutants.of(tree(), target.functions)[number]  # of a tree of its own, which it may change
                note(self._children.answers(below=AT_ONCE))
                tests = self._tests_of(target, mutant, items, killers[mutant.where])
                self._children.start(partial(_run_mutant, target, mutant, tests), mutant)
        note(self._children.answers())
        survived = list(found.values()).count(None)
        took_s = time.monotonic() - began_s
        print(f"{target.file}: {len(found)} mutants, {survived} survived, {took_s:.0f} s", flush=True)
        return found


def _is_mariadb(item: pytest.Item) -> bool:
    return "mariadb" in map(str, item.callspec.params.values())  # type: ignore[attr-defined]


def _is_of(item: pytest.Item, target: Target) -> bool:
    return any(item.path.is_relative_to(Path(name).resolve()) for name in target.tests)


@cache
def _digest(file: Path) -> str:
    return sha256(file.read_bytes()).hexdigest()


# -- in a process of its own --------------------------------------------------------------------------------------


class _Children:
    """Forked processes, each with a directory of its own, in which it leaves its answer."""

    def __init__(self) -> None:
        self._running: dict[int, tuple[Any, float, Path]] = {}

    def start(self, work: Callable[[], Any], about: Any) -> None:
        root = Path(tempfile.mkdtemp(prefix="mutant-"))
        pid = os.fork()
        if pid == 0:
            os.setsid()  # to be killed with the processes that it starts
            os.environ["PYTEST_DEBUG_TEMPROOT"] = str(root)
            for stream in (1, 2):
                os.dup2(os.open(os.devnull, os.O_WRONLY), stream)
            try:
                (root / "answer").write_bytes(pickle.dumps(work()))
            finally:
                os._exit(0)
        self._running[pid] = (about, time.monotonic() + HANGS_S, root)

    def answers(self, *, below: int = 1) -> Iterator[tuple[Any, Any]]:
        """Return answers until fewer than `below` processes run; a text for a process that crashed or hangs."""
        while len(self._running) >= below:
            time.sleep(0.01)
            for pid, (about, ends_s, root) in list(self._running.items()):
                has_ended = os.waitpid(pid, os.WNOHANG)[0] == pid
                if not has_ended and time.monotonic() < ends_s:
                    continue
                del self._running[pid]
                with suppress(ProcessLookupError):
                    os.killpg(pid, signal.SIGKILL)
                if not has_ended:
                    os.waitpid(pid, 0)
                answer = root / "answer"
                yield about, pickle.loads(answer.read_bytes()) if answer.exists() else "it crashed, or hangs"  # noqa: S301
                shutil.rmtree(root, ignore_errors=True)


def _run_traced(item: pytest.Item, code: Mapping[str, tuple[str, str]]) -> Measured:
    digests = dict(code.values())
    lines: dict[str, set[int]] = {file: set() for file in digests}

    def trace_call(frame: FrameType, _event: str, _argument: object) -> Any:
        traced = code.get(frame.f_code.co_filename)
        if traced is None:
            return None
        ran = lines[traced[0]]

        def trace_line(frame: FrameType, _event: str, _argument: object) -> Any:
            ran.add(frame.f_lineno)
            return trace_line

        return trace_line(frame, "", None)

    began_s = time.process_time()
    threading.settrace(trace_call)
    sys.settrace(trace_call)
    has_passed = _passes(item)
    return Measured(time.process_time() - began_s, has_passed, lines, digests)


def _run_mutant(target: Target, mutant: Mutant, tests: list[pytest.Item]) -> str | None:
    """Return the test that notices."""
    _put_in_place(import_module(target.file.removesuffix(".py").replace("/", ".")), mutant)
    return next((test.nodeid for test, after in zip_longest(tests, tests[1:]) if not _passes(test, after)), None)


def _passes(item: pytest.Item, after: pytest.Item | None = None) -> bool:
    return not any(report.failed for report in runtestprotocol(item, log=False, nextitem=after))


def _put_in_place(module: ModuleType, mutant: Mutant) -> None:
    mutant.apply()
    names = dict(vars(module))
    flags = annotations.compiler_flag
    exec(compile(ast.Module([mutant.statement], []), str(module.__file__), "exec", flags), names)  # noqa: S102
    if isinstance(mutant.statement, ast.Assign | ast.AnnAssign):
        _replace_constants(module, names)
        return
    old, new = vars(module), names
    *outer, name = mutant.where.split(".")
    for each in outer:
        old, new = vars(old[each]), vars(new[each])
    function, changed = _function_in(old[name]), _function_in(new[name])
    function.__code__, function.__defaults__ = changed.__code__, changed.__defaults__
    function.__kwdefaults__ = changed.__kwdefaults__


def _function_in(named: Any) -> FunctionType:
    found = named.fget if isinstance(named, property) else named
    function = unwrap(getattr(found, "__func__", found))
    assert isinstance(function, FunctionType)
    return function


def _replace_constants(module: ModuleType, changed: Mapping[str, Any]) -> None:
    """Replace constants in all modules that imported them."""
    for name, old in list(vars(module).items()):
        if changed[name] is not old:
            for other in list(sys.modules.values()):
                if getattr(other, name, None) is old:
                    setattr(other, name, changed[name])
