"""Every trouble with the broker: the worker lives, jobs end meanwhile, and messages are used again afterwards."""

from __future__ import annotations

import json
import shutil
import signal
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import pytest
from redis import Redis
from redis.exceptions import RedisError
from support.stack import BROKER, SIGN_UP_WRITES, Stack, wait_for

NewName = Callable[[str], str]
WORKER = "worker1"
KEYS = 400
LOAD_KEY_US = 20_000  # 8 s for all of them


@dataclass(frozen=True)
class Trouble:
    """What happens to the broker, how it ends, and the line of the log that says what to do."""

    name: str
    begin: Callable[[Stack, Redis], object]
    end: Callable[[Stack, Redis], object]
    remedy: str


def _demote(_: Stack, admin: Redis) -> None:
    admin.replicaof("127.0.0.1", "1")


def _lose_the_disk(_: Stack, admin: Redis) -> None:
    shutil.rmtree(str(admin.config_get("dir")["dir"]))
    admin.config_set("save", "3600 1")
    admin.config_set("stop-writes-on-bgsave-error", "yes")
    wait_for("a snapshot fails", lambda: _has_failed_to_save(admin) or None)


def _has_failed_to_save(admin: Redis) -> bool:
    if admin.info("persistence")["rdb_last_bgsave_status"] == "err":
        return True
    if not admin.info("persistence")["rdb_bgsave_in_progress"]:
        admin.bgsave()
    return False


def _load_slowly(_: Stack, admin: Redis) -> None:
    admin.mset({f"somebody:{number}": "x" for number in range(KEYS)})
    admin.config_set("key-load-delay", str(LOAD_KEY_US))
    admin.config_set("loading-process-events-interval-bytes", "1024")
    threading.Thread(target=_reload, args=(admin,), daemon=True).start()


def _reload(admin: Redis) -> None:
    try:
        admin.execute_command("DEBUG", "RELOAD")
    except RedisError:  # its answer comes late
        return


def _stop_loading(_: Stack, admin: Redis) -> None:
    wait_for("it has loaded", lambda: _is_loaded(admin) or None)


def _is_loaded(admin: Redis) -> bool:
    try:
        admin.delete(*(f"somebody:{number}" for number in range(KEYS)))
    except RedisError:
        return False
    return True


def _acl(*rules: str) -> Callable[[Stack, Redis], object]:
    def change(_: Stack, admin: Redis) -> None:
        admin.execute_command("ACL", "SETUSER", "default", *rules)
        for client in admin.client_list(_type="normal"):
            if client["user"] == "default":
                admin.client_kill_filter(_id=client["id"])

    return change


def _config(**values: str) -> Callable[[Stack, Redis], object]:
    return lambda _, admin: [admin.config_set(name.replace("_", "-"), value) for name, value in values.items()]


TROUBLES = [
    Trouble("demoted", _demote, lambda _, admin: admin.execute_command("REPLICAOF", "NO", "ONE"), "primary"),
    Trouble("full", _config(maxmemory="1"), _config(maxmemory="0"), "maxmemory"),
    Trouble("may not pop", _acl("-brpop"), _acl("+brpop"), "all commands"),
    Trouble("may only ping", _acl("-@all", "+ping"), _acl("+@all"), "all commands"),
    Trouble("loading", _load_slowly, _stop_loading, "wait until it has started"),
    Trouble("dead", lambda s, _: s.launcher.end(BROKER, signal.SIGKILL), lambda s, _: s.start_broker(), "start Redis"),
    Trouble(
        "hung", lambda s, _: s.signal(BROKER, signal.SIGSTOP), lambda s, _: s.signal(BROKER, signal.SIGCONT), "start"
    ),
    Trouble("another password", _acl("resetpass", ">another"), _acl("resetpass", "nopass"), "correct REDIS_URL"),
    Trouble("disk full", _lose_the_disk, _config(stop_writes_on_bgsave_error="no", save=""), "make room"),
]


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """A stack of these tests' own: they change what its broker is and may."""
    stack = Stack(tmp_path_factory.mktemp("trouble"), settings={"LOG_FORMAT": "json"})
    stack.embedded.broker.extend(["--enable-debug-command", "yes"])
    try:
        stack.start()
        yield stack
    finally:
        stack.stop()


@pytest.fixture
def admin(stack: Stack) -> Iterator[Redis]:
    """A user whom no trouble concerns."""
    stack.redis.execute_command("ACL", "SETUSER", "chief", "on", ">made-up", "~*", "&*", "+@all")
    options = stack.redis.connection_pool.connection_kwargs
    with Redis(host=options["host"], port=options["port"], username="chief", password="made-up") as admin:
        yield admin


def _is_taking(admin: Redis) -> bool:
    """Say whether the worker waits for messages."""
    try:
        return any(client["cmd"] == "brpop" for client in admin.client_list())
    except RedisError:
        return False


def _is_steady(lines: list[str]) -> bool:
    """Say whether the worker has written that the broker is back since it last wrote that it is away."""
    changes = [line for line in lines if '"broker_away"' in line or '"broker_back"' in line]
    return not changes or '"broker_back"' in changes[-1]


@pytest.mark.parametrize("trouble", TROUBLES, ids=lambda trouble: trouble.name)
def test_a_worker_outlives_its_broker_and_works_meanwhile(
    stack: Stack, admin: Redis, trouble: Trouble, new_name: NewName
) -> None:
    wait_for("the worker takes messages", lambda: _is_taking(admin) or None)
    pid, before, logged = stack.launcher.pid(WORKER), stack.harbour.last_call(), len(stack.log_of(WORKER))
    anyone = stack.anyone()

    trouble.begin(stack, admin)
    anyone.follow(anyone.sign_up(new_name("ada")))
    trouble.end(stack, admin)

    wait_for("messages are taken again", lambda: _is_taking(admin) or None)
    wait_for("the log says so", lambda: _is_steady(stack.log_of(WORKER)) or None)
    anyone.follow(anyone.sign_up(new_name("ada")))
    lines = stack.log_of(WORKER)[logged:]
    assert stack.launcher.pid(WORKER) == pid, "it was started again"
    assert stack.harbour.writes(since=before) == Counter(SIGN_UP_WRITES) + Counter(SIGN_UP_WRITES)
    assert any(trouble.remedy in line for line in lines), lines
    causes = [json.loads(line)["why"] for line in lines if '"broker_away"' in line]
    assert len(causes) == len(set(causes)), "a line for each cause, and not for each try"
