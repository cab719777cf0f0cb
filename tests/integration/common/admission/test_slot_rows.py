"""How many steps at once may visit an upstream now."""

from __future__ import annotations

from datetime import timedelta

import pytest
from support.world import Time

from common import horizons
from common.admission import slots
from common.admission.slots import RAMP_S, UpstreamLimits
from common.database.models import Refusal, UpstreamStatus
from common.workflows import Upstream

LIMIT = UpstreamLimits(at_once=8, login="us")


def _status(**columns: object) -> UpstreamStatus:
    return UpstreamStatus(name=Upstream.GITLAB, failures=0, looks=0, **columns)


def test_all_slots_may_be_used_of_what_has_always_been_open(time: Time) -> None:
    assert slots.allowed_at(LIMIT, None, time()) == slots.allowed_at(LIMIT, _status(), time()) == 8


@pytest.mark.parametrize(
    ("after_s", "allowed"),
    [(0, 1), (RAMP_S - 0.001, 1), (RAMP_S, 2), (2 * RAMP_S, 4), (3 * RAMP_S, 8), (99 * RAMP_S, 8), (-1, 1)],
)
def test_few_go_at_first_after_an_outage_and_twice_as_many_in_each_period(
    time: Time, after_s: float, allowed: int
) -> None:
    status = _status(open_since=time() - timedelta(seconds=after_s))

    assert slots.allowed_at(LIMIT, status, time()) == allowed


@pytest.mark.parametrize(("ahead_s", "allowed"), [(0.0, 1), (0.001, 8)])
def test_an_opening_of_the_future_holds_nobody_back(time: Time, ahead_s: float, allowed: int) -> None:
    status = _status(open_since=time() + timedelta(seconds=horizons.SKEW_S + ahead_s))

    assert slots.allowed_at(LIMIT, status, time()) == allowed


def test_the_end_of_our_own_hold_counts_if_it_came_later_and_that_of_others_does_not(time: Time) -> None:
    ours = Refusal(upstream="gitlab", login="us", over_at=time())
    others = Refusal(upstream="gitlab", login="others", over_at=time())
    opened = time() - timedelta(seconds=RAMP_S)

    assert slots.allowed_at(LIMIT, _status(open_since=opened, refusals=[ours]), time()) == 1
    assert slots.allowed_at(LIMIT, _status(open_since=opened, refusals=[others]), time()) == 2


def test_one_step_at_a_time_goes_in_a_trial_of_our_login(time: Time) -> None:
    trial = Refusal(upstream="gitlab", login="us", since=time(), trial_since=time())

    assert slots.allowed_at(LIMIT, _status(refusals=[trial]), time()) == 1
    assert slots.allowed_at(UpstreamLimits(at_once=8, login="others"), _status(refusals=[trial]), time()) == 8
