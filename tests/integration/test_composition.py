"""docker-compose.yml does what it says: each service by its own command, settings and health check, shut in.

No engine runs here, and MariaDB stands in for MySQL: tests/support/composition.py says what that leaves out. What the
profile `harbour` adds, and a job from end to end, is in tests/compose.
"""

from __future__ import annotations

import json
import shlex
from collections.abc import Iterator
from pathlib import Path

import pytest
from support.composition import Composition, Container, opened
from support.documents import OPERATIONS, commands

RUNNING = ("mysql", "redis", "api", "worker", "flower")
SAID_IN_A_SIGNAL = "\nworker: Warm shutdown (MainProcess)\n"  # by Celery: no logger may be called there
ASK = """
import sys, urllib.error, urllib.request
url, login, method = sys.argv[1:]
passwords = urllib.request.HTTPPasswordMgrWithPriorAuth()
passwords.add_password(None, url, *login.split(":"), is_authenticated=bool(login.strip(":")))
opener = urllib.request.build_opener(urllib.request.HTTPBasicAuthHandler(passwords))
try:
    answer = opener.open(urllib.request.Request(url, method=method), timeout=10)
except urllib.error.HTTPError as error:
    answer = error
print(answer.status, answer.read(9999).decode(errors="replace"))
"""


@pytest.fixture(scope="module")
def composition(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Composition]:
    """Everything that `docker compose up --scale worker=2` starts."""
    with opened(tmp_path_factory.mktemp("compose")) as composition:
        for name in RUNNING:
            composition.up(name)
        composition.start("worker", number=2)
        yield composition


@pytest.fixture(scope="module")
def stopped(composition: Composition) -> dict[str, tuple[float, int]]:
    """How many seconds each service took to end, and how it ended. Comes last: nothing runs afterwards."""
    return {name: (composition.up(name).stop(), composition.up(name).process.returncode) for name in reversed(RUNNING)}


@pytest.mark.parametrize("name", RUNNING)
def test_a_service_becomes_healthy_by_its_own_check(composition: Composition, name: str) -> None:
    composition.up(name).await_health()


def test_the_migration_runs_to_its_end(composition: Composition) -> None:
    migration = composition.up("migrate")

    assert migration.process.wait() == 0
    assert "The schema is current." in migration.log


def test_redis_asks_for_the_password_and_keeps_what_it_is_given(composition: Composition) -> None:
    redis, password = composition.up("redis"), (composition.secrets / "redis_password").read_text()

    refused = redis.run("redis-cli", "ping")
    told = redis.run("redis-cli", "-a", password, "--no-auth-warning", "CONFIG", "GET", "*a*")

    settings = dict(zip(told.stdout.splitlines()[::2], told.stdout.splitlines()[1::2], strict=True))
    wanted = {"appendonly": "yes", "appendfsync": "everysec", "maxmemory-policy": "noeviction", "save": ""}
    assert "NOAUTH" in refused.stdout + refused.stderr
    assert wanted.items() <= settings.items()
    assert settings["maxmemory"] == str(512 * 1024**2)


def test_the_database_keeps_what_it_has_committed(composition: Composition) -> None:
    mysql, password = composition.up("mysql"), (composition.secrets / "db_password").read_text()
    query = "SELECT @@innodb_flush_log_at_trx_commit, @@sync_binlog, @@tx_isolation, @@character_set_server"

    refused = mysql.run("mysql", "--host=mysql", "--user=slipway", "slipway")
    told = mysql.run("mysql", "--host=mysql", "--user=slipway", f"--password={password}", "-Ne", query, "slipway")

    assert "Access denied" in refused.stderr
    assert told.stdout.split() == ["1", "1", "READ-COMMITTED", "utf8mb4"]


def test_flower_is_for_those_who_have_the_password_and_only_to_look(composition: Composition) -> None:
    login = (composition.secrets / "flower_basic_auth").read_text()
    worker, stop = "http://127.0.0.1:5555/api/workers", "http://127.0.0.1:5555/api/worker/shutdown/celery@worker-1"
    flower = composition.up("flower")

    assert _ask(flower, worker).startswith("401 ")
    assert _ask(flower, worker, login=f"{login}x").startswith("401 ")
    assert _ask(flower, worker, login=login).startswith("200 ")
    assert _ask(flower, stop, login=login, method="POST").startswith("403 ")


def test_workers_of_one_command_have_names_of_their_own(composition: Composition) -> None:
    password = (composition.secrets / "redis_password").read_text()
    bound = "slipway:_kombu.binding.celery.pidbox"

    names = composition.up("redis").run("redis-cli", "-a", password, "--no-auth-warning", "SMEMBERS", bound).stdout

    assert "celery@worker-1.celery.pidbox" in names
    assert "celery@worker-2.celery.pidbox" in names


def test_a_plain_worker_looks_for_no_neighbours(composition: Composition) -> None:
    worker = composition.up("worker")
    worker.await_health()

    assert "worker-1 ready." in worker.log
    assert "mingle" not in worker.log


def test_what_operators_type_into_a_service_works_there(composition: Composition) -> None:
    """With a backup of the database among it, which is read back."""
    composition.up("migrate").await_condition("service_completed_successfully")
    typed = [shlex.split(each.text) for each in commands(OPERATIONS) if each.text.startswith("docker compose exec ")]

    answers = [_typed_into(composition, words) for words in typed]

    assert any("The backup is complete" in answer for answer in answers)


def _typed_into(composition: Composition, words: list[str]) -> str:
    """Run what `docker compose exec` runs, and return what it prints.

    What goes through standard input or output is bytes: here it is a file in the container.
    """
    service, *command = [word for word in words[3:] if word != "-T"]
    redirected = next((place for place, word in enumerate(command) if word in ("<", ">")), len(command))
    container = composition.up(service)
    container.await_health()
    ended = container.run(*("/tmp/slipway.backup" if word == "-" else word for word in command[:redirected]))  # noqa: S108 - its own
    assert ended.returncode == 0, f"{shlex.join(words)}\n{ended.stderr}"
    return str(ended.stdout)


@pytest.mark.parametrize("name", RUNNING)
def test_a_service_can_write_where_it_must_and_nowhere_else(composition: Composition, name: str) -> None:
    container = composition.up(name)
    must, others = "/tmp", ("/", "/etc", "/run", "/run/secrets", "/srv/slipway", "/usr", "/var/lib")  # noqa: S108 - its own

    tried = container.run(
        "sh", "-c", 'for place; do touch "$place/mark" 2> /dev/null && echo "$place"; done', "sh", must, *others
    )
    status = container.run("grep", "-E", "^(Uid|CapEff|NoNewPrivs):", "/proc/self/status").stdout.split()

    user = container.service.said["user"].partition(":")[0]
    assert tried.stdout.split() == [must]
    assert status == ["Uid:", user, user, user, user, "CapEff:", "0" * 16, "NoNewPrivs:", "1"]


@pytest.mark.parametrize("name", RUNNING)
def test_a_service_has_its_own_secrets_and_shows_none(composition: Composition, name: str) -> None:
    container = composition.up(name)
    secrets = [file.read_bytes() for file in composition.secrets.iterdir()]
    shown = b"".join(Path(f"/proc/{container.process.pid}/{file}").read_bytes() for file in ("environ", "cmdline"))

    listed = container.run("ls", "/run/secrets").stdout.split()

    assert listed == sorted(container.service.said["secrets"])
    assert not [secret for secret in secrets if secret in shown or secret in container.log.encode()]


@pytest.mark.parametrize("name", RUNNING)
def test_a_service_that_is_told_to_stop_ends_in_its_time(stopped: dict[str, tuple[float, int]], name: str) -> None:
    took_s, code = stopped[name]

    assert took_s < 10
    assert code == 0


@pytest.mark.usefixtures("stopped")  # the last words are looked at, too
@pytest.mark.parametrize("name", ["api", "worker", "flower"])
def test_every_line_of_a_log_is_a_json_object_with_the_same_fields(composition: Composition, name: str) -> None:
    log = composition.up(name).log.replace(SAID_IN_A_SIGNAL, "")
    lines = [json.loads(line) for line in log.splitlines()]

    assert lines
    assert all({"event", "level", "logger", "pid", "timestamp"} <= line.keys() for line in lines)


def _ask(container: Container, url: str, *, login: str = ":", method: str = "GET") -> str:
    """Ask from within: the network is the composition's own. Returns status and text."""
    return container.run("python", "-c", ASK, url, login, method).stdout
