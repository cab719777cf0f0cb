"""What a rollback may need of an app's deployments is enough for every rollback, today and after whatever comes."""

from __future__ import annotations

import random
from itertools import product

import pytest

from common.database.models import Job
from common.jobs import deployments
from common.jobs.deployments import Deployment
from common.states import JobState

ENDS = (JobState.SUCCEEDED, JobState.FAILED, JobState.CANCELLED)
VERSIONS = ("1", "2", "3")


def _deployment(number: int, tag: str, state: JobState) -> Deployment:
    return Deployment(job=Job(id=f"{number:04}", state=state), image_tag=tag, revision=None)


def _target(newest_first: list[Deployment]) -> str | None:
    found = deployments.previous_good(newest_first)
    return found.job.id if found else None


@pytest.mark.parametrize("seed", range(300))
def test_what_is_needed_leads_to_the_same_version_as_all_there_is(seed: int) -> None:
    chance = random.Random(seed)
    drawn = [(chance.choice(VERSIONS[: 1 + seed % 3]), chance.choice(ENDS)) for _ in range(chance.randrange(1, 12))]
    everything = [_deployment(number, *each) for number, each in enumerate(drawn)][::-1]
    needed = list({each.job.id: each for each in deployments.needed(everything)}.values())
    some = sorted(needed, key=lambda each: each.job.id, reverse=True)

    assert len(some) <= 3
    assert _target(some) == _target(everything)
    for after in product(product(VERSIONS, ENDS), repeat=2):
        coming = [_deployment(100 + number, *each) for number, each in enumerate(after)][::-1]
        assert _target([*coming[-1:], *some]) == _target([*coming[-1:], *everything])
        assert _target([*coming, *some]) == _target([*coming, *everything])


def test_of_no_deployment_nothing_is_needed() -> None:
    assert list(deployments.needed([])) == []
    assert deployments.previous_good([]) is None
