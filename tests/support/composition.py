"""docker-compose.yml without an engine: its services as processes, shut in as its containers are.

A service runs its exact command in its exact environment, and its health check, too. Namespaces of the kernel give it
what a container has: one network with the ports and names of the file, a host name of its own, its secrets below
/run/secrets, its volumes, a /tmp of its own, everything else read-only, its user, no capability, no new privileges.

What is not as in a container: the programs are this machine's (Python with its packages; MariaDB for MySQL, its
entrypoint played by `DATABASE_ENTRYPOINT`), all users are one outside, limits are not enforced, and `ELSEWHERE`.
"""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import yaml

from support import images
from support.checkout import ROOT
from support.services import missing

VENV = Path(sys.prefix)
WORKDIR = "/srv/slipway"
PATH = f"{VENV / 'bin'}:/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin"
WITHIN_S = 60.0
PROGRAMS = (
    "unshare",
    "nsenter",
    "setpriv",
    "ip",
    "redis-server",
    "redis-cli",
    "mariadbd",
    "mariadb-install-db",
    "mysql",
)
ELSEWHERE = {"/data": "/srv/data"}  # a mount needs a directory to lie on, and / has none of this name here
NAMES = "127.0.0.1 localhost mysql redis api harbour\n"
NSENTER = ("nsenter", "--preserve-credentials")

# As root of its own user namespace: what it does there, nobody else sees.
SHUT_IN = """
hostname "$1"; user=$2; image=$3; hosts=$4; venv=$5; shift 5
for place in /srv /run /var/lib; do mount -t tmpfs scaffold "$place"; done
mkdir -p /srv/slipway /srv/venv /run/secrets
mount --bind "$image" /srv/slipway
mount --bind "$venv" /srv/venv
mount --bind "$hosts" /etc/hosts
while [ "$1" != -- ]; do
    case $1 in
    tmpfs) mkdir -p "$2"; set_aside="$set_aside $2:$3" ;;
    file) touch "$3"; mount --bind "$2" "$3"; mount -o remount,bind,ro "$3" ;;
    directory) mkdir -p "$3"; mount --bind "$2" "$3" ;;
    esac
    shift 3
done
shift
for each in $set_aside; do mount -t tmpfs -o "${each#*:}" tmpfs "${each%%:*}"; done
case $venv in /tmp/*) mkdir -p "$venv"; mount --bind /srv/venv "$venv" ;; esac
for place in /srv /run /var/lib; do mount -o remount,ro "$place"; done
mount -o remount,bind,ro /srv/slipway
mount -o remount,bind,ro /
cd "$WORKING_DIRECTORY"
exec unshare --map-user="${user%:*}" --map-group="${user#*:}" setpriv --pdeathsig KILL --no-new-privs "$@"
"""
INSIDE = 'cd "$WORKING_DIRECTORY" && exec setpriv --no-new-privs "$@"'

# What the image's entrypoint does before it hands over to `mysqld` with the options of the file.
DATABASE_ENTRYPOINT = """
mariadb-install-db --no-defaults --datadir=/var/lib/mysql --skip-test-db > /dev/null
cat > /tmp/first.sql <<END
CREATE DATABASE $MYSQL_DATABASE;
CREATE USER '$MYSQL_USER'@'%' IDENTIFIED BY '$(cat "$MYSQL_PASSWORD_FILE")';
GRANT ALL ON $MYSQL_DATABASE.* TO '$MYSQL_USER'@'%';
ALTER USER 'root'@'$MYSQL_ROOT_HOST' IDENTIFIED BY '$(cat "$MYSQL_ROOT_PASSWORD_FILE")';
END
exec mariadbd --no-defaults --datadir=/var/lib/mysql --socket=/var/run/mysqld/mysqld.sock \
    --skip-name-resolve --init-file=/tmp/first.sql "$@"
"""


def load() -> dict[str, Any]:
    """Return the compose file as it is after `$$` has become `$`; it takes no variable of the environment."""
    text = (ROOT / "docker-compose.yml").read_text(encoding="utf-8")
    assert not re.search(r"(?<!\$)(\$\$)*\$(?!\$)", text), "the file takes variables: they are not put in here"
    document: dict[str, Any] = yaml.safe_load(text.replace("$$", "$"))
    return document


@dataclass(frozen=True, kw_only=True)
class Service:
    """What the file says of one service, and where things are that it names."""

    name: str
    said: Mapping[str, Any]
    composition: Composition

    @property
    def is_ours(self) -> bool:
        return "build" in self.said

    @property
    def command(self) -> list[str]:
        command = [self._moved(word) for word in self.said["command"]]
        return ["sh", "-ec", DATABASE_ENTRYPOINT, "entrypoint", *command] if self.name == "mysql" else command

    @property
    def health_check(self) -> list[str]:
        kind, *command = self.said["healthcheck"]["test"]
        return ["sh", "-c", *command] if kind == "CMD-SHELL" else command

    @cached_property
    def environment(self) -> dict[str, str]:
        files = [each["path"] for each in self.said.get("env_file", ())]
        from_files = [line for file in files for line in self.composition.settings_of(file)]
        return {
            "PATH": PATH,
            "WORKING_DIRECTORY": WORKDIR if self.is_ours else "/",
            **self._environment_of_image,
            **dict(line.split("=", 1) for line in from_files),
            **self.said.get("environment", {}),
        }

    @property
    def _environment_of_image(self) -> dict[str, str]:
        return images.environment_of(self.said["build"]["target"]) if self.is_ours else {}

    @property
    def grace_s(self) -> float:
        return float(self.said["stop_grace_period"].removesuffix("s"))

    def mounts(self) -> Iterator[str]:
        """Yield three words for each: kind, source or options, place."""
        for name in self.said.get("secrets", ()):
            yield from ("file", str(self.composition.secrets / name), f"/run/secrets/{name}")
        for volume in sorted(
            self.said.get("volumes", ()), key=lambda volume: volume.endswith(":/tmp")
        ):  # hides its sources
            name, _, place = volume.partition(":")
            yield from ("directory", str(self.composition.volume(name)), self._moved(place))
        for entry in self.said["tmpfs"]:
            place, _, options = entry.partition(":")
            yield from ("tmpfs", place, options)

    def _moved(self, word: str) -> str:
        for there, here in ELSEWHERE.items():
            word = word.replace(there, here)
        return word


class Container:
    """One running service. `run` runs a command inside, as the engine's `exec` and its health checks do."""

    def __init__(self, service: Service, process: subprocess.Popen[bytes], log: Path, holder_pid: int) -> None:
        self.service = service
        self.process = process
        self._log = log
        self._holder_pid = holder_pid

    @property
    def log(self) -> str:
        return self._log.read_text(encoding="utf-8", errors="replace")

    def run(
        self, *command: str, within_s: float = WITHIN_S, fed: str | None = None
    ) -> subprocess.CompletedProcess[str]:
        to_the_right = (*NSENTER, f"--target={self._holder_pid}", "--user")
        to_the_rest = (*NSENTER, f"--target={self.process.pid}", "--user", "--net", "--mount", "--uts")
        return subprocess.run(
            (*to_the_right, *to_the_rest, "sh", "-c", INSIDE, "sh", *command),
            env=self.service.environment,
            input=fed,
            capture_output=True,
            text=True,
            timeout=within_s,
            check=False,
        )

    def is_healthy(self) -> bool:
        within_s = float(self.service.said["healthcheck"]["timeout"].removesuffix("s"))
        try:
            return self.run(*self.service.health_check, within_s=within_s).returncode == 0
        except subprocess.TimeoutExpired:
            return False

    def await_condition(self, condition: str) -> None:
        if condition == "service_completed_successfully":
            assert self.process.wait(WITHIN_S) == 0, f"{self.service.name} has failed:\n{self.log}"
        elif condition != "service_started":
            assert condition == "service_healthy"
            self.await_health()

    def await_health(self) -> None:
        deadline = time.monotonic() + WITHIN_S
        while not self.is_healthy():
            assert self.process.poll() is None, f"{self.service.name} has ended:\n{self.log}"
            assert time.monotonic() < deadline, f"{self.service.name} is not healthy:\n{self.log}"
            time.sleep(0.3)

    def stop(self) -> float:
        """Ask it to end, as `docker compose stop` does, and return how many seconds it took; fails after its grace."""
        began_s = time.monotonic()
        self.process.terminate()
        self.process.wait(self.service.grace_s)
        return time.monotonic() - began_s


class Composition:
    """The services of the file, on the settings of the stand-ins, below one directory."""

    def __init__(self, root: Path, holder: subprocess.Popen[str]) -> None:
        self._root = root
        self._holder = holder
        self._images: dict[str, Path] = {}
        self._hosts = root / "hosts"
        self._hosts.write_text(NAMES)
        self._started: dict[str, Container] = {}
        self.containers: list[Container] = []
        self.secrets = _make_secrets(root)

    def service(self, name: str) -> Service:
        return Service(name=name, said=load()["services"][name], composition=self)

    def up(self, name: str) -> Container:
        """Start a service once what it depends on is as it wants it, started before if need be."""
        if name not in self._started:
            service = self.service(name)
            for dependency, wanted in service.said.get("depends_on", {}).items():
                self.up(dependency).await_condition(wanted["condition"])
            self._started[name] = self.start(name)
        return self._started[name]

    def start(self, name: str, *, number: int = 1) -> Container:
        """Start one more container of a service."""
        service = self.service(name)
        place = self._root / f"{name}-{number}.log"
        join = (*NSENTER, f"--target={self._holder.pid}", "--user", "--net")
        shut_in = ("unshare", "--mount", "--uts", "sh", "-ec", SHUT_IN, "sh")
        host = service.said.get("hostname", f"{name}-{number}")
        where = (host, service.said["user"], str(self._image(service)), str(self._hosts), str(VENV))
        with place.open("wb") as log:
            process = subprocess.Popen(
                (*join, *shut_in, *where, *service.mounts(), "--", *service.command),
                env=service.environment,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
            )
        container = Container(service, process, place, self._holder.pid)
        self.containers.append(container)
        return container

    def stop(self) -> None:
        for container in reversed(self.containers):
            container.process.kill()
            container.process.wait()
        shutil.rmtree(self._root / "volumes", ignore_errors=True)  # a database is 100 MB, and pytest keeps three

    def settings_of(self, file: str) -> list[str]:
        """Return the lines of a file of settings; `.env` is a copy of that of the stand-ins (docs/installation.md)."""
        text = (ROOT / ("compose/harbour.env" if file == ".env" else file)).read_text(encoding="utf-8")
        return [line for line in text.splitlines() if line and not line.startswith("#")]

    def volume(self, name: str) -> Path:
        place = self._root / "volumes" / name
        place.mkdir(parents=True, exist_ok=True)
        return place

    def _image(self, service: Service) -> Path:
        stage = service.said["build"]["target"] if service.is_ours else "base"
        if stage not in self._images:
            place = self._root / "images" / stage
            place.mkdir(parents=True)
            self._images[stage] = images.build(stage, place)
        return self._images[stage]


def _make_secrets(root: Path) -> Path:
    (root / "compose").mkdir()
    script = shutil.copy(ROOT / "compose/make-secrets.sh", root / "compose")
    shutil.copy(ROOT / "docker-compose.yml", root)
    subprocess.run(("sh", script, "harbour"), check=True, capture_output=True)
    return root / "secrets"


@contextmanager
def opened(root: Path) -> Iterator[Composition]:
    """Yield a composition whose services share a network of their own; all of it ends with it."""
    for program in PROGRAMS:
        if not shutil.which(program, path=PATH):
            missing(program)
    networked = "ip link set lo up && echo up && exec cat"
    with subprocess.Popen(
        ("unshare", "--map-root-user", "--net", "sh", "-ec", networked),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    ) as holder:
        assert holder.stdout is not None
        if holder.stdout.readline() != "up\n":
            missing("a kernel that gives namespaces to users")
        composition = Composition(root, holder)
        try:
            yield composition
        finally:
            composition.stop()
