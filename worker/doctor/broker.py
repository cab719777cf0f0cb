"""Is the broker there, and does it keep what it is given?  Losing all of it delays jobs and loses none."""

from __future__ import annotations

from typing import Any

from kombu.exceptions import OperationalError
from redis.exceptions import RedisError

from common.broker import celery_app
from common.config.settings import WorkerSettings
from worker.upstreams.check import Check, CheckFailedError, Untold

CALL_S = 3.0
FULL = 0.9  # of the memory that it may use
_HIDDEN = "ask whoever runs the server; or let our user run INFO and CONFIG GET"


class BrokerChecks:
    def __init__(self, settings: WorkerSettings) -> None:
        self._app = celery_app(settings, publishing_s=CALL_S)

    def table(self) -> tuple[Check, ...]:
        return (
            Check(
                name="answers",
                question="Does the broker answer at REDIS_URL?",
                remedy="start Redis, or correct REDIS_URL; redis-cli -u REDIS_URL ping must say PONG",
                look=self._answers,
            ),
            Check(
                name="eviction",
                question="Does it keep every message, however full it is?",
                remedy="redis-cli CONFIG SET maxmemory-policy noeviction, and the same in redis.conf",
                look=self._eviction,
                needs=("answers",),
            ),
            Check(
                name="persistence",
                question="Do messages outlive its restart?",
                remedy="redis-cli CONFIG SET appendonly yes, and the same in redis.conf; without it, what was on its "
                "way at a restart waits for the clock",
                look=self._persistence,
                needs=("answers",),
            ),
            Check(
                name="room",
                question="Does it have room for messages?",
                remedy="redis-cli FLUSHALL: workers send again what is due. Then see who fills it, or raise maxmemory",
                look=self._room,
                needs=("answers",),
            ),
        )

    def _answers(self) -> str:
        try:
            self._asked(lambda client: client.ping())
        except (OperationalError, RedisError, OSError) as error:
            if any(word in str(error).lower() for word in ("auth", "password")):
                raise CheckFailedError("it refuses the password", "correct user and password in REDIS_URL") from None
            raise CheckFailedError("it cannot be reached") from None
        return "it does"

    def _eviction(self) -> str:
        memory = self._told("memory")
        policy = str(memory.get("maxmemory_policy", "")) or self._configured("maxmemory-policy")
        if policy != "noeviction":
            raise CheckFailedError(f"its policy is {policy}: it throws messages away when it is full")
        return policy

    def _persistence(self) -> str:
        if self._told("persistence").get("aof_enabled"):
            return "append-only file"
        if not self._configured("save"):
            raise CheckFailedError("neither an append-only file nor snapshots are on")
        return "snapshots"

    def _room(self) -> str:
        memory = self._told("memory")
        used, most = int(memory.get("used_memory", 0)), int(memory.get("maxmemory", 0))
        if most and used >= FULL * most:
            raise CheckFailedError(f"{used:,} of {most:,} bytes are taken: it refuses messages when it is full")
        return f"{used:,} of {most:,} bytes taken" if most else "as much as its host has"

    def _told(self, section: str) -> dict[str, Any]:
        try:
            told: dict[str, Any] = self._asked(lambda client: dict(client.info(section)))
        except (OperationalError, RedisError, OSError):
            raise Untold("the server hides its state", _HIDDEN) from None
        return told

    def _configured(self, name: str) -> str:
        try:
            return str(self._asked(lambda client: client.config_get(name)).get(name, ""))
        except (OperationalError, RedisError, OSError):
            raise Untold("the server hides its configuration", _HIDDEN) from None

    def _asked(self, question: Any) -> Any:
        with self._app.connection_for_write() as connection:
            connection.ensure_connection(max_retries=1, interval_start=0, timeout=CALL_S)
            return question(connection.default_channel.client)
