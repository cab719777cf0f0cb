"""How long the password of a failed job is kept: as long as a retry is likely, and no longer."""

from __future__ import annotations

import pytest
from support.fake_worker import claim, succeed
from support.world import PASSWORD, World

from common.database.models import Job, Secret
from common.errors import Conflict
from common.jobs import dispatch, interventions, outcomes
from common.states import JobState
from common.vault import sealed_passwords

LAST = "create_kibana_user"
HOUR_S = 3600


def _is_kept(world: World, job: Job) -> bool:
    dispatch.delete_expired(world.db)
    return world.db.read(lambda session: session.get(Secret, (job.id, "password"))) is not None


def _failed(world: World, code: str) -> Job:
    """Return a sign-up that failed at its last step."""
    job = world.sign_up("ada")
    succeed(world.db, job.id, but=(LAST,))
    outcomes.record_failure(world.db, claim(world.db, job.id, LAST), code=code, reason="It broke.")
    assert world.job(job).state is JobState.FAILED
    return job


def test_an_hour_after_the_failure_it_is_gone(world: World) -> None:
    job = _failed(world, "rejected")

    world.time.advance(HOUR_S - 1)
    assert _is_kept(world, job)
    world.time.advance(1)
    assert not _is_kept(world, job)


def test_where_something_foreign_is_in_the_way_it_is_gone_at_once(world: World) -> None:
    assert not _is_kept(world, _failed(world, Conflict.code))


def test_where_a_check_finds_something_foreign_it_is_gone_at_once(world: World) -> None:
    """The check needs no password itself; the steps that do never get their turn."""
    job = world.sign_up("ada", is_checked=True)
    checks = ("check_gitlab_name", "check_jenkins_name")
    for check in checks:
        outcomes.record_success(world.db, claim(world.db, job.id, check), {"not_done": ""})

    claimed = claim(world.db, job.id, "check_kibana_name")
    outcomes.record_failure(world.db, claimed, code=Conflict.code, reason="It is theirs.")

    assert world.job(job).state is JobState.FAILED
    assert not _is_kept(world, job)


def test_a_lane_that_failed_leaves_it_to_the_others(world: World) -> None:
    job = world.sign_up("ada")

    outcomes.record_failure(world.db, claim(world.db, job.id, LAST), code=Conflict.code, reason="It is theirs.")
    world.time.advance(2 * HOUR_S)

    assert _is_kept(world, job), "two lanes go on"


def test_the_last_lane_that_succeeds_ends_it_when_another_has_failed(world: World) -> None:
    job = world.sign_up("ada")
    outcomes.record_failure(world.db, claim(world.db, job.id, LAST), code=Conflict.code, reason="It is theirs.")

    succeed(world.db, job.id)

    assert world.job(job).state is JobState.FAILED
    assert not _is_kept(world, job)


def test_a_retry_within_the_hour_has_it_for_as_long_as_it_takes(world: World) -> None:
    job = _failed(world, "rejected")
    world.time.advance(HOUR_S - 1)

    world.db.transaction(lambda session: interventions.retry(session, job.id, world.time()))
    world.time.advance(2 * HOUR_S)
    dispatch.delete_expired(world.db)

    kept = world.db.read(lambda session: sealed_passwords.unseal(session, world.context.vault, job.id))
    succeed(world.db, job.id)
    assert kept == PASSWORD
    assert not _is_kept(world, job), "it was used for the last time"


def test_retries_do_not_keep_it_beyond_its_day(world: World) -> None:
    job = _failed(world, "rejected")
    for _ in range(30):
        world.time.advance(HOUR_S - 1)
        if not _is_kept(world, job):
            break
        world.db.transaction(lambda session: interventions.retry(session, job.id, world.time()))
        outcomes.record_failure(world.db, claim(world.db, job.id, LAST), code="rejected", reason="It broke.")

    assert (world.time() - job.created_at).total_seconds() <= 26 * HOUR_S


def test_a_retry_without_it_asks_for_it(world: World) -> None:
    job = _failed(world, Conflict.code)

    with pytest.raises(interventions.NotPossibleError, match="send it again"):
        world.db.transaction(lambda session: interventions.retry(session, job.id, world.time()))
