"""A Celery consumer that only takes tasks and exchanges nothing with other workers, whatever its options."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from celery.worker.consumer import Consumer

# Gossip and mingle cost a second of start-up; the heartbeat's publish can stall a worker while the broker is away.
LEAN = {"without_gossip": True, "without_mingle": True, "without_heartbeat": True}


class LeanConsumer(Consumer):  # type: ignore[misc] # Celery ships no types
    """Celery's own, as with `--without-gossip --without-mingle --without-heartbeat`."""

    def __init__(self, *args: Any, worker_options: Mapping[str, Any] | None = None, **kwargs: Any) -> None:
        super().__init__(*args, worker_options={**(worker_options or {}), **LEAN}, **kwargs)
