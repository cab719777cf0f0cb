"""What a worker shows of its way to the broker."""

from __future__ import annotations

from support.captured_telemetry import samples_of

from common.telemetry import metrics
from worker.broker_link import BrokerLink


def test_the_gauge_says_whether_messages_come() -> None:
    link, shown = BrokerLink(), []

    for happens in (lambda: link.lost(ConnectionRefusedError()), link.regained, lambda: link.lost(TimeoutError())):
        happens()
        shown.append(samples_of(metrics.WORKER_BROKER_UP.collect())["slipway_worker_broker_up",])

    assert shown == [0, 1, 0]
