"""Rows of the ledger: whose they are, who signed them, and until when the call behind an intent may arrive."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta

import pytest
from support.world import World

from common.database.models import Job, Resource
from common.jobs import attempts, claims, ledger, outcomes
from common.jobs.claims import Claim
from common.jobs.ledger import Entry
from common.states import Outcome, Provenance

NewName = Callable[[str], str]
STEP = "fork_source"


@pytest.fixture
def job(world: World, new_name: NewName) -> Job:
    return world.make_app(new_name("app"))


def _claim(world: World, job: Job, step: str = STEP) -> Claim:
    claim = attempts.claim(world.db, job.id, step, worker="w", limits={})
    assert isinstance(claim, Claim), claim
    return claim


def _entry(world: World, claim: Claim, *, upstream: str = "gitlab", kind: str = "project", ref: str = "dev/x") -> Entry:
    return Entry(world.db, claim, upstream=upstream, kind=kind, ref=ref)


def _row(world: World, job: Job) -> Resource:
    (row,) = world.ledger(job)
    return row


def _lose(world: World, claim: Claim) -> Claim:
    """Let another worker take the claim over, and return the claim of that one."""
    world.time.advance(claims.LEASE_S)
    return _claim(world, claim.job, claim.step.name)


# -- whose row it is ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("other", [{"upstream": "jenkins"}, {"kind": "group"}, {"ref": "dev/y"}])
def test_an_object_of_another_upstream_kind_or_name_is_another_row(
    world: World, job: Job, other: dict[str, str]
) -> None:
    claim = _claim(world, job)
    _entry(world, claim).intend()

    _entry(world, claim, **other).settle(outside_id="2", url=None, found=True)

    assert {row.provenance for row in world.ledger(job)} == {Provenance.INTENDED, Provenance.ADOPTED}


def test_the_same_object_of_another_app_is_another_row(world: World, job: Job, new_name: NewName) -> None:
    _entry(world, _claim(world, job)).intend()
    other = world.make_app(new_name("app"))

    _entry(world, _claim(world, other)).settle(outside_id="2", url=None, found=True)

    assert [_row(world, each).provenance for each in (job, other)] == [Provenance.INTENDED, Provenance.ADOPTED]


def test_rows_of_one_kind_are_read_in_the_order_in_which_they_were_written(
    world: World, job: Job, new_name: NewName
) -> None:
    claim = _claim(world, job)
    for ref in ("b", "a", "c"):
        _entry(world, claim, ref=ref).intend()
    _entry(world, claim, upstream="argocd").intend()
    _entry(world, claim, kind="group").intend()
    _entry(world, _claim(world, world.make_app(new_name("app")))).intend()

    rows = world.db.read(lambda session: ledger.rows_of(session, job.subject_id, upstream="gitlab", kind="project"))

    assert [row.ref for row in rows] == ["b", "a", "c"]


# -- intend, settle, withdraw -------------------------------------------------------------------------------------


def test_an_intent_is_signed_by_its_attempt_and_forgets_what_was_there_before(world: World, job: Job) -> None:
    first = _claim(world, job)
    _entry(world, first).settle(outside_id="1", url="http://gitlab/1", found=False)
    ledger.mark_gone(world.db, first, _row(world, job).id)
    assert _row(world, job).provenance is Provenance.GONE
    second = _lose(world, first)

    _entry(world, second).intend()

    row = _row(world, job)
    assert (row.provenance, row.outside_id, row.url) == (Provenance.INTENDED, None, None)
    assert (row.job_id, row.step, row.attempt, row.updated_at) == (job.id, STEP, 2, world.time())


def test_what_exists_is_kept_with_its_id_and_address_by_the_attempt_that_saw_it(world: World, job: Job) -> None:
    first = _claim(world, job)
    _entry(world, first).intend()
    second = _lose(world, first)

    _entry(world, second).settle(outside_id="1", url="http://gitlab/1", found=True)

    row = _row(world, job)
    assert (row.provenance, row.outside_id, row.url) == (Provenance.CREATED, "1", "http://gitlab/1")
    assert (row.attempt, row.updated_at) == (2, world.time())


def test_what_is_seen_again_as_it_was_changes_nothing_and_what_has_another_id_does(world: World, job: Job) -> None:
    first = _claim(world, job)
    _entry(world, first).settle(outside_id="1", url="u", found=True)
    second = _lose(world, first)

    _entry(world, second).settle(outside_id="1", url="u", found=True)
    assert (_row(world, job).attempt, _row(world, job).updated_at) == (1, world.time() - timedelta(seconds=8))
    _entry(world, second).settle(outside_id="2", url="u", found=True)

    assert (_row(world, job).attempt, _row(world, job).outside_id) == (2, "2")


@pytest.mark.parametrize(("found", "provenance"), [(True, Provenance.ADOPTED), (False, Provenance.CREATED)])
def test_what_comes_back_after_it_was_gone_is_ours_only_if_we_made_it(
    world: World, job: Job, found: bool, provenance: Provenance
) -> None:
    claim = _claim(world, job)
    entry = _entry(world, claim)
    entry.settle(outside_id="1", url=None, found=False)
    ledger.mark_gone(world.db, claim, _row(world, job).id)

    entry.settle(outside_id="2", url=None, found=found)

    assert _row(world, job).provenance is provenance


def test_ours_is_what_we_made_or_were_about_to_make(world: World, job: Job) -> None:
    claim = _claim(world, job)
    made, found, intended, never = (_entry(world, claim, ref=ref) for ref in ("made", "found", "intended", "never"))
    made.settle(outside_id="1", url=None, found=False)
    found.settle(outside_id="2", url=None, found=True)
    intended.intend()

    assert [each.is_ours() for each in (made, found, intended, never)] == [True, False, True, False]


def test_an_intent_is_withdrawn_by_the_attempt_that_had_it_and_nothing_else_is(world: World, job: Job) -> None:
    first = _claim(world, job)
    of_first, made = _entry(world, first, ref="first"), _entry(world, first, ref="made")
    of_first.intend()
    made.settle(outside_id="1", url=None, found=False)
    made.withdraw()
    second = _lose(world, first)
    of_second = _entry(world, second, ref="second")
    of_second.intend()

    _entry(world, second, ref="first").withdraw()
    of_second.withdraw()
    _entry(world, second, ref="never").withdraw()

    assert {row.ref: row.provenance for row in world.ledger(job)} == {
        "first": Provenance.INTENDED, "made": Provenance.CREATED, "second": Provenance.GONE
    }  # fmt: skip
    assert next(row for row in world.ledger(job) if row.ref == "second").updated_at == world.time()


def test_a_step_withdraws_its_own_intents_of_all_attempts_and_no_other_ones(
    world: World, job: Job, new_name: NewName
) -> None:
    other = world.make_app(new_name("app"))
    _entry(world, _claim(world, other)).intend()
    _entry(world, _claim(world, job, "fork_helm"), ref="helm").intend()
    claim = _claim(world, job)
    _entry(world, claim, ref="made").settle(outside_id="1", url=None, found=False)
    _entry(world, claim, ref="intended").intend()
    world.time.advance(1)

    ledger.withdraw(world.db, claim)

    rows = {row.ref: row for row in world.ledger(job)}
    assert {ref: row.provenance for ref, row in rows.items()} == {
        "helm": Provenance.INTENDED, "made": Provenance.CREATED, "intended": Provenance.GONE
    }  # fmt: skip
    assert rows["intended"].updated_at == world.time()
    assert _row(world, other).provenance is Provenance.INTENDED


def test_what_is_gone_is_marked_with_the_time(world: World, job: Job) -> None:
    claim = _claim(world, job)
    _entry(world, claim).settle(outside_id="1", url=None, found=False)
    world.time.advance(1)

    ledger.mark_gone(world.db, claim, _row(world, job).id)

    assert (_row(world, job).provenance, _row(world, job).updated_at) == (Provenance.GONE, world.time())


# -- what may arrive ----------------------------------------------------------------------------------------------


def test_the_call_of_a_lost_attempt_may_arrive_for_the_rest_of_its_limit(world: World, job: Job) -> None:
    first = _claim(world, job)
    limit_s = first.plan.limit_s + ledger.ARRIVAL_MARGIN_S
    assert _entry(world, first).may_arrive_for_s() == 0  # nothing was intended
    _entry(world, first).intend()
    assert _entry(world, first).may_arrive_for_s() == 0  # our own

    second = _entry(world, _lose(world, first))

    assert second.may_arrive_for_s() == limit_s - claims.LEASE_S
    world.time.advance(limit_s)
    assert second.may_arrive_for_s() == 0


def test_no_call_arrives_later_than_the_longest_one_after_its_attempt_was_lost(world: World, new_name: NewName) -> None:
    job = world.make_app(new_name("app"))
    world.drive(job, until="create_application")
    first = _claim(world, job, "create_application")
    assert first.plan.limit_s > ledger.LONGEST_CALL_S
    _entry(world, first).intend()

    second = _lose(world, first)

    assert _entry(world, second).may_arrive_for_s() == ledger.LONGEST_CALL_S + ledger.ARRIVAL_MARGIN_S


def test_the_limit_counts_while_the_attempt_that_signed_has_not_ended(world: World, job: Job) -> None:
    claim = _claim(world, job)
    _entry(world, claim).intend()

    left_s = ledger.may_arrive_for_s(world.db, claim, _row(world, job))

    assert left_s == claim.plan.limit_s + ledger.ARRIVAL_MARGIN_S


@pytest.mark.parametrize("is_settled", [True, False])
def test_nothing_arrives_of_what_is_settled_or_of_an_attempt_that_was_answered(
    world: World, job: Job, is_settled: bool
) -> None:
    first = _claim(world, job)
    entry = _entry(world, first)
    entry.intend()
    if is_settled:
        entry.settle(outside_id="1", url=None, found=False)
        heir = _lose(world, first)
    else:
        outcomes.record_failure(world.db, first, code="c", reason="r")
        world.forget(job, STEP)
        heir = _claim(world, job)
    assert next(each.outcome for each in world.attempts(job, STEP)) is (Outcome.LOST if is_settled else Outcome.FAILED)

    assert _entry(world, heir).may_arrive_for_s() == 0
