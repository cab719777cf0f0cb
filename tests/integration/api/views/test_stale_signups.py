"""A sign-up that met somebody else's account gives its names free; one that made anything does not."""

from __future__ import annotations

import pytest
from sqlalchemy.orm import Session
from support.api import Api

from common.database.models import Job, Resource, User
from common.jobs import attempts, claims, outcomes
from common.states import Provenance


def _fail(api: Api, job_id: str, *, code: str) -> None:
    """End every lane of a sign-up at its first step."""
    for step in ("create_gitlab_user", "create_jenkins_user", "create_kibana_user"):
        claim = attempts.claim(api.service.db, job_id, step, worker="test", limits={})
        assert isinstance(claim, claims.Claim)
        outcomes.record_failure(api.service.db, claim, code=code, reason="The name has an owner there.")


def _make_something(api: Api, job_id: str) -> None:
    def work(session: Session) -> None:
        job = session.get_one(Job, job_id)
        now = api.service.db.now()
        session.add(
            Resource(
                subject_id=job.subject_id, upstream="jenkins", kind="user", ref="grace", provenance=Provenance.CREATED,
                job_id=job.id, step="create_jenkins_user", attempt=1, created_at=now, updated_at=now,
            )
        )  # fmt: skip

    api.service.db.transaction(work)


def test_after_a_conflict_the_person_signs_up_with_another_id_and_the_same_address(api: Api) -> None:
    first = api.sign_up("grace")
    _fail(api, first.json["job_id"], code="conflict")

    second = api.sign_up("grace2", email="grace@example.com")

    assert second.status_code == 202
    assert api.visitor.post("/api/v1/jobs/" + first.json["job_id"] + "/retry", json={}).json["code"] == "is_over"


@pytest.mark.parametrize("code", ["upstream_unavailable", "rejected", "internal"])
def test_after_any_other_failure_the_names_stay_taken(api: Api, code: str) -> None:
    _fail(api, api.sign_up("grace").json["job_id"], code=code)

    assert api.sign_up("grace").status_code == 409


def test_while_anything_that_was_made_exists_the_names_stay_taken(api: Api) -> None:
    job_id = api.sign_up("grace").json["job_id"]
    _fail(api, job_id, code="conflict")
    _make_something(api, job_id)

    assert api.sign_up("grace2", email="grace@example.com").status_code == 409


def test_a_sign_up_that_is_at_work_keeps_its_names(api: Api) -> None:
    api.sign_up("grace")

    assert api.sign_up("grace2", email="grace@example.com").status_code == 409
    assert api.service.db.read(lambda session: session.query(User).count()) == 1
