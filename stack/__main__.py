"""Start Slipway on this machine: `python -m stack up` keeps it running, `python -m stack demo` shows it and ends."""

from __future__ import annotations

import argparse
import contextlib
import os
import shutil
import signal
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from types import FrameType

from common.config.settings import EMBEDDED_ENV
from harbour.config import STAND_INS
from stack import demo, logs, programs
from stack.demo import DemoResult
from stack.embedded import ADMINISTRATOR, Embedded, Ports, StackError, only_stack_in, prepare
from stack.inspector import Inspector
from stack.launcher import Launcher

write = sys.stdout.write


def main() -> int:
    options = _options()
    stop = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, _stopper(stop))
    try:
        return up(options, stop) if options.command == "up" else run_demo(options.dir)
    except StackError as problem:
        sys.stderr.write(f"\n{problem}\n")
        return 1
    except KeyboardInterrupt:
        sys.stderr.write("\nStopped.\n")
        return 130


def up(options: argparse.Namespace, stop: threading.Event) -> int:
    """Start everything, print what to type next, and keep it running until Ctrl-C or SIGTERM."""
    with only_stack_in(options.dir):
        return _up(options, stop)


def _up(options: argparse.Namespace, stop: threading.Event) -> int:
    stack = prepare(options.dir, ports=Ports.from_base(options.port_base) if options.port_base else Ports())
    shown = logs.in_terminal(is_complete=options.logs)
    launcher = Launcher(stack.environment, logs.both(logs.to_files(stack.root / "logs"), shown))
    write("Starting broker, harbour, API, worker and Flower …\n")
    sys.stdout.flush()
    try:
        programs.start(launcher, stack, workers=options.workers, with_administrator=True)
        with contextlib.suppress(KeyboardInterrupt):  # the usual end, also while its reader has the text already
            write(_next_commands(stack))
            sys.stdout.flush()
            stop.wait()
    finally:
        write("Stopping.\n")
        launcher.stop()
    return 0


def run_demo(root: Path) -> int:
    """Start a new stack, run the main job, check the upstreams, and stop everything."""
    began_s = time.monotonic()
    root = root / "demo"
    shutil.rmtree(root, ignore_errors=True)
    stack = prepare(root)
    write("Starting broker, harbour, API, worker and Flower …\n")
    sys.stdout.flush()
    launcher = Launcher(stack.environment, logs.to_files(root / "logs"))
    try:
        programs.start(launcher, stack)
        write(f"Ready after {time.monotonic() - began_s:.1f} s.\n")
        result = demo.run(stack.api_url)
        findings = Inspector(stack.environment, result).findings()
    except StackError as problem:
        raise StackError(f"{problem}\nThe logs are in {root / 'logs'}.") from None
    finally:
        launcher.stop()
    write(_summary(result, findings, time.monotonic() - began_s))
    return 0


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m stack", description=__doc__)
    parser.add_argument(
        "command", choices=("up", "demo"), help="up: start and keep running; demo: run the main job and stop"
    )
    parser.add_argument(
        "--dir", type=Path, default=Path("var"), help="directory for data, secrets and logs (default: %(default)s)"
    )
    parser.add_argument("--workers", type=int, default=1, help="worker processes of `up` (default: %(default)s)")
    parser.add_argument(
        "--port-base", type=int, metavar="N", help="first port that `up` tries (default: the usual ports)"
    )
    parser.add_argument(
        "--logs", action="store_true", help="show every line of every program of `up` here, not only warnings"
    )
    return parser.parse_args()


def _stopper(stop: threading.Event) -> Callable[[int, FrameType | None], None]:
    def on_signal(_number: int, _frame: FrameType | None) -> None:
        if stop.is_set() or threading.main_thread() is not threading.current_thread():
            return
        stop.set()
        raise KeyboardInterrupt

    return on_signal


def _next_commands(stack: Embedded) -> str:
    user, _, password = stack.flower_login.partition(":")
    urls = {
        "Console": f"{stack.api_url}/console",
        "API": f"{stack.api_url}/docs  (the reference; requests can be tried there)",
        "Flower": f"{stack.flower_url}  (user {user}, password {password})",
        "Metrics": f"{stack.api_url}/metrics  (METRICS_TOKEN is in {stack.settings_file})",
        **{each.label: stack.environment[each.url] for each in STAND_INS},
    }
    listed = "\n".join(f"  {name:<14}{url}" for name, url in urls.items())
    slipway = _slipway()
    return f"""
Slipway is running. Its data is in {stack.root}, its logs are in {stack.root / "logs"}; Ctrl-C stops it.

{listed}

The administrator {ADMINISTRATOR} has the password {stack.admin_password}

Next, in another terminal:

  export SLIPWAY_URL={stack.api_url}
  {slipway} signup ada --email ada@example.com --name "Ada Lovelace" --team dev
  {slipway} login ada
  {slipway} project create webshop
  {slipway} app create storefront --project webshop --type Spring
  {slipway} build storefront
  {slipway} deploy storefront
  {slipway} --help

As an operator: {slipway} login {ADMINISTRATOR}, and then {slipway} status.
{_operators_note(stack)}
  curl {stack.api_url}/api/v1/jobs/<job_id>     # plain HTTP; the job of a sign-up needs no log-in

Warnings of the programs follow here.

"""


def _operators_note(stack: Embedded) -> str:
    """Say how `make doctor` and other commands find this stack."""
    commands = f"`make doctor` and `{os.path.relpath(sys.executable)} -m flask --app api --help`"
    if stack.settings_file.absolute() == EMBEDDED_ENV.absolute():
        return f"{commands} find this stack by themselves.\n"
    return f"{commands} find this stack after: set -a; . {stack.settings_file}; set +a\n"


def _slipway() -> str:
    """Return the command that runs this Python's client from here."""
    command = Path(sys.executable).with_name("slipway")
    return os.path.relpath(command) if command.exists() else "python -m slipway"


def _summary(result: DemoResult, findings: list[str], seconds: float) -> str:
    checked = "\n".join(f"  ✓ {finding}" for finding in findings)
    return f"""
Parts of the app {result.app["name"]}:
{demo.parts_of(result.app)}

Checked on the upstreams:
{checked}

Done in {seconds:.1f} s. Everything is stopped. `make up` starts a stack that keeps running.
"""


if __name__ == "__main__":
    sys.exit(main())
