"""The harness of real processes knows how a job of every workflow comes to be, and runs every kind of fault."""

from __future__ import annotations

from support.chaos.faults import FAULTS, Party
from support.chaos.scenarios import ACCEPT

from common.workflows import WORKFLOWS


def test_a_job_of_every_workflow_can_be_brought_to_its_kill_points() -> None:
    assert set(ACCEPT) == set(WORKFLOWS)


def test_the_short_run_has_faults_of_every_party() -> None:
    assert {fault.party for fault in FAULTS if fault.is_quick} == set(Party)


def test_no_two_faults_have_one_name() -> None:
    assert len({fault.name for fault in FAULTS}) == len(FAULTS)
