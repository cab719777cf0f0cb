"""Open a harbour from the command line: `python -m harbour --root DIR`.

Prints the settings with which Slipway uses it, ready to paste, and closes on Ctrl-C or SIGTERM.
"""

from __future__ import annotations

import argparse
import json
import os
import secrets
import signal
import sys
import threading
from pathlib import Path
from typing import Any

from harbour.config import CONTROL_OFFSET, CREDENTIALS, PORT_COUNT, STAND_INS, USERS, HarbourConfig
from harbour.control import Control
from harbour.world import Harbour

TIMINGS = {
    "fork_s": (0.2, "for a fork"),
    "queue_s": (0.1, "in the build queue"),
    "build_s": (0.5, "for a build"),
    "sync_s": (0.3, "for a sync"),
}


def main() -> None:
    options = parse_options()
    credentials = choose_credentials(options.root / "credentials.json")
    base: int = options.port_base
    ports = {each.port: each.offset for each in STAND_INS} | {"control_port": CONTROL_OFFSET}
    values: dict[str, Any] = {name: base + offset if base else 0 for name, offset in ports.items()}
    values |= {field: credentials[name] for name, field in CREDENTIALS.items()}
    values |= {name: getattr(options, name) for name in ("root", "host", *TIMINGS)}
    config = HarbourConfig(gitlab_edition=options.edition, empty=options.empty, **values)
    serve(config, credentials)


def parse_options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m harbour",
        description=f"Stand-ins: {', '.join(each.label for each in STAND_INS)}.",
        epilog=f"Credentials come from the environment ({', '.join(CREDENTIALS)}), or from files in "
        "SECRETS_DIR; missing ones are generated once and kept.",
    )
    add = parser.add_argument
    add("--root", type=Path, required=True, help="directory for its repositories and state")
    add("--host", default="127.0.0.1", help="address to listen on (default: %(default)s)")
    add(
        "--port-base",
        type=int,
        default=0,
        metavar="N",
        help=f"use ports N to N+{PORT_COUNT - 1} (default: any free ones)",
    )
    add("--edition", choices=("ce", "ee"), default="ce", help="GitLab edition (default: %(default)s)")
    add("--empty", action="store_true", help="upstreams without anything that Slipway needs: docs/install-upstreams.md")
    for name, (default_s, what) in TIMINGS.items():
        flag = f"--{name.replace('_', '-')}"
        add(flag, type=float, default=default_s, help=f"seconds {what} (default: %(default)s)")
    return parser.parse_args()


def given(name: str) -> str:
    """Return a credential from the environment or a secret file, as Slipway's settings do; empty without one."""
    file = Path(os.environ.get("SECRETS_DIR", "/run/secrets"), name.lower())
    return os.environ.get(name) or (file.read_text().strip() if file.is_file() else "")


def choose_credentials(file: Path) -> dict[str, str]:
    """Return name and value of every credential: the given one, else the kept one, else a new one."""
    kept: dict[str, str] = json.loads(file.read_text()) if file.exists() else {}
    chosen = {
        name: given(name) or kept.get(name) or USERS.get(name) or secrets.token_urlsafe(32) for name in CREDENTIALS
    }
    file.parent.mkdir(parents=True, exist_ok=True)
    file.touch(mode=0o600)
    file.write_text(json.dumps(chosen))
    return chosen


def serve(config: HarbourConfig, credentials: dict[str, str]) -> None:
    """Open the harbour, print its settings, and close it on Ctrl-C or SIGTERM."""
    stop = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stop.set())
    harbour = Harbour(config)
    control = Control(harbour)
    harbour.start()
    control.start(config.host, config.control_port)
    settings = {each.name: each.url for each in STAND_INS}
    urls = {settings[service.name]: service.url for service in harbour.services} | {"HARBOUR_CONTROL_URL": control.url}
    generated = {name: value for name, value in credentials.items() if not given(name)}
    for name, value in sorted((urls | generated).items()):  # given credentials are known already, and secret
        sys.stdout.write(f"{name}={value}\n")
    sys.stdout.flush()
    stop.wait()
    control.stop()
    harbour.stop()


if __name__ == "__main__":
    main()
