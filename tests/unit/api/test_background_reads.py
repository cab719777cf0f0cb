"""What a read for the metrics that fails again and again leaves in the log."""

from __future__ import annotations

from concurrent.futures import Future
from typing import Any

from redis.exceptions import ConnectionError as NotReached
from support.captured_telemetry import heard

from api.monitoring.backlog import CACHE_S, BackgroundRead, Samples


class AtOnce:
    """An executor that runs what it gets in the thread that hands it over."""

    def submit(self, work: Any) -> Future[Any]:
        done: Future[Any] = Future()
        done.set_result(work())
        return done


def test_each_time_that_the_broker_is_away_is_one_line_however_often_metrics_are_read() -> None:
    away, now_s = iter((True, True, True, False, False, True, True)), 0.0

    def ask() -> Samples:
        if next(away):
            raise NotReached("connection refused")
        return []

    read, shown = BackgroundRead(AtOnce(), ask, clock_s=lambda: now_s), []  # type: ignore[arg-type] # as good
    with heard() as lines:
        for _ in range(7):
            shown.append(read.start().result())
            now_s += CACHE_S

    assert shown == [None, None, None, [], [], None, None]
    assert [line["event"] for line in lines] == ["backlog_read_failed"] * 2
