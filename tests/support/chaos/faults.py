"""The faults: whom they meet, how they begin and how they end. Every row of `FAULTS` becomes rounds of its own."""

from __future__ import annotations

import signal
import time
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from functools import partial

from support.chaos.installation import BROKER, Installation
from support.stack import wait_for


class Party(StrEnum):
    WORKER = "worker"
    BROKER = "broker"
    DATABASE = "database"


@dataclass(frozen=True, kw_only=True)
class Fault:
    """`begin` gets the worker that it may meet. `lasts_s` is between its begin and its end."""

    name: str
    party: Party
    begin: Callable[[Installation, str], None]
    end: Callable[[Installation, str], None] = lambda _installation, _worker: None
    lasts_s: float = 0.0
    is_quick: bool = False  # also in the short run
    may_lose_attempts: bool = True  # False: every worker lives and can find out, so none may be taken for dead


# -- workers ------------------------------------------------------------------------------------------------------


def _lose(installation: Installation, worker: str) -> None:
    """Its host is gone: nobody there starts it again, or sees that it died."""
    installation.launcher.end(worker, signal.SIGKILL)


def _kill(installation: Installation, worker: str) -> None:
    installation.signal(worker, signal.SIGKILL)


def _start(installation: Installation, worker: str) -> None:
    installation.start_worker(worker)


def _signalled(number: signal.Signals) -> Callable[[Installation, str], None]:
    return lambda installation, worker: installation.signal(worker, number)


ZOMBIE_S = 14.0  # beyond the lease

# -- the broker ---------------------------------------------------------------------------------------------------


def _broker(number: signal.Signals) -> Callable[[Installation, str], None]:
    return lambda installation, _worker: installation.signal(BROKER, number)


def _broker_away(installation: Installation, _worker: str) -> None:
    installation.launcher.end(BROKER, signal.SIGKILL)


def _broker_back(installation: Installation, _worker: str) -> None:
    installation.start_broker()


def _flush(installation: Installation, _worker: str) -> None:
    installation.redis.flushall()


def _swallow_broker(installation: Installation, _worker: str) -> None:
    for relay in installation.to_broker():
        relay.swallow()


def _heal_broker(installation: Installation, _worker: str) -> None:
    for relay in installation.to_broker():
        relay.heal()


def _demote_broker(installation: Installation, _worker: str) -> None:
    installation.redis.execute_command("REPLICAOF", "127.0.0.1", "1")


def _promote_broker(installation: Installation, _worker: str) -> None:
    installation.redis.execute_command("REPLICAOF", "NO", "ONE")


def _fill_broker(installation: Installation, _worker: str) -> None:
    installation.redis.config_set("maxmemory", "1")


def _empty_broker(installation: Installation, _worker: str) -> None:
    installation.redis.config_set("maxmemory", "0")


def _forbid_broker(installation: Installation, _worker: str) -> None:
    """Take commands away, as an operator's slip does: it answers NOPERM."""
    installation.redis.execute_command("ACL", "SETUSER", "default", "-@write", "-@blocking")


def _allow_broker(installation: Installation, _worker: str) -> None:
    installation.redis.execute_command("ACL", "SETUSER", "default", "+@all")


# -- the database -------------------------------------------------------------------------------------------------


def _kill_database(installation: Installation, _worker: str) -> None:
    installation.primary.end(signal.SIGKILL)


def _start_database(installation: Installation, _worker: str) -> None:
    installation.primary.start()


def _restart_database(installation: Installation, _worker: str) -> None:
    installation.primary.end(signal.SIGTERM)


def _stop_database(installation: Installation, _worker: str) -> None:
    installation.primary.signal(signal.SIGSTOP)


def _continue_database(installation: Installation, _worker: str) -> None:
    installation.primary.signal(signal.SIGCONT)


def _lock_database(installation: Installation, _worker: str) -> None:
    installation.primary.run("SET GLOBAL read_only = 1")


def _unlock_database(installation: Installation, _worker: str) -> None:
    installation.primary.run("SET GLOBAL read_only = 0")


def _fail_over(installation: Installation, _worker: str) -> None:
    """Promote the second server; connections to the first one, which refuses writes now, stay open."""
    old, new = installation.primary, installation.secondary
    old.run("SET GLOBAL read_only = 1")
    new.promote(old)
    installation.primary, installation.secondary = new, old
    for relay in installation.to_database():
        relay.point_at(new.port)


def _follow_again(installation: Installation, _worker: str) -> None:
    """Let the old server follow the new one, as after a failover that was repaired."""
    old, new = installation.secondary, installation.primary
    position = old.run("SELECT @@gtid_binlog_pos AS position")[0]["position"]
    old.run("SET GLOBAL gtid_slave_pos = %s", position)
    old.follow(new)


def _refuse_connections(installation: Installation, _worker: str) -> None:
    """Leave no connection free: what is open is cut, and none comes in its place."""
    installation.primary.run("SET GLOBAL max_connections = 10")
    for relay in installation.to_database():
        relay.cut()


def _allow_connections(installation: Installation, _worker: str) -> None:
    wait_for(
        "an administrator gets in", lambda: installation.primary.run("SET GLOBAL max_connections = 300") is not None
    )


def _swallow_database(installation: Installation, _worker: str) -> None:
    for relay in installation.to_database():
        relay.swallow()


def _heal_database(installation: Installation, _worker: str) -> None:
    for relay in installation.to_database():
        relay.heal()


def _lose_commits(*, is_done: bool) -> Callable[[Installation, str], None]:
    def begin(installation: Installation, _worker: str) -> None:
        installation.relays["worker-database"].lose_commits(12, is_done=is_done)

    return begin


_of_worker = partial(Fault, party=Party.WORKER)
_of_broker = partial(Fault, party=Party.BROKER, may_lose_attempts=False)
_of_database = partial(Fault, party=Party.DATABASE)
_of_commits = partial(_of_database, may_lose_attempts=False, lasts_s=3.0, end=_heal_database)
_stop, _continue = _signalled(signal.SIGSTOP), _signalled(signal.SIGCONT)

FAULTS = (
    _of_worker(name="host lost", begin=_lose, end=_start, lasts_s=12.0, is_quick=True),
    _of_worker(name="worker killed", begin=_kill),
    _of_worker(name="worker stopped beyond its lease", begin=_stop, end=_continue, lasts_s=ZOMBIE_S, is_quick=True),
    _of_worker(name="worker told to end", begin=_signalled(signal.SIGTERM)),
    _of_broker(name="broker killed", begin=_broker(signal.SIGKILL)),
    _of_broker(name="broker away", begin=_broker_away, end=_broker_back, lasts_s=6.0),
    _of_broker(name="broker flushed", begin=_flush),
    _of_broker(name="broker hung", begin=_broker(signal.SIGSTOP), end=_broker(signal.SIGCONT), lasts_s=8.0),
    _of_broker(name="broker half-open", begin=_swallow_broker, end=_heal_broker, lasts_s=8.0),
    _of_broker(name="broker demoted", begin=_demote_broker, end=_promote_broker, lasts_s=6.0, is_quick=True),
    _of_broker(name="broker full", begin=_fill_broker, end=_empty_broker, lasts_s=6.0),
    _of_broker(name="broker forbids", begin=_forbid_broker, end=_allow_broker, lasts_s=6.0),
    _of_database(name="database killed", begin=_kill_database, end=_start_database, lasts_s=2.0, is_quick=True),
    _of_database(name="database restarted", begin=_restart_database, end=_start_database),
    _of_database(name="database hung", begin=_stop_database, end=_continue_database, lasts_s=8.0),
    _of_database(name="database read-only", begin=_lock_database, end=_unlock_database, lasts_s=5.0),
    _of_database(name="database demoted", begin=_fail_over, end=_follow_again, is_quick=True),
    _of_database(name="database out of connections", begin=_refuse_connections, end=_allow_connections, lasts_s=5.0),
    _of_database(name="database half-open", begin=_swallow_database, end=_heal_database, lasts_s=8.0),
    _of_commits(name="commits lost before they arrive", begin=_lose_commits(is_done=False)),
    _of_commits(name="commits lost after they are done", begin=_lose_commits(is_done=True), is_quick=True),
)


def wait_s(seconds: float) -> None:
    """Let a fault last: its length is what is tested, nothing is synchronised by it."""
    time.sleep(seconds)
