"""The status of an upstream as a row: doubt, outage, probes, pauses, and what each shows."""

from __future__ import annotations

from datetime import timedelta

import pytest
from support.world import Time

from common.admission import outages, refusals
from common.admission.outages import Hold, HoldCode, Probe
from common.admission.refusals import Cause
from common.database.engine import Database
from common.database.models import UpstreamStatus
from common.workflows import Upstream

GITLAB, JENKINS = Upstream.GITLAB, Upstream.JENKINS
CAUSE = Cause(cause="GitLab refuses our token", remedy="put a new one", is_write=False)


def _status(db: Database, upstream: Upstream = GITLAB) -> UpstreamStatus:
    return db.read(lambda session: outages.read(session)[upstream])


def _fail(db: Database, time: Time, *, enough: int = 3, upstream: Upstream = GITLAB, reason: str = "no answer") -> None:
    outages.record_unavailable(db, upstream, reason, time(), enough=enough)


def _due(db: Database, time: Time) -> list[Probe]:
    return db.read(lambda session: outages.due_probes(session, time()))


def _claimed(db: Database, time: Time) -> Probe:
    (due,) = _due(db, time)
    claimed = outages.claim_probe(db, due, time())
    assert claimed is not None
    return claimed


def _hold(db: Database, login: str | None = None) -> Hold | None:
    return outages.hold_on(_status(db), login)


# -- doubt --------------------------------------------------------------------------------------------------------


def test_a_probe_is_due_after_enough_failures_in_a_row_and_not_before(db: Database, time: Time) -> None:
    for count in (1, 2):
        _fail(db, time)
        assert (_status(db).failures, _status(db).look_at, _hold(db)) == (count, None, None)
    assert _status(db).reason == "no answer"

    _fail(db, time, reason="x" * 600)

    assert (_status(db).look_at, _status(db).reason) == (time(), "x" * outages.REASON_CHARACTERS)
    hold = _hold(db)
    assert hold is not None
    assert (hold.code, hold.cause) == (HoldCode.OUTAGE, "GitLab is not answering")
    assert hold.reason == "GitLab is not answering. The step continues by itself once it does."
    first = time()
    time.advance(1)
    _fail(db, time)
    assert _status(db).look_at == first  # those that were under way change nothing


def test_no_number_of_failures_is_enough_where_probing_is_off(db: Database, time: Time) -> None:
    for _ in range(5):
        _fail(db, time, enough=0)

    assert (_status(db).failures, _status(db).look_at) == (5, None)


def test_one_failure_may_be_enough(db: Database, time: Time) -> None:
    _fail(db, time, enough=1)

    assert _status(db).look_at == time()


def test_an_answer_ends_the_row_of_failures_of_its_upstream_alone(db: Database, time: Time) -> None:
    for upstream in (GITLAB, JENKINS):
        _fail(db, time, upstream=upstream)

    outages.record_answer(db, (GITLAB,))

    assert [(_status(db, each).failures, _status(db, each).reason) for each in (GITLAB, JENKINS)] == [
        (0, None), (1, "no answer")
    ]  # fmt: skip


def test_an_answer_to_a_step_does_not_open_what_a_probe_has_to_open(db: Database, time: Time) -> None:
    _fail(db, time, enough=1)

    outages.record_answer(db, (GITLAB,))

    assert (_status(db).failures, _status(db).look_at) == (1, time())


# -- probes -------------------------------------------------------------------------------------------------------


def test_a_probe_belongs_to_one_worker_until_its_time_is_over(db: Database, time: Time) -> None:
    _fail(db, time, enough=1)
    (due,) = _due(db, time)

    claimed = outages.claim_probe(db, due, time())

    assert claimed is not None
    assert (claimed.upstream, claimed.due_at) == (GITLAB, time() + timedelta(seconds=outages.PROBE_LEASE_S))
    assert outages.claim_probe(db, due, time()) is None
    assert _due(db, time) == []
    time.advance(outages.PROBE_LEASE_S)
    heir = _claimed(db, time)
    assert not outages.mark_up(db, claimed, time())
    assert not outages.mark_down(db, claimed, "late", time())
    assert _status(db).down_since is None
    assert outages.mark_up(db, heir, time())


def test_a_probe_of_one_upstream_is_none_of_another(db: Database, time: Time) -> None:
    for upstream in (GITLAB, JENKINS):
        _fail(db, time, enough=1, upstream=upstream)
    (gitlab,) = [probe for probe in _due(db, time) if probe.upstream is GITLAB]

    claimed = outages.claim_probe(db, gitlab, time())

    assert claimed is not None
    assert [probe.upstream for probe in _due(db, time)] == [JENKINS]
    assert outages.mark_up(db, claimed, time())
    assert _status(db, JENKINS).failures == 1


def test_the_pauses_between_probes_in_vain_grow_and_stay_at_the_last_one(db: Database, time: Time) -> None:
    _fail(db, time, enough=1)
    began = time()
    for number, pause_s in enumerate([*outages.PROBE_PAUSES_S, outages.PROBE_PAUSES_S[-1]]):
        assert outages.mark_down(db, _claimed(db, time), "y" * 600, time())
        status = _status(db)
        assert (status.looks, status.down_since, len(status.reason or "")) == (number + 1, began, 500)
        assert status.look_at == time() + timedelta(seconds=pause_s)
        time.advance(pause_s - 0.001)
        assert _due(db, time) == []
        time.advance(0.001)


@pytest.mark.parametrize("was_down", [True, False])
def test_a_probe_that_is_answered_opens_the_upstream(db: Database, time: Time, was_down: bool) -> None:
    _fail(db, time, enough=1)
    if was_down:
        outages.mark_down(db, _claimed(db, time), "r", time())
        time.advance(outages.PROBE_PAUSES_S[0])
    assert db.read(lambda session: outages.is_down(session, GITLAB)) is was_down

    assert outages.mark_up(db, _claimed(db, time), time())

    status = _status(db)
    assert (status.failures, status.looks, status.reason, status.look_at, status.down_since) == (0, 0, None, None, None)
    assert status.open_since == (time() if was_down else None)
    assert not db.read(lambda session: outages.is_down(session, GITLAB))


def test_an_upstream_that_nobody_has_used_is_not_down(db: Database) -> None:
    assert not db.read(lambda session: outages.is_down(session, GITLAB))


@pytest.mark.parametrize(("back_s", "is_due"), [(0.0, False), (0.001, True)])
def test_a_probe_that_is_planned_for_too_late_is_due(db: Database, time: Time, back_s: float, is_due: bool) -> None:
    _fail(db, time, enough=1)
    time.advance(-outages.LOOK_AHEAD_S - back_s)

    assert bool(_due(db, time)) is is_due


# -- pauses -------------------------------------------------------------------------------------------------------


def test_a_pause_shows_who_and_why_and_keeps_its_beginning(db: Database, time: Time) -> None:
    began = time()
    outages.pause(db, GITLAB, by="ada", reason="Upgrade.", now=time())
    time.advance(1)

    outages.pause(db, GITLAB, by="bob", reason="Longer.", now=time())

    status = _status(db)
    assert (status.paused_at, status.paused_by, status.pause_reason) == (began, "bob", "Longer.")
    assert _hold(db) == Hold(code=HoldCode.PAUSED, reason="GitLab is paused by bob: Longer.")


def test_what_is_resumed_is_open_since_then_and_what_was_not_paused_is_not(db: Database, time: Time) -> None:
    _fail(db, time)
    outages.resume(db, GITLAB, time())
    assert _status(db).open_since is None
    outages.pause(db, GITLAB, by="ada", reason="Upgrade.", now=time())
    time.advance(1)

    outages.resume(db, GITLAB, time())

    status = _status(db)
    assert (status.open_since, status.paused_at, status.paused_by, status.pause_reason) == (time(), None, None, None)
    assert _hold(db) is None


def test_a_resumption_ends_a_hold_by_refusal(db: Database, time: Time) -> None:
    _fail(db, time)
    refusals.hold(db, GITLAB, "login", CAUSE, time())

    outages.resume(db, GITLAB, time())

    assert _hold(db, "login") is None


# -- which hold counts --------------------------------------------------------------------------------------------


def test_a_refusal_holds_its_login_alone_except_for_its_trial_and_shows_to_people_all_the_time(
    db: Database, time: Time
) -> None:
    _fail(db, time)
    refusals.hold(db, GITLAB, "login", CAUSE, time())
    hold = _hold(db, "login")
    assert hold is not None
    assert (hold.code, hold.cause, _hold(db, "another")) == (HoldCode.REFUSED, CAUSE.cause, None)
    assert hold == _hold(db)
    assert hold.since == time()
    assert hold.reason.startswith(f"{CAUSE.cause}. The platform team has been notified.")

    (row,) = db.read(refusals.held)
    refusals.begin_trial(db, row, time())

    assert (_hold(db, "login"), _hold(db)) == (None, hold)


def test_only_the_named_upstreams_are_read(db: Database, time: Time) -> None:
    for upstream in (GITLAB, JENKINS):
        _fail(db, time, upstream=upstream)

    assert set(db.read(lambda session: outages.read(session, (JENKINS,)))) == {"jenkins"}
    assert set(db.read(outages.read)) == {"gitlab", "jenkins"}
