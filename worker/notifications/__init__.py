"""Sending notifications: a thread for each target, and the heartbeat that a dead man's switch waits for."""

from __future__ import annotations

from collections.abc import Iterator

from common.config.settings import WorkerSettings
from common.database.engine import Database
from common.notifications import queues
from worker.notifications.dead_mans_switch import DeadMansSwitch
from worker.notifications.dispatcher import Dispatcher
from worker.notifications.sender import Sender, target_of
from worker.notifications.signature import Signer
from worker.periodic import PeriodicThread

EVERY_S = 1.0
ASKS_EVERY_S = 5.0


def threads(db: Database, config: WorkerSettings) -> Iterator[PeriodicThread]:
    """Return the threads that these settings ask for; none without targets."""
    sender = Sender(config.webhook_networks, ca_file=config.webhook_ca_file)
    targets = {target_of(url): url for url in config.webhook_targets}
    if targets:
        outbox = queues.Outbox(db, list(targets))
        yield PeriodicThread("outbox", outbox.distribute, every_s=EVERY_S)
    signer = Signer(config.webhook_keys)
    for target, url in targets.items():
        yield PeriodicThread("webhook", Dispatcher(db, target, url, sender, signer).run, every_s=EVERY_S)
    if config.heartbeat_url:
        url = config.heartbeat_url.get_secret_value()
        yield PeriodicThread("dead_mans_switch", DeadMansSwitch(db, url, sender).run, every_s=ASKS_EVERY_S)
