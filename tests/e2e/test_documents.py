"""Every command of the documents does what they say: it is run here, or `ELSEWHERE` says why not.

The commands of a document are typed one after the other into a shell, in a checkout, beside one stack whose upstreams
are the harbour. Each must end with 0 and print what the document shows (`support/documents.py`). Two people type at the
same time: a newcomer, and an operator who runs what an installation needs. They read the documents like this:

    JOB, or an id        the job of the command before, or the one that the scene is about
    …, in a command      the id that its place needs: the last project, app or job in an answer
    :8000                where the API of this stack listens
    a password           is typed when a command asks for it

`curl` does not follow jobs: before the next `curl`, the test waits for the job that the last one started. `SCENES`
cause the failures that a section is about, and correct them.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack, closing
from itertools import count
from pathlib import Path
from threading import Event
from typing import Any

import pytest
from support.checkout import ROOT
from support.documents import (
    COMMAND_LINE,
    DOCUMENTS,
    HTTP_API,
    ID,
    INSTALL_UPSTREAMS,
    INSTALLATION,
    OPERATIONS,
    README,
    Command,
    blocks,
    commands,
    mismatch,
)
from support.stack import PASSWORD, Stack, wait_for
from support.terminal import Ended, Terminal

CHECKOUT = ("Makefile", "api", "slipway", "client", "common", "gunicorn.conf.py", "server", "worker")
NEWCOMER = (README, HTTP_API, COMMAND_LINE)
OPERATOR = (INSTALLATION, OPERATIONS)
PLAYED = (*NEWCOMER, *OPERATOR)
NO_ENGINE = "no engine here: test_composition.py runs the services as processes, and the commands inside them"
ELSEWHERE = {
    r"make (demo|check)\b": "CI runs it: .ci/run",
    r"make (test|quick|up)\b": "this test is part of it",
    r"make services\b": "it runs until it is stopped; CI runs the tests with it",
    r"make doctor\b": "it is python -m worker.doctor, which docs/operations.md has",
    r"make secrets\b": "tests/unit/test_compose.py runs its script",
    r"cp \S+ \.env\b": "other settings than those of this stack; test_compose.py reads both files",
    r"(git pull && )?docker compose\b": NO_ENGINE,
    r"alias \w+='docker compose": NO_ENGINE,
    r"(gunicorn|celery -A worker (worker|flower))\b": "runs until it is stopped; every stack here consists of these",
}
PATH = "/usr/local/bin:/usr/bin:/bin"
PRINTED_URL = "http://127.0.0.1:8000"
NUMBERS = count(1)
NEEDS_A_SHELL = re.compile(r"^[^#]*[|<>$;&]")
ASKED = re.compile(rf'"(job|app|project)_id": ?"({ID})"|jobs/({ID})')
PLACES = {
    "job": re.compile(rf"\bJOB\b|{ID}|(?<=/jobs/)…"),
    "app": re.compile(r"(?<=/app/)…"),
    "project": re.compile(r'(?<=_id": ")…'),
}


class Play:
    """One person who types documents from beginning to end. The shell, the log-in and the ids stay."""

    def __init__(self, stack: Stack, checkout: Path, *, path: str, nobody_else_signs_up: Event) -> None:
        self.stack = stack
        self.nobody_else_signs_up = nobody_else_signs_up
        self._url = stack.embedded.api_url
        (checkout / "home").mkdir(parents=True)
        (checkout / "secrets").mkdir()
        (checkout / "home/.curlrc").write_text("fail-with-body\n")  # or a refusal would end with 0
        for name in CHECKOUT:
            (checkout / name).symlink_to(ROOT / name)
        (checkout / ".venv").symlink_to(sys.prefix)
        (checkout / "var").symlink_to(stack.embedded.root)
        (checkout / "catalog.toml").write_bytes((ROOT / "common/config/catalog.toml").read_bytes())
        environment = {
            "PATH": path,
            "HOME": str(checkout / "home"),
            "TMPDIR": str(stack.embedded.root / "tmp"),
            "LANG": "C.UTF-8",
            "SLIPWAY_URL": self._url,
            "CATALOG_FILE": str(checkout / "catalog.toml"),
        }
        self._terminal = Terminal(checkout, environment, password=PASSWORD)
        self._ids: dict[str, str] = {}
        self._begun_by_curl = ""

    def close(self) -> None:
        self._terminal.close()

    def perform(self, command: Command) -> None:
        """Type a command, and check that it ends with 0 and prints what the document shows."""
        if command.text.startswith("curl"):
            self._await_what_curl_began()
        for (heading, start), scene in SCENES.items():
            if command.heading == heading and command.text.startswith(start):
                scene(self)
        ended = self.types(self._filled(command.text))
        assert ended.code == 0, f"{command}\nended with {ended.code}:\n{ended.printed}"
        assert not (difference := mismatch(command.shown, ended.printed)), f"{command}\n{difference}"
        self._learn(command.text, ended.printed)

    def types(self, text: str) -> Ended:
        """Run a command in the shell; a simple one of `flask` that asks for nothing in a process that is ready."""
        is_simple = text.startswith("flask ") and not NEEDS_A_SHELL.search(text) and "asks" not in text
        return self._terminal.runs_at_once(text) if is_simple else self._terminal.types(text)

    def is_about(self, job_id: str) -> None:
        self._ids["job"] = job_id

    @property
    def app_id(self) -> str:
        return self._ids["app"]

    def _filled(self, text: str) -> str:
        text = text.replace(PRINTED_URL, self._url).replace("localhost:8000", self._url)
        for kind, place in PLACES.items():
            text = place.sub(lambda _found, kind=kind: self._ids[kind], text)
        return text

    def _learn(self, text: str, printed: str) -> None:
        for found in ASKED.finditer(printed):
            self._ids[found[1] or "job"] = found[2] or found[3]
        begun = re.search(rf'"job_id": ?"({ID})"', printed)
        self._begun_by_curl = begun[1] if begun and text.startswith("curl") else ""

    def _await_what_curl_began(self) -> None:
        if self._begun_by_curl:
            ended = self.types(f"slipway jobs watch {self._begun_by_curl}")
            assert ended.code == 0, ended.printed

    # -- scenes -----------------------------------------------------------------------------------------------

    def bob_is_there(self) -> None:
        bob = self.stack.person("bob")
        bob.make_app(bob.make_project("tools"), "till")

    def a_job_waits(self) -> None:
        assert self.types("slipway upstreams pause jenkins --reason Upgrade").code == 0
        self.is_about(self._sign_up("waiting", until=lambda job: bool(job["waiting_on"])))

    def a_job_fails(self) -> None:
        assert self.types("slipway upstreams resume jenkins").code == 0
        self.nobody_else_signs_up.wait()
        self.stack.harbour.fault("gitlab", kind="status", status=422, method="POST", path="/members", body="{}")
        self.is_about(self._sign_up(f"failing-{next(NUMBERS)}", until=lambda job: bool(job["state"] == "failed")))

    def it_is_corrected(self) -> None:
        self.stack.harbour.clear_faults()

    def jenkins_is_down(self) -> None:
        self.it_is_corrected()
        self.stack.harbour.fault("jenkins", kind="reset")
        jobs = [self.stack.anyone().sign_up(f"down-{name}") for name in "abcd"]
        self.is_about(jobs[-1])

        def is_known() -> bool:
            held = self.stack.anyone().job(jobs[-1])["waiting_on"]
            return any(each["code"] == "outage" for each in held) and len(held) == 1

        wait_for("a worker has seen that it is down", is_known)

    def _sign_up(self, login: str, *, until: Callable[[dict[str, Any]], bool]) -> str:
        anyone = self.stack.anyone()
        job_id = anyone.sign_up(login)
        wait_for(f"{login} is so far", lambda: until(anyone.job(job_id)))
        return job_id


Scene = Callable[[Play], None]
SCENES: dict[tuple[str, str], Scene] = {
    ("Create the first administrator", "flask --app api users create-admin"): Play.bob_is_there,
    ("A job is stuck", "slipway jobs show"): Play.a_job_waits,
    ("A job failed", "slipway jobs list"): Play.a_job_fails,
    ("A job failed", "slipway jobs retry"): Play.it_is_corrected,
    ("A job failed", "slipway jobs skip"): Play.a_job_fails,
    ("An upstream is down", "slipway upstreams list"): Play.jenkins_is_down,
    ("An upstream is down", "slipway jobs watch"): Play.it_is_corrected,
}


def is_elsewhere(command: Command) -> bool:
    return any(re.match(pattern, command.text) for pattern in ELSEWHERE)


def _read(play: Play, document: str) -> None:
    """Type the commands of a document, then run its Python snippets."""
    for command in commands(document):
        if not is_elsewhere(command):
            play.perform(command)
    for _heading, snippet in blocks(document, "python"):
        program = compile(snippet.replace(PRINTED_URL, play.stack.embedded.api_url), document, "exec")
        exec(program, {"password": PASSWORD, "app_id": play.app_id})  # noqa: S102 - the snippet is what is tested


@pytest.fixture(scope="module")
def plays(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Future[None]]]:
    """Both people at once, beside one stack, each in a checkout of their own and with one document after the other."""
    root, signed_up = tmp_path_factory.mktemp("documents"), Event()
    stack = Stack(root, fork_s=0)
    with ExitStack() as opened:
        opened.callback(stack.stop)
        stack.start()
        reads: dict[str, Future[None]] = {}
        for documents, path in ((NEWCOMER, PATH), (OPERATOR, f"{sys.prefix}/bin:{PATH}")):
            play = Play(stack, root / Path(documents[0]).stem, path=path, nobody_else_signs_up=signed_up)
            opened.enter_context(closing(play))
            one_at_a_time = opened.enter_context(ThreadPoolExecutor(1))
            reads |= {document: one_at_a_time.submit(_read, play, document) for document in documents}
        reads[NEWCOMER[-1]].add_done_callback(lambda _read: signed_up.set())
        yield reads


@pytest.mark.parametrize("document", PLAYED)
def test_every_command_of_a_document_does_what_it_says(plays: dict[str, Future[None]], document: str) -> None:
    plays[document].result()


def test_every_document_with_commands_is_played_and_every_exception_is_used() -> None:
    played_elsewhere = {INSTALL_UPSTREAMS}  # tests/integration/test_install_upstreams.py
    every = [command for document in DOCUMENTS if document not in played_elsewhere for command in commands(document)]
    played = [(command.heading, command.text) for command in every]

    assert {command.document for command in every if not is_elsewhere(command)} == set(PLAYED)
    assert [pattern for pattern in ELSEWHERE if not any(re.match(pattern, text) for _, text in played)] == []
    assert all(any(each == heading and text.startswith(start) for each, text in played) for heading, start in SCENES)


@pytest.mark.parametrize("document", DOCUMENTS)
def test_commands_are_in_blocks_that_are_run(document: str) -> None:
    assert [block for language in ("bash", "sh", "shell") for block in blocks(document, language)] == []
