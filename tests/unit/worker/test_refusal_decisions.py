"""What a refused call means for its step: the table of `worker/refusals.py`, row by row."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from common import horizons
from common.admission import outages
from common.admission.refusals import Cause
from common.errors import Permanent, Refused, Transient
from common.jobs.outcomes import RefusedBefore
from common.workflows import DELAY_AT_MOST_S, Upstream
from worker.refusals import (
    FIRST_UNDECIDED_S,
    PAUSES_S,
    AskAgain,
    Decision,
    GiveUp,
    HoldUpstream,
    TryAgain,
    decide,
    standing_after,
)
from worker.upstreams.standing import Good, Held, Missing, Standing

NOW = datetime(2026, 11, 30, tzinfo=UTC)
HELD = Held(cause="GitLab refuses our token", remedy="put a new one")
WEEK = timedelta(seconds=outages.LONGEST_HOLD_S)
SECOND, SKEW = timedelta(seconds=1), timedelta(seconds=horizons.SKEW_S)


def _refused(method: str = "POST") -> Refused:
    return Refused("Our token lacks api", upstream="gitlab", status=403, method=method, path="/x", says="", headers={})


def _decide(
    standing: Standing | Transient,
    before: RefusedBefore | None = None,
    *,
    accepted_at: datetime | None = None,
    method: str = "POST",
) -> Decision:
    return decide(_refused(method), standing, before or RefusedBefore(), accepted_at=accepted_at, now=NOW)


@pytest.mark.parametrize(
    ("right", "reason"),
    [("", "Our token lacks api"), ("api", "Our token lacks api"), ("admin", "Our token lacks api. It lacks admin")],
)
def test_a_missing_right_is_final_and_named_once(right: str, reason: str) -> None:
    assert _decide(Missing(right=right)) == GiveUp(reason=reason)


def test_what_nothing_explains_is_tried_again_ever_later_and_then_final() -> None:
    found = [_decide(Good(), RefusedBefore(since=NOW, unexplained=count)) for count in range(len(PAUSES_S) + 2)]

    assert found == [*(TryAgain(delay_s=pause_s) for pause_s in PAUSES_S), *[GiveUp(reason="Our token lacks api")] * 2]


@pytest.mark.parametrize(("method", "is_write"), [("POST", True), ("GET", False)])
def test_a_refusal_in_general_holds_the_upstream(method: str, is_write: bool) -> None:
    cause = Cause(cause=HELD.cause, remedy=HELD.remedy, is_write=is_write)

    assert _decide(HELD, method=method) == HoldUpstream(cause=cause)


@pytest.mark.parametrize(
    ("held_at", "accepted_at", "is_alone"),
    [
        (NOW - SECOND, NOW, True),
        (NOW - SECOND, NOW + SKEW, True),
        (NOW - SECOND, NOW + SKEW + SECOND, False),
        (NOW, NOW, False),
        (NOW, NOW - SECOND, False),
        (NOW, None, False),
        (None, NOW, False),
    ],
)
def test_a_step_that_was_refused_again_after_a_trial_of_another_was_accepted_is_alone(
    held_at: datetime | None, accepted_at: datetime | None, is_alone: bool
) -> None:
    found = _decide(HELD, RefusedBefore(since=held_at, held_at=held_at), accepted_at=accepted_at)

    assert (found == TryAgain(delay_s=None)) is is_alone
    assert isinstance(found, HoldUpstream) is not is_alone


@pytest.mark.parametrize(("since", "is_final"), [(NOW - WEEK, True), (NOW - WEEK + SECOND, False)])
def test_a_step_that_has_been_refused_for_as_long_as_an_outage_may_last_fails(since: datetime, is_final: bool) -> None:
    found = _decide(HELD, RefusedBefore(since=since, held_at=since))

    assert (found == GiveUp(reason="Our token lacks api. Gave up after 7 days")) is is_final
    assert isinstance(found, HoldUpstream) is not is_final


@pytest.mark.parametrize(
    ("undecided", "hint_s", "delay_s"),
    [
        (0, None, 5.0),
        (1, None, 15.0),
        (4, None, 405.0),
        (5, None, DELAY_AT_MOST_S),
        (15_000, None, DELAY_AT_MOST_S),
        (0, 99.0, 99.0),
        (0, 0.1, 5.0),
    ],
)
@pytest.mark.parametrize("is_unavailable", [True, False])
def test_who_got_no_answer_asks_again_ever_later_and_not_before_the_upstream_says(
    undecided: int, hint_s: float | None, delay_s: float, is_unavailable: bool
) -> None:
    answer = Transient("GitLab is away", upstream="gitlab", retry_after_s=hint_s, is_unavailable=is_unavailable)

    found = _decide(answer, RefusedBefore(undecided=undecided))

    assert found == AskAgain(delay_s=delay_s, reason="GitLab is away", is_unavailable=is_unavailable)


def test_a_fault_of_ours_is_no_reason_for_a_reader_and_a_week_without_an_answer_is_too_long() -> None:
    ours = Transient("an internal error")

    assert _decide(ours) == AskAgain(delay_s=FIRST_UNDECIDED_S, reason="Our token lacks api", is_unavailable=False)
    assert isinstance(_decide(ours, RefusedBefore(since=NOW - WEEK)), GiveUp)


# -- the question for our standing ------------------------------------------------------------------------------------


def _ask_raising(error: Exception) -> Standing | Transient:
    def ask(_upstream: Upstream, _refused: Refused | None) -> Standing:
        raise error

    return standing_after(ask, Upstream.GITLAB, _refused())


def test_a_question_that_is_refused_means_that_our_account_is() -> None:
    assert _ask_raising(_refused()) == Held(cause="Our token lacks api", remedy="correct how Slipway logs in to GitLab")


def test_an_answer_that_explains_nothing_says_nothing_against_our_account() -> None:
    assert _ask_raising(Permanent("no")) == Good()


@pytest.mark.parametrize(("error", "reason"), [(Transient("away"), "away"), (ZeroDivisionError(), "an internal error")])
def test_a_question_without_an_answer_is_undecided(error: Exception, reason: str) -> None:
    found = _ask_raising(error)

    assert isinstance(found, Transient)
    assert found.reason == reason
