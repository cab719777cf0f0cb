"""The shell of an agent: what `sh` steps print, and what their docker, kaniko, buildah and git commands do.

Nothing else is run: other commands succeed and print nothing, except `exit`, `false`, and an installation by `pip` in a
container of docker-workflow: it has the agent's user, who may write neither the image's packages nor the home `/`.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from posixpath import basename, join, normpath

from harbour.jenkins.workspace import Account, Checkout, GitError, Workspace

_VARIABLE = re.compile(r"\$(?:\{(\w+)(?:(%%?)([^}]*))?\}|(\w+)|\(([^()]*)\))")
NO_HOME = "[Errno 13] Permission denied: '/.local'"
IMAGE_TOOLS = ("docker", "buildah", "podman")


class ShellError(Exception):
    """A command failed: what it printed, and its exit code."""

    def __init__(self, said: str, code: int = 1) -> None:
        super().__init__(said)
        self.code = code


@dataclass(kw_only=True)
class Agent:
    """An agent in one build: its workspace, what has been built on it, and what was pushed from there.

    `built` and `pushed` map an image to its commit. `refused` returns why the registry would not take an image.
    """

    workspace: Workspace
    refused: Callable[[str], str | None]
    has_docker: bool = True
    built: dict[str, str | None] = field(default_factory=dict)
    pushed: dict[str, str | None] = field(default_factory=dict)


@dataclass
class Shell:
    """One `sh` step: its directory, its variables, whether a container runs it, and the account that git has there."""

    agent: Agent
    directory: str
    variables: Mapping[str, str]
    account: Account | None = None
    is_contained: bool = False

    def run(self, script: str) -> Iterator[tuple[str, str]]:
        """Yield each command and its output. Raises ShellError at the first one that fails, as `sh -xe` ends then."""
        for line in script.replace("\\\n", " ").splitlines():
            for command in _commands(self.expand(line.strip())):
                if command and not command.startswith("#"):
                    yield command, ""
                    words = shlex.split(command)
                    yield "", self._execute(words)

    def expand(self, text: str) -> str:
        """Replace variables and `$(…)`, except in single quotes."""
        pieces = re.split(r"('[^']*')", text)
        inside = False
        expanded = []
        for piece in pieces:  # a single quote within double quotes is a character like any other
            is_literal = piece.startswith("'") and len(piece) > 1 and not inside
            expanded.append(piece if is_literal else _VARIABLE.sub(self._value, piece))
            inside ^= piece.replace('\\"', "").count('"') % 2 == 1
        return "".join(expanded)

    def _value(self, match: re.Match[str]) -> str:
        name, cut, pattern, plain, command = match.groups()
        if command is not None:
            return "".join(output for _, output in self.run(command)).strip()
        value = self.variables.get(name or plain, "")
        if cut and pattern.endswith("*"):
            head, mark, _ = value.partition(pattern[:-1]) if cut == "%%" else value.rpartition(pattern[:-1])
            return head if mark else value
        return value

    # -- commands --------------------------------------------------------------------------------------------

    def _execute(self, words: list[str]) -> str:
        tool = basename(words[0])
        if tool in IMAGE_TOOLS:
            if tool == "docker" and not self.agent.has_docker:
                raise ShellError("docker: not found", 127)
            return self._image_tool(words[1], words[2:]) if len(words) > 1 else ""
        if tool == "executor":
            return self._kaniko(words[1:])
        if tool == "git":
            return self._git(words[1:])
        if words[:2] == ["pip", "install"] and self.is_contained and "HOME" not in self.variables:
            raise ShellError(
                "ERROR: Could not install packages due to an OSError: [Errno 13] Permission denied: '/.local'"
            )
        if tool == "sed" and "-i" in words:
            return self._sed(words[1:])
        if tool == "false" or (tool == "exit" and words[1:] not in ([], ["0"])):
            raise ShellError("", int(words[1]) if len(words) > 1 else 1)
        return " ".join(words[1:]) if tool == "echo" else ""

    def _image_tool(self, verb: str, words: list[str]) -> str:
        if verb in ("build", "bud"):
            for image in _options(words, "-t", "--tag"):
                self.agent.built[image] = self._commit_of_context(words, "-f", "--file")
            return ""
        if verb == "tag":
            self.agent.built[words[1]] = self._built(words[0])
        if verb == "push":
            source, *target = [word.removeprefix("docker://") for word in words if not word.startswith("-")]
            return self._push(target[0] if target else source, self._built(source))
        return "Login Succeeded" if verb == "login" else ""

    def _kaniko(self, words: list[str]) -> str:
        commit = self._commit_of_context(words, "--dockerfile")
        images = _options(words, "--destination", "-d")
        return "\n".join(self._push(image, commit) for image in images)

    def _built(self, image: str) -> str | None:
        if image not in self.agent.built:
            raise ShellError(f"An image does not exist locally with the tag: {image}")
        return self.agent.built[image]

    def _push(self, image: str, commit: str | None) -> str:
        if reason := self.agent.refused(image):
            raise ShellError(reason)
        self.agent.pushed[image] = commit
        return f"The push refers to repository [{image.rpartition(':')[0]}]"

    def _commit_of_context(self, words: list[str], *file_options: str) -> str:
        """Return the commit that is checked out here. Raises ShellError without a Dockerfile in it."""
        file = basename(next(iter(_options(words, *file_options)), "Dockerfile"))
        checkout = self._checkout()
        if checkout is None or self.agent.workspace.read(checkout, file) is None:
            raise ShellError(f"ERROR: failed to read dockerfile: open {file}: no such file or directory")
        return checkout.commit

    # -- git -------------------------------------------------------------------------------------------------

    def _checkout(self) -> Checkout | None:
        return self.agent.workspace.directories.get(self.directory)

    def _required(self) -> Checkout:
        checkout = self._checkout()
        if checkout is None:
            raise ShellError("fatal: not a git repository (or any of the parent directories): .git", 128)
        return checkout

    def _git(self, words: list[str]) -> str:
        while words[:1] == ["-c"]:
            words = words[2:]
        verb, *rest = words or [""]
        plain = [word for word in rest if not word.startswith("-")]
        workspace = self.agent.workspace
        try:
            if verb == "clone":
                name = plain[1] if len(plain) > 1 else basename(plain[0]).removesuffix(".git")
                workspace.check_out(normpath(join(self.directory, name)), plain[0], "", self.account)
            elif verb == "rev-parse":
                return self._required().commit
            elif verb == "commit":
                return workspace.commit(self._required(), next(iter(_options(rest, "-m", "--message")), "")).strip()
            elif verb == "push":
                workspace.push(self._required(), plain[-1] if len(plain) > 1 else "HEAD:main", self.account)
        except GitError as error:
            raise ShellError(str(error)) from None
        return ""

    def _sed(self, words: list[str]) -> str:
        expressions = _options(words, "-e", "--expression")
        try:
            self.agent.workspace.edit(self._required(), words[-1], expressions or [words[-2]])
        except GitError as error:
            raise ShellError(str(error), 2) from None
        return ""


def _commands(line: str) -> list[str]:
    """Split at `&&`, `;` and `|` outside of quotes."""
    commands = [""]
    for piece in re.findall(r"""\"(?:\\.|[^"\\])*"|'[^']*'|\\.|&&|.""", line):
        if piece in ("&&", ";", "|"):
            commands.append("")
        else:
            commands[-1] += piece
    return [command.strip() for command in commands]


def _options(words: list[str], *names: str) -> list[str]:
    """Return the values of an option that may be given more than once, as `--name value` or `--name=value`."""
    found = [words[at + 1] for at, word in enumerate(words[:-1]) if word in names]
    return found + [word.partition("=")[2] for word in words if "=" in word and word.partition("=")[0] in names]
