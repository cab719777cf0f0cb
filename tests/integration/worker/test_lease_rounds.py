"""One round of the renewal of leases: what it tries, what it lets go of, and what it never asks for again."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any

import pytest
from sqlalchemy.exc import OperationalError
from support.world import World

from common.jobs import attempts, claims
from common.jobs.claims import Claim
from worker import leases
from worker.leases import LeaseRenewal

NewName = Callable[[str], str]
STEP = "create_gitlab_user"
LOCKED, AWAY = (1205, "Lock wait timeout exceeded"), (2003, "no connection")


class Rounds:
    """A renewal whose tries are kept, and fail as the test says."""

    def __init__(self, world: World, monkeypatch: pytest.MonkeyPatch) -> None:
        self.world = world
        self.renewal = LeaseRenewal(world.db, clock_s=lambda: world.time().timestamp())
        self.kept = ExitStack()
        self.tried: list[str] = []
        self.failing: dict[str, tuple[int, str]] = {}
        self._renew = claims.renew
        monkeypatch.setattr(claims, "renew", self._try)

    def _try(self, db: Any, claim: Claim) -> bool:
        self.tried.append(claim.token)
        if claim.token in self.failing:
            raise OperationalError("UPDATE", {}, Exception(*self.failing[claim.token]))
        return self._renew(db, claim)

    def claim(self, login: str) -> Claim:
        claim = attempts.claim(self.world.db, self.world.sign_up(login).id, STEP, worker="w", limits={})
        assert isinstance(claim, Claim)
        self.kept.enter_context(self.renewal.keep(claim))
        return claim

    def round(self, after_s: float = leases.RENEW_AFTER_S) -> list[str]:
        """Let time pass, and return what the next round tries."""
        self.world.time.advance(after_s)
        self.tried.clear()
        self.renewal.renew()
        return list(self.tried)


@pytest.fixture
def rounds(world: World, monkeypatch: pytest.MonkeyPatch) -> Iterator[Rounds]:
    opened = Rounds(world, monkeypatch)
    yield opened
    opened.kept.close()


def test_of_several_locked_leases_a_round_tries_one_after_all_others(rounds: Rounds, new_name: NewName) -> None:
    locked, also_locked, free = (rounds.claim(new_name("ada")) for _ in range(3))
    rounds.failing = {locked.token: LOCKED, also_locked.token: LOCKED}
    assert len(rounds.round()) == 3  # which are locked shows now

    assert [rounds.round() for _ in range(2)] == [[free.token, locked.token], [free.token, also_locked.token]]
    rounds.failing = {}
    rounds.round()
    rounds.round(leases.EVERY_S)
    assert set(rounds.round()) == {locked.token, also_locked.token, free.token}  # none is regarded as locked any more


def test_a_database_that_is_away_ends_the_round(rounds: Rounds, new_name: NewName) -> None:
    claim = rounds.claim(new_name("ada"))
    rounds.failing = {claim.token: AWAY}

    with pytest.raises(OperationalError):
        rounds.round()


def test_a_claim_that_was_lost_is_not_asked_for_again(rounds: Rounds, new_name: NewName) -> None:
    claim = rounds.claim(new_name("ada"))
    rounds.world.time.advance(claims.LEASE_S)
    heir = attempts.claim(rounds.world.db, claim.job.id, STEP, worker="heir", limits={})
    assert isinstance(heir, Claim)

    assert (rounds.round(0), rounds.round()) == ([claim.token], [])


def test_an_attempt_hangs_after_its_limit_and_the_time_for_its_outcome_and_is_reported_once(
    rounds: Rounds, new_name: NewName, caplog: pytest.LogCaptureFixture
) -> None:
    claim = rounds.claim(new_name("ada"))
    assert leases.GRACE_S > leases.RECORDS_WITHIN_S  # who still waits for the database does not hang
    assert rounds.round(claim.plan.limit_s + leases.GRACE_S) == [claim.token]

    with caplog.at_level(logging.ERROR):
        assert [rounds.round(), rounds.round()] == [[], []]

    assert [record.message for record in caplog.records] == ["attempt_hangs"]
