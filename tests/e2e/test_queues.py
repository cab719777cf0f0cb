"""A worker takes from every upstream's queue, or from those that it is told; together they do everything."""

from __future__ import annotations

from collections import defaultdict
from pathlib import Path

from sqlalchemy import select
from support.stack import Stack

from common.database.engine import Database
from common.database.models import Attempt, Step

QUEUES = ("gitlab,slipway", "jenkins,argocd,elasticsearch")


def test_workers_take_only_the_queues_that_they_are_told(tmp_path: Path) -> None:
    stack = Stack(tmp_path, workers=2, queues=QUEUES)
    try:
        stack.start()
        person = stack.person("ada")
        job = person.follow(person.make_app(person.make_project("shop"), "app"))
        processes = {str(stack.launcher.pid(name)): queues for name, queues in zip(stack.workers, QUEUES, strict=True)}
    finally:
        stack.stop()

    taken = {
        upstream: {processes[process] for process in workers}
        for upstream, workers in _workers_by_upstream(stack.environment["DB_URL"], job["job_id"]).items()
    }
    assert taken == {"gitlab": {QUEUES[0]}, "jenkins": {QUEUES[1]}, "argocd": {QUEUES[1]}}


def _workers_by_upstream(db_url: str, job_id: str) -> dict[str, set[str]]:
    """Return the ids of the processes that ran the steps of a job, as they signed their attempts."""
    db = Database(db_url)
    signed = (
        select(Step.upstream, Attempt.worker).join(Attempt, Attempt.step_id == Step.id).where(Step.job_id == job_id)
    )
    found: dict[str, set[str]] = defaultdict(set)
    for upstream, worker in db.read(lambda session: list(session.execute(signed))):
        found[upstream].add(worker.split(":")[1])
    db.dispose()
    return found
