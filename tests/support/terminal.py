"""A shell in which one types, as people do: with a terminal that asks for passwords, and variables that stay."""

from __future__ import annotations

import multiprocessing
import os
import pty
import re
import select
import shlex
import subprocess
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

LOOP = r'while read -r file <&3; do . "$file" 3<&-; printf "\036%s\n" $?; done'
ENDS = re.compile(rb"\x1e(\d+)\r?\n$")
ASKS = re.compile(rb"(?:[Pp]assword|[Cc]onfirmation)[^\n]*: $")
COLOURS_AND_MOVES = re.compile(r"\x1b\[[0-9;]*[A-Za-z]|\x1b\][^\x1b\x07]*(?:\x1b\\|\x07)|\r")
WITHIN_S = 60.0

_warm = multiprocessing.get_context("forkserver")
_warm.set_forkserver_preload(["api", "flask.cli"])


@dataclass(frozen=True, kw_only=True)
class Ended:
    """What a command printed, on both outputs, and its exit code."""

    printed: str
    code: int | None


class Terminal:
    """One bash. It reads from the terminal what commands ask for, and the commands from a pipe of its own."""

    def __init__(self, directory: Path, environment: Mapping[str, str], *, password: str) -> None:
        self._directory = directory
        self._environment = dict(environment)
        self._password = f"{password}\n".encode()
        self._ours, theirs = pty.openpty()
        commands, self._commands = os.pipe()
        self._shell = subprocess.Popen(
            ["bash", "-c", f"exec 3<&{commands}; {LOOP}"],
            cwd=directory,
            env=self._environment,
            stdin=theirs,
            stdout=theirs,
            stderr=theirs,
            pass_fds=(commands,),
            start_new_session=True,
        )
        os.close(theirs)
        os.close(commands)

    def close(self) -> None:
        os.close(self._commands)
        self._shell.wait(WITHIN_S)
        os.close(self._ours)

    def types(self, text: str) -> Ended:
        """Run a command to its end; where it asks for a password, that is typed."""
        file = self._directory / ".typed"
        file.write_text(f"{text}\n", encoding="utf-8")
        os.write(self._commands, f"{file}\n".encode())
        printed, unanswered = b"", b""
        deadline = time.monotonic() + WITHIN_S
        while not (ended := ENDS.search(printed)):
            ready, _, _ = select.select((self._ours,), (), (), max(0, deadline - time.monotonic()))
            assert ready, f"not over within {WITHIN_S:.0f} s: {text}\n{_plain(printed)}"
            piece = os.read(self._ours, 65_536)
            printed, unanswered = printed + piece, unanswered + piece
            if ASKS.search(unanswered):
                os.write(self._ours, self._password)
                unanswered = b""
        return Ended(printed=_plain(printed[: ended.start()]), code=int(ended[1]))

    def runs_at_once(self, text: str) -> Ended:
        """Run a simple command of `flask`, forked off a process that has loaded it: that takes a second otherwise."""
        file = self._directory / ".printed"
        arguments = (shlex.split(text, comments=True), self._environment, self._directory, file)
        process = _warm.Process(target=_run_flask, args=arguments, daemon=True)
        process.start()
        process.join(WITHIN_S)
        return Ended(printed=file.read_text(encoding="utf-8"), code=process.exitcode)


def _run_flask(words: list[str], environment: dict[str, str], directory: Path, file: Path) -> None:
    import flask.cli

    os.environ.clear()
    os.environ.update(environment)
    os.chdir(directory)
    printed = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    for output in (1, 2):
        os.dup2(printed, output)
    sys.argv = words
    main: Any = flask.cli.main
    main()


def _plain(printed: bytes) -> str:
    return COLOURS_AND_MOVES.sub("", printed.decode(errors="replace"))
