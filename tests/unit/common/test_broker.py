"""Publishing never raises, whatever the broker or its address does, and in the API it keeps nobody waiting."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from socket import create_server

import pytest
from celery import Celery
from pydantic import SecretStr

from common.broker import BackgroundPublisher, Publisher, celery_app
from common.config.settings import CommonSettings
from common.jobs.lane_messages import LaneMessage

LANE = LaneMessage(job_id="01", kind="signup", steps=("create_gitlab_user", "join_gitlab_group"))
WITHIN_S = 30.0


def _app(url: str) -> Celery:
    """Return an app with this address, also one that the settings refuse."""
    app = celery_app(CommonSettings(_env_file=None, redis_url=SecretStr("redis://127.0.0.1:1/0")))
    app.conf.broker_url = url
    return app


@pytest.fixture
def silent() -> Iterator[str]:
    """A broker that takes the connection and never says a word."""
    with create_server(("127.0.0.1", 0)) as listener:
        yield f"redis://127.0.0.1:{listener.getsockname()[1]}/0"


@pytest.mark.parametrize(
    "url",
    [
        "redis://127.0.0.1:1/0",
        "redis://:canary#tail@host:6379/0",
        "redis://:ca[nary@host/0",
        "redis://host:canary/0",
        "redis://127.0.0.1/canary",
        "redis://127.0.0.1/0?canary=1",
        "sentinel://127.0.0.1:1",
        "sentinel://127.0.0.1/0?master_name=canary",
        "canary://host",
        "",
    ],
)
def test_a_message_that_cannot_be_sent_raises_nothing_and_quotes_nothing(
    url: str, caplog: pytest.LogCaptureFixture
) -> None:
    publisher = Publisher(_app(url))

    assert publisher.send([LANE, LANE]) == 0
    assert publisher.send([LANE]) == 0

    assert publisher.is_resting
    assert [record.message for record in caplog.records if record.name == "common.broker"] == ["broker_unreachable"]
    assert "canary" not in caplog.text + str([vars(record) for record in caplog.records])


def test_a_broker_that_cannot_be_asked_has_no_backlog_and_is_left_alone(caplog: pytest.LogCaptureFixture) -> None:
    publisher = Publisher(_app("redis://127.0.0.1:1/0"))

    assert (publisher.backlog(), publisher.backlog()) == (frozenset(), frozenset())

    assert publisher.is_resting
    assert [record.message for record in caplog.records if record.name == "common.broker"] == ["broker_unreachable"]


def test_a_broker_that_is_silent_is_left_alone_for_a_while(silent: str) -> None:
    publisher = BackgroundPublisher(_app(silent))

    assert publisher.send([LANE, LANE]) == 2

    _await(lambda: publisher.is_resting)
    assert publisher.send([LANE]) == 0


def test_nobody_waits_and_what_cannot_be_held_is_left_to_the_clocks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("common.broker.HELD", 3)
    begun, go_on = threading.Event(), threading.Event()

    class Slow(Publisher):
        def _send(self, _lane: LaneMessage) -> bool:
            begun.set()
            return go_on.wait(WITHIN_S)

    class SlowInBackground(BackgroundPublisher, Slow):
        pass

    publisher = SlowInBackground(_app("redis://127.0.0.1:1/0"))
    assert publisher.send([LANE]) == 1
    assert begun.wait(WITHIN_S)

    held = publisher.send([LANE] * 5)
    go_on.set()

    assert held == 3


def test_the_thread_that_sends_ends_when_it_has_nothing_to_send(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("common.broker.IDLE_S", 0.01)
    publisher = BackgroundPublisher(_app("redis://127.0.0.1:1/0"))
    before = set(threading.enumerate())

    assert publisher.send([LANE]) == 1

    _await(lambda: not [one for one in set(threading.enumerate()) - before if one.name == "publisher"])


def _await(look) -> None:  # type: ignore[no-untyped-def] # a predicate
    deadline_s = time.monotonic() + WITHIN_S
    while not look():
        assert time.monotonic() < deadline_s
        time.sleep(0.01)
