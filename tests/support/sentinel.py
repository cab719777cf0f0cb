"""A sentinel that watches a Redis of a test and promotes its replica within seconds."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from redis import Redis
from redis.exceptions import RedisError

from support.redis_server import HOST, RedisServer, ports
from support.services import free_port

MASTER = "slipway-master"
SENTINEL_PASSWORD = "of-the-sentinel"
WITHIN_S = 60.0


@contextmanager
def sentinel(directory: Path, master: RedisServer, *, certificates: Path | None = None) -> Iterator[str]:
    """Watch a master that has a replica; yields the sentinel's address. `certificates` as for the master."""
    directory.mkdir()
    port, file = free_port(), directory / "sentinel.conf"
    watched = f"sentinel monitor {MASTER} {HOST} {master.port} 1\n"
    pace = f"sentinel down-after-milliseconds {MASTER} 500\nsentinel failover-timeout {MASTER} 3000\n"
    file.write_text(f"bind {HOST}\ndir {directory}\nrequirepass {SENTINEL_PASSWORD}\n{watched}{pace}")
    command = ["redis-server", str(file), "--sentinel", *ports(port, certificates)]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    trust: dict[str, Any] = {"ssl": True, "ssl_ca_certs": str(certificates / "ca.pem")} if certificates else {}
    try:
        with Redis(host=HOST, port=port, password=SENTINEL_PASSWORD, **trust) as client:
            wait_until(lambda: _knows_a_replica(client))
        yield f"{'sentinels' if certificates else 'sentinel'}://{HOST}:{port}/0"
    finally:
        process.kill()
        process.wait(10)


def _knows_a_replica(client: Redis) -> bool:
    try:
        return bool(client.sentinel_slaves(MASTER))
    except RedisError:
        return False


def wait_until(look: Callable[[], bool], *, within_s: float = WITHIN_S) -> None:
    """Look again and again until it is so; fail when it is not in time."""
    deadline_s = time.monotonic() + within_s
    while not look():
        assert time.monotonic() < deadline_s
        time.sleep(0.05)
