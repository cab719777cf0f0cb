"""Holds by refusal as rows: begun once, checked by one worker, tried, ended, forgotten."""

from __future__ import annotations

from datetime import timedelta

import pytest
from sqlalchemy import select
from support.world import Time

from common import horizons
from common.admission import outages, refusals
from common.admission.refusals import PAUSES_S, Cause
from common.database.engine import Database
from common.database.models import Refusal
from common.workflows import Upstream

GITLAB, JENKINS = Upstream.GITLAB, Upstream.JENKINS
READ = Cause(cause="GitLab refuses our token", remedy="put a new one", is_write=False)
WRITE = Cause(cause="GitLab is read-only", remedy="end its maintenance", is_write=True)
US = {GITLAB: "us"}


def _hold(db: Database, time: Time, found: Cause = READ, *, login: str = "us", upstream: Upstream = GITLAB) -> bool:
    return refusals.hold(db, upstream, login, found, time())


def _row(db: Database) -> Refusal:
    (row,) = db.read(refusals.held)
    return row


def _due(db: Database, time: Time) -> list[Refusal]:
    return db.read(lambda session: refusals.due(session, US, time()))


def _claimed(db: Database, time: Time) -> Refusal:
    (due,) = _due(db, time)
    claimed = refusals.claim_check(db, due, time())
    assert claimed is not None
    return claimed


def _trial(db: Database, time: Time) -> Refusal:
    time.advance(PAUSES_S[0])
    refusals.begin_trial(db, _claimed(db, time), time())
    return _row(db)


def test_a_hold_begins_once_with_its_cause_and_its_first_check(db: Database, time: Time) -> None:
    long = Cause(cause="c" * 600, remedy="r" * 600, is_write=True)
    assert _hold(db, time, long)
    began = time()
    time.advance(1)
    assert not _hold(db, time, READ)  # of a step that was under way

    row = _row(db)
    assert (row.since, row.look_at, row.looks) == (began, began + timedelta(seconds=PAUSES_S[0]), 0)
    assert (row.cause, row.remedy, row.is_write, row.trial_since) == ("c" * 500, "r" * 500, True, None)


def test_a_hold_that_was_over_begins_anew(db: Database, time: Time) -> None:
    _hold(db, time, WRITE)
    time.advance(PAUSES_S[0])
    refusals.check_failed(db, _claimed(db, time), time())
    assert refusals.end(db, _row(db), time(), is_accepted=True)
    time.advance(1)

    assert _hold(db, time, READ)

    row = _row(db)
    assert (row.since, row.looks, row.cause, row.is_write) == (time(), 0, READ.cause, False)


def test_a_check_belongs_to_one_worker_until_its_time_is_over(db: Database, time: Time) -> None:
    _hold(db, time)
    assert _due(db, time) == []
    time.advance(PAUSES_S[0])
    (seen,) = _due(db, time)
    (seen_by_another,) = _due(db, time)

    claimed = refusals.claim_check(db, seen, time())

    assert claimed is not None
    assert claimed.look_at == _row(db).look_at == time() + timedelta(seconds=refusals.CHECK_LEASE_S)
    assert refusals.claim_check(db, seen_by_another, time()) is None
    time.advance(refusals.CHECK_LEASE_S)
    assert refusals.claim_check(db, _due(db, time)[0], time()) is not None
    refusals.check_failed(db, claimed, time())
    refusals.begin_trial(db, claimed, time())
    assert (_row(db).looks, _row(db).trial_since) == (0, None)  # the late report changes nothing


def test_the_pauses_between_checks_in_vain_grow_and_stay_at_the_last_one(db: Database, time: Time) -> None:
    _hold(db, time)
    time.advance(PAUSES_S[0])
    for looks, pause_s in enumerate([*PAUSES_S[1:], PAUSES_S[-1]], start=1):
        refusals.check_failed(db, _claimed(db, time), time())
        assert (_row(db).looks, _row(db).look_at) == (looks, time() + timedelta(seconds=pause_s))
        time.advance(pause_s)


@pytest.mark.parametrize(("back_s", "is_due"), [(0.0, False), (0.001, True)])
def test_a_check_that_is_planned_for_too_late_is_due(db: Database, time: Time, back_s: float, is_due: bool) -> None:
    _hold(db, time)
    time.advance(PAUSES_S[0] - PAUSES_S[-1] - horizons.SKEW_S - back_s)

    assert bool(_due(db, time)) is is_due


def test_only_the_holds_of_our_logins_are_ours_to_check(db: Database, time: Time) -> None:
    _hold(db, time)
    _hold(db, time, login="others")
    _hold(db, time, upstream=JENKINS)
    time.advance(PAUSES_S[0])

    assert [(row.upstream, row.login) for row in _due(db, time)] == [("gitlab", "us")]
    assert [row.upstream for row in db.read(refusals.held)] == ["gitlab", "gitlab", "jenkins"]


# -- trials -------------------------------------------------------------------------------------------------------


def test_a_trial_has_its_time(db: Database, time: Time) -> None:
    _hold(db, time)
    assert not refusals.is_trial_over(_row(db), time())

    row = _trial(db, time)

    assert (row.trial_since, row.look_at) == (time(), time() + timedelta(seconds=refusals.TRIAL_S))
    before_end = time() + timedelta(seconds=refusals.TRIAL_S - 0.001)
    assert [refusals.is_trial_over(row, at) for at in (before_end, before_end + timedelta(seconds=0.001))] == [
        False, True
    ]  # fmt: skip
    earliest = time() - timedelta(seconds=horizons.SKEW_S)
    assert [refusals.is_trial_over(row, at) for at in (earliest, earliest - timedelta(seconds=0.001))] == [False, True]


@pytest.mark.parametrize(
    ("age_s", "pause_s"), [(0, PAUSES_S[1]), (600, 30.1), (100_000, refusals.LONGEST_TRIAL_PAUSE_S)]
)
def test_a_refused_trial_is_followed_by_a_pause_that_grows_with_the_age_of_the_hold(
    db: Database, time: Time, age_s: float, pause_s: float
) -> None:
    _hold(db, time)
    _trial(db, time)
    time.advance(age_s)

    assert not _hold(db, time, WRITE)

    row = _row(db)
    assert (row.trial_since, row.looks, row.is_write) == (None, 1, True)
    assert row.look_at is not None
    assert (row.look_at - time()).total_seconds() == pytest.approx(pause_s)


def test_a_hold_of_writes_stays_one_when_a_trial_is_refused_a_read(db: Database, time: Time) -> None:
    _hold(db, time, WRITE)
    _trial(db, time)

    _hold(db, time, READ)

    assert _row(db).is_write


# -- ends ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("is_accepted", [True, False])
def test_an_end_is_kept_with_its_time_and_made_once(db: Database, time: Time, is_accepted: bool) -> None:
    _hold(db, time)
    row = _trial(db, time)

    assert refusals.end(db, row, time(), is_accepted=is_accepted)
    assert not refusals.end(db, row, time(), is_accepted=is_accepted)

    rows = _kept(db)
    assert [(each.since, each.trial_since, each.over_at) for each in rows] == [(None, None, time())]
    assert refusals.opened_at(rows, "us") == time()
    assert refusals.opened_at(rows, "others") is None
    accepted = db.read(lambda session: refusals.accepted_at(session, GITLAB, "us"))
    assert accepted == (time() if is_accepted else None)
    assert db.read(lambda session: refusals.accepted_at(session, GITLAB, "others")) is None


def _kept(db: Database) -> list[Refusal]:
    return list(db.read(lambda session: session.scalars(select(Refusal)).all()))


def test_an_administrator_ends_the_holds_of_all_logins_at_one_upstream(db: Database, time: Time) -> None:
    _hold(db, time)
    _trial(db, time)
    _hold(db, time, login="others")
    refusals.end(db, next(row for row in db.read(refusals.held) if row.login == "others"), time(), is_accepted=False)
    _hold(db, time, upstream=JENKINS)
    time.advance(1)

    refusals.end_by_hand(db, GITLAB, time())

    assert [(row.upstream, row.since, row.trial_since) for row in db.read(refusals.held)] == [
        ("jenkins", time() - timedelta(seconds=1), None)
    ]
    over = {row.login: row.over_at for row in _kept(db) if row.upstream == "gitlab"}
    assert over == {"us": time(), "others": time() - timedelta(seconds=1)}


def test_a_hold_that_nobody_checks_any_more_is_over(db: Database, time: Time) -> None:
    _hold(db, time)
    time.advance(PAUSES_S[0] + refusals.ABANDONED_S)
    assert refusals.end_abandoned(db, time()) == []
    time.advance(0.001)

    (ended,) = refusals.end_abandoned(db, time())

    assert ended.login == "us"
    assert db.read(refusals.held) == []
    assert [row.over_at for row in _kept(db)] == [time()]


def test_what_has_long_been_over_is_forgotten_and_nothing_else(db: Database, time: Time) -> None:
    for login in ("old", "young", "held"):
        _hold(db, time, login=login)
    rows = {row.login: row for row in db.read(refusals.held)}
    refusals.end(db, rows["old"], time(), is_accepted=False)
    time.advance(0.001)
    refusals.end(db, rows["young"], time(), is_accepted=False)
    time.advance(refusals.FORGOTTEN_S)

    refusals.end_abandoned(db, time())

    assert {row.login for row in _kept(db)} == {"young", "held"}


def test_the_hold_of_a_login_is_its_own_and_people_see_anybodys(db: Database, time: Time) -> None:
    _hold(db, time)
    rows = db.read(refusals.held)

    assert refusals.of(rows, "us") is refusals.of(rows, None) is rows[0]
    assert refusals.of(rows, "others") is None
    assert outages.refused(rows[0].cause).cause == READ.cause
    refusals.end(db, rows[0], time(), is_accepted=False)
    assert refusals.of(_kept(db), None) is None


def test_an_undecided_trial_puts_back_its_own_trial_only(db: Database, time: Time) -> None:
    _hold(db, time)
    first = _trial(db, time)
    refusals.trial_undecided(db, first, time())
    row = _row(db)
    assert (row.trial_since, row.looks, row.look_at) == (None, 1, time() + timedelta(seconds=PAUSES_S[1]))
    time.advance(PAUSES_S[1])
    refusals.begin_trial(db, _claimed(db, time), time())
    began = time()

    refusals.trial_undecided(db, first, time())

    assert (_row(db).trial_since, _row(db).looks) == (began, 1)
