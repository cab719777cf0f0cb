"""What people did in a repository is reported, also when a part of the project is switched off."""

from __future__ import annotations

import pytest
from support.scripted import Answer, Request, Scripted

from common.errors import Permanent
from worker.upstreams.gitlab.activity import Activity
from worker.upstreams.gitlab.client import GitLab

OFF = Answer(403, {"message": "403 Forbidden"})
PUSH = {"created_at": "2026-01-01T00:00:00Z", "author_username": "ada"}
ROWS = {
    "projects/7/repository/commits": [{"id": "c1"}, {"id": "c2"}],
    "projects/8/repository/commits": [{"id": "c1"}],
    "projects/7/events": [PUSH],
    "projects/7/merge_requests": [{"iid": 1}],
}


def activity(denied: dict[str, Answer]) -> Activity | None:
    def script(request: Request) -> Answer:
        path = request.path.removeprefix("api/v4/")
        return denied.get(path) or Answer(200, ROWS[path])

    return GitLab(Scripted("GitLab", script)).repositories.activity(7, template="8")


@pytest.mark.parametrize(
    ("off", "commits", "requests"),
    [(None, 1, 1), ("projects/7/merge_requests", 1, 0), ("projects/7/repository/commits", 0, 1)],
)
def test_what_is_switched_off_has_no_rows(off: str | None, commits: int, requests: int) -> None:
    found = activity({off: OFF} if off else {})

    assert found is not None
    assert (found.commits, found.open_merge_requests, found.pushed_by) == (commits, requests, "ada")


def test_a_template_whose_repository_is_switched_off_hides_no_commit() -> None:
    found = activity({"projects/8/repository/commits": OFF})

    assert found is not None
    assert found.commits == 2


def test_a_missing_right_is_no_part_that_is_switched_off() -> None:
    with pytest.raises(Permanent):
        activity({"projects/7/merge_requests": Answer(403, {"error": "insufficient_scope"})})
