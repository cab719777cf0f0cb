"""The doctor's checks of the broker: reachable, and set up to keep messages. A lost message only delays a job."""

from __future__ import annotations

from typing import Any

from kombu.exceptions import OperationalError
from redis.exceptions import RedisError

from common.broker import celery_app
from common.config.settings import WorkerSettings
from worker.upstreams.check import Check, CheckFailedError, CheckInconclusiveError

CALL_S = 3.0
FULL = 0.9  # of the memory that it may use
_HIDDEN = "give our user the right to run INFO and CONFIG GET; or ask the people who run the server"


class BrokerChecks:
    def __init__(self, settings: WorkerSettings) -> None:
        self._app = celery_app(settings, publishing_s=CALL_S)

    def all(self) -> tuple[Check, ...]:
        return (
            Check(
                name="answers",
                question="Does the broker answer at REDIS_URL?",
                remedy="start Redis, or correct REDIS_URL; redis-cli -u REDIS_URL ping must say PONG",
                run=self._answers,
            ),
            Check(
                name="eviction",
                question="Does it keep every message when its memory is full?",
                remedy="redis-cli CONFIG SET maxmemory-policy noeviction, and the same in redis.conf",
                run=self._eviction,
                needs=("answers",),
            ),
            Check(
                name="persistence",
                question="Does it keep messages over a restart?",
                remedy="redis-cli CONFIG SET appendonly yes, and the same in redis.conf; without it, "
                "messages that a restart loses are sent again by the workers' clock",
                run=self._persistence,
                needs=("answers",),
            ),
            Check(
                name="room",
                question="Does it have free memory for messages?",
                remedy="redis-cli FLUSHALL: workers send again what is due. Then find out what fills it, or raise "
                "maxmemory",
                run=self._room,
                needs=("answers",),
            ),
        )

    def _answers(self) -> str:
        try:
            self._call(lambda client: client.ping())
        except (OperationalError, RedisError, OSError) as error:
            if any(word in str(error).lower() for word in ("auth", "password")):
                raise CheckFailedError(
                    "it refuses the password", "correct the user and the password in REDIS_URL"
                ) from None
            raise CheckFailedError("it cannot be reached") from None
        return "PONG"

    def _eviction(self) -> str:
        memory = self._info("memory")
        policy = str(memory.get("maxmemory_policy", "")) or self._configured("maxmemory-policy")
        if policy != "noeviction":
            raise CheckFailedError(f"its policy is {policy}, so it drops messages when its memory is full")
        return policy

    def _persistence(self) -> str:
        if self._info("persistence").get("aof_enabled"):
            return "append-only file"
        if not self._configured("save"):
            raise CheckFailedError("neither an append-only file nor snapshots are enabled")
        return "snapshots"

    def _room(self) -> str:
        memory = self._info("memory")
        used, most = int(memory.get("used_memory", 0)), int(memory.get("maxmemory", 0))
        if most and used >= FULL * most:
            raise CheckFailedError(f"{used:,} of {most:,} bytes are used: it refuses messages when its memory is full")
        return f"{used:,} of {most:,} bytes used" if most else "no limit but its host's memory"

    def _info(self, section: str) -> dict[str, Any]:
        try:
            info: dict[str, Any] = self._call(lambda client: dict(client.info(section)))
        except (OperationalError, RedisError, OSError):
            raise CheckInconclusiveError("the server does not show its state", _HIDDEN) from None
        return info

    def _configured(self, name: str) -> str:
        try:
            return str(self._call(lambda client: client.config_get(name)).get(name, ""))
        except (OperationalError, RedisError, OSError):
            raise CheckInconclusiveError("the server does not show its configuration", _HIDDEN) from None

    def _call(self, question: Any) -> Any:
        with self._app.connection_for_write() as connection:
            connection.ensure_connection(max_retries=1, interval_start=0, timeout=CALL_S)
            return question(connection.default_channel.client)
