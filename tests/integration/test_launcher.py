"""What the programs of the embedded stack get to see of the environment, and how the stack ends."""

from __future__ import annotations

import re
import signal
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from io import StringIO
from pathlib import Path
from socket import create_server
from urllib.parse import urlsplit

import pytest
from support.settings import EVERY
from support.stack import unused_ports

from common.config.renamed import FORMER_NAMES
from common.config.settings import CommonSettings, FlowerSettings, Settings, WorkerSettings
from harbour.config import STAND_INS
from stack import __main__ as entry
from stack import logs, programs
from stack.embedded import HOST, Ports, StackError, only_stack_in, prepare
from stack.launcher import Launcher, Program
from stack.programs import PYTHON

SECRET_FIELDS = {name for name, field in EVERY.items() if "Secret" in str(field.annotation)}


def former_name(field: str) -> str:
    return FORMER_NAMES.get(field, field).upper()


def test_no_two_programs_get_one_port_though_the_usual_ones_are_in_use(tmp_path: Path) -> None:
    usual = Ports.from_base(unused_ports().api)
    with ExitStack() as taken:
        for port in range(usual.api, usual.metrics + 1):
            taken.enter_context(create_server((HOST, port)))
        stack = prepare(tmp_path / "var", ports=usual)

    env = stack.environment
    chosen = [stack.api_url, stack.flower_url, env["REDIS_URL"], env["HARBOUR_CONTROL_URL"]]
    chosen += [env[each.url] for each in STAND_INS]
    ports = [urlsplit(url).port for url in chosen] + [int(env["WORKER_METRICS_PORT"])]
    assert len(set(ports)) == len(ports)
    assert min(filter(None, ports)) > usual.metrics


def test_two_stacks_do_not_run_in_one_directory(tmp_path: Path) -> None:
    with (
        only_stack_in(tmp_path / "var"),
        pytest.raises(StackError, match="Another stack runs in"),
        only_stack_in(tmp_path / "var", within_s=0.2),
    ):
        pass

    with only_stack_in(tmp_path / "var", within_s=0):
        """The former one has ended."""


def test_a_command_gets_its_input_and_may_end_as_it_is_permitted_to() -> None:
    launcher = Launcher({}, lambda _program, _line: None)
    typed = "import sys; sys.exit(3 if sys.stdin.read() == 'a password\\n' else 1)"

    launcher.run_once("check", (PYTHON, "-c", typed), typed="a password\n", accepted=(0, 3))
    with pytest.raises(StackError, match="exit code 3"):
        launcher.run_once("check", (PYTHON, "-c", typed), typed="a password\n")


LINES = (
    '{"timestamp": "t", "level": "info", "event": "request", "status": 200}',
    '{"timestamp": "t", "level": "error", "event": "upstream_down", "logger": "l", "pid": 7, "upstream": "gitlab"}',
    "a line of a program of others: WARNING",
    "[1, 2]",
    "ended with exit code -9; restarting it in 0.5 s",
)


def test_the_terminal_shows_warnings_and_the_files_have_everything(tmp_path: Path) -> None:
    shown = StringIO()
    for _start in range(2):
        log = logs.both(logs.to_files(tmp_path / "logs"), logs.in_terminal(shown))
        for line in LINES:
            log("worker1", line)

    warned = [line.split(" | ") for line in shown.getvalue().splitlines()][:2]
    assert [text for _, text in warned] == ["error: upstream_down  upstream=gitlab", LINES[-1]]
    assert all(re.fullmatch(r"\d\d:\d\d:\d\d +worker1", head) for head, _ in warned)
    assert {file.name for file in (tmp_path / "logs").iterdir()} == {"worker1.log", "worker1.log.old"}
    assert (tmp_path / "logs" / "worker1.log").read_text().splitlines() == list(LINES)


def test_on_request_the_terminal_shows_every_line_as_it_is() -> None:
    shown = StringIO()
    log = logs.in_terminal(shown, is_complete=True)

    for line in LINES:
        log("api", line)

    assert [line.removeprefix("     api | ") for line in shown.getvalue().splitlines()] == list(LINES)


@pytest.mark.parametrize("name", ["ARGO_URL", "ARGOCD_URL", "argocd_url", "KIBANA_USER", "ELASTICSEARCH_USER"])
def test_a_setting_of_the_shell_does_not_contradict_the_stack(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    monkeypatch.setenv(name, "of-the-shell")
    launcher = Launcher({"ARGO_URL": "ours", "KIBANA_USER": "ours"}, lambda _program, _line: None)

    launcher.run_once("check", (PYTHON, "-c", "import os; assert 'of-the-shell' not in os.environ.values()"))


@pytest.mark.parametrize(
    ("program", "kinds"),
    [
        ("broker", ()),
        ("harbour", ()),
        ("api", (Settings,)),
        ("worker", (WorkerSettings,)),
        ("flower", (FlowerSettings,)),
    ],
)
def test_a_program_gets_the_secrets_that_it_reads_and_no_others(
    tmp_path: Path, program: str, kinds: tuple[type[CommonSettings], ...]
) -> None:
    stack = prepare(tmp_path / "var")
    secrets = {name for name in stack.environment if name in programs.SECRETS}
    made = {
        "broker": programs.broker(stack),
        "harbour": programs.harbour(stack, ()),
        "api": programs.api(stack),
        "worker": programs.worker(1),
        "flower": programs.flower(stack),
    }[program]

    given = secrets - made.withheld

    read = {former_name(name) for kind in kinds for name in kind.model_fields if name in SECRET_FIELDS}
    assert given == ((read & secrets) if kinds else {"broker": set(), "harbour": programs.TOKENS}[program])
    assert secrets == {former_name(name) for name in SECRET_FIELDS} & set(stack.environment)


def test_a_program_does_not_see_what_is_withheld_from_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GITLAB_TOKEN", "canary-of-the-shell")
    launcher = Launcher({"ARGO_TOKEN": "canary", "KIBANA_USER": "shown"}, lambda _program, _line: None)
    seen = "import os; assert 'KIBANA_USER' in os.environ; assert 'canary' not in ' '.join(os.environ.values())"

    launcher.run_once("check", (PYTHON, "-c", seen), withheld=frozenset({"GITLAB_TOKEN", "ARGO_TOKEN"}))


def test_what_programs_write_is_for_their_user_alone(tmp_path: Path) -> None:
    launcher = Launcher({}, lambda _program, _line: None)

    launcher.run_once("write", (PYTHON, "-c", "open('file', 'w'); import os; os.mkdir('place')"), cwd=tmp_path)
    launcher.start(
        Program(name="touch", command=("touch", "other"), cwd=tmp_path, is_ready=(tmp_path / "other").exists)
    )
    launcher.stop()

    modes = {path.name: path.stat().st_mode & 0o777 for path in tmp_path.iterdir()}
    assert modes == {"file": 0o600, "place": 0o700, "other": 0o600}


@pytest.mark.parametrize("earlier", [False, True])
def test_the_directory_of_the_stack_is_for_its_owner_alone(tmp_path: Path, earlier: bool) -> None:
    root = tmp_path / "var"
    if earlier:
        root.mkdir(mode=0o755)
        (root / "secrets.env").touch()

    prepare(root)

    assert root.stat().st_mode & 0o777 == 0o700
    assert (root / "broker").stat().st_mode & 0o777 == 0o700


def test_a_directory_of_somebody_else_keeps_its_mode(tmp_path: Path) -> None:
    tmp_path.chmod(0o755)

    prepare(tmp_path)

    assert tmp_path.stat().st_mode & 0o777 == 0o755


def test_a_stack_that_is_told_to_end_while_it_says_that_it_runs_ends_well(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Whoever waits for that text may send the signal before the writer has returned from writing it."""
    written: list[str] = []

    def write(text: str) -> None:
        written.append(text)
        if "Slipway is running" in text:
            signal.raise_signal(signal.SIGTERM)

    monkeypatch.setattr(entry, "write", write)
    monkeypatch.setattr(entry.programs, "start", lambda *_args, **_options: None)
    monkeypatch.setattr(sys, "argv", ["stack", "up", "--dir", str(tmp_path)])
    with _signals_restored():
        assert entry.main() == 0
    (said,) = (text for text in written if "Slipway is running" in text)
    password = (tmp_path / "secrets.env").read_text().partition("ADMIN_PASSWORD=")[2].partition("\n")[0]
    assert f"The administrator grace has the password {password}" in said
    assert "/docs" in said
    assert f"set -a; . {tmp_path / 'embedded.env'}; set +a" in said, "it is not where commands look by themselves"
    assert written[-1] == "Stopping.\n"


@contextmanager
def _signals_restored() -> Iterator[None]:
    handlers = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in handlers.items():
            signal.signal(number, handler)
