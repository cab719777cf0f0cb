"""The set-up of empty upstreams, typed from docs/install-upstreams.md."""

from __future__ import annotations

import re
import shutil
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from string import Template
from typing import Any

from common.config.renamed import FORMER_NAMES
from common.config.settings import WorkerSettings
from harbour.config import HarbourConfig
from harbour.world import Harbour
from support.checkout import ROOT
from support.documents import INSTALL_UPSTREAMS, Command, blocks, commands
from support.services import missing
from support.terminal import Terminal

NOT_RUN = {
    r"(glab|jenkins-plugin-cli|argocd) ": "the usual form of what the next commands do over HTTP",
    r"kubectl ": "the usual form, or needs a cluster",
    r"aws ": "needs Amazon",
    r".*\$KIBANA_EXT_URL": "needs Kibana, which has no stand-in",
    r"(python -m worker.doctor|slipway )": "the test asks the doctor, and signs up, in its own process",
}
"""What is not typed, and why."""
PATH = "/usr/local/bin:/usr/bin:/bin"
FIRST_ADMINISTRATORS = {
    "gitlab_token": "glpat-root-0001",
    "jenkins_token": "11root-0002",
    "argocd_token": "argo-root-0003",
    "elasticsearch_password": "elastic-root-0004",
}


def empty_harbour(root: Path) -> Harbour:
    """Return upstreams with nothing but their first administrator; it is not started."""
    return Harbour(
        HarbourConfig(
            root=root,
            empty=True,
            gitlab_user="nobody",
            gitlab_read_token="glpat-nobody-0005",
            jenkins_user="admin",
            elasticsearch_user="elastic",
            fork_s=0.02,
            queue_s=0.02,
            build_s=0.02,
            sync_s=0.02,
            **FIRST_ADMINISTRATORS,
        )
    )


def reason_not_to_run(command: Command) -> str:
    """Return why a command is not typed, "" for one that is."""
    return next((why for pattern, why in NOT_RUN.items() if re.match(pattern, command.text, re.DOTALL)), "")


class PlatformTeam:
    """Types the commands of the page, in their order; `typed` and `left` are what it did and did not run."""

    def __init__(self, harbour: Harbour, place: Path) -> None:
        for program in ("curl", "jq", "git"):
            if not shutil.which(program, path=PATH):
                missing(program)
        self._urls = {each.name: each.url for each in harbour.services}
        (place / ".curlrc").write_text("silent\nfail-with-body\n")
        self._terminal = Terminal(place, self._environment(place), password="never asked for")
        self.typed: list[Command] = []
        self.left: list[Command] = []

    def _environment(self, place: Path) -> dict[str, str]:
        return {
            "PATH": f"{sys.prefix}/bin:{PATH}",
            "PYTHONPATH": str(ROOT),
            "HOME": str(place),
            "LANG": "C.UTF-8",
            "GIT_TERMINAL_PROMPT": "0",
            "TEAMS": "dev ops",
            "GITLAB_URL": self._urls["gitlab"],
            "JENKINS_URL": self._urls["jenkins"],
            "ARGO_URL": self._urls["argocd"],
            "KIBANA_URL": self._urls["elasticsearch"],
            "KUBERNETES_URL": f"{self._urls['argocd']}/kubernetes",
            "KUBERNETES_TOKEN": FIRST_ADMINISTRATORS["argocd_token"],
            "GITLAB_ADMIN_TOKEN": FIRST_ADMINISTRATORS["gitlab_token"],
            "JENKINS_ADMIN": "admin",
            "JENKINS_ADMIN_TOKEN": FIRST_ADMINISTRATORS["jenkins_token"],
            "ARGO_ADMIN_PASSWORD": FIRST_ADMINISTRATORS["argocd_token"],
            "ELASTIC_PASSWORD": FIRST_ADMINISTRATORS["elasticsearch_password"],
            "JENKINS_PASSWORD": "knitting-machines-0006",
            "KIBANA_PWD": "weaving-machines-0007",
            "NEXT_YEAR": (datetime.now(UTC) + timedelta(days=360)).date().isoformat(),
        }

    def set_up(self) -> None:
        for command in commands(INSTALL_UPSTREAMS):
            if reason_not_to_run(command):
                self.left.append(command)
                continue
            ended = self._terminal.types(f"set -o pipefail\n{command.text}")
            assert ended.code == 0, f"{command}\nended with {ended.code}:\n{ended.printed}"
            self.typed.append(command)

    def settings(self) -> dict[str, str]:
        """Return the settings of the page, with the values that came of the commands."""
        ((_heading, block),) = blocks(INSTALL_UPSTREAMS, "ini")
        lines = (line.partition("=") for line in block.splitlines())
        return {name: self._value(value) for name, _, value in lines}

    def _value(self, text: str) -> str:
        names = [found[1] for found in re.finditer(r"\$(\w+)", text)]
        values = {name: self._terminal.types(f'printf %s "${name}"').printed for name in names}
        return Template(text).substitute(values)

    def close(self) -> None:
        self._terminal.close()


def worker_settings(given: dict[str, str], **others: object) -> WorkerSettings:
    """Return the settings of a worker; `given` has the names of the environment."""
    present = {former: name for name, former in FORMER_NAMES.items()}
    named: dict[str, Any] = {present.get(name.lower(), name.lower()): value for name, value in given.items()}
    return WorkerSettings(_env_file=None, **named, **others)
