"""Jobs: who may see them, conditional requests, and every job on exactly one page."""

from __future__ import annotations

import pytest
from flask.testing import FlaskClient
from support.api import V1, Api, add_app, add_project, without_request_id
from support.fake_worker import admin, claim, fail, names, succeed

from common.database.engine import Database
from common.jobs import outcomes
from common.plain_text import quoted
from common.states import StepState
from common.workflows import PROVISION, SIGNUP, WORKFLOWS

pytestmark = pytest.mark.one_database

ABSENT = "01890000-0000-7000-8000-000000000000"


def _provision(member: FlaskClient, name: str = "compiler", project: str = "compilers") -> str:
    job_id: str = add_app(member, add_project(member, project), name).json["job_id"]
    return job_id


@pytest.mark.parametrize(
    ("who", "what", "status"),
    [
        ("visitor", "signup", 200),
        ("visitor", "provision", 401),
        ("visitor", "absent", 401),
        ("own team", "signup", 200),
        ("own team", "provision", 200),
        ("own team", "absent", 404),
        ("other team", "signup", 200),
        ("other team", "provision", 404),
        ("other team", "absent", 404),
    ],
)
def test_who_sees_which_job(api: Api, who: str, what: str, status: int) -> None:
    signup = api.sign_up("grace").json["job_id"]
    own = api.bearer(api.token("grace"))
    ids = {"signup": signup, "provision": _provision(own), "absent": ABSENT}
    client = {"visitor": api.visitor, "own team": own, "other team": api.member("linus", team="ops")}[who]

    assert client.get(f"{V1}/jobs/{ids[what]}").status_code == status


def test_a_foreign_job_looks_like_an_absent_one_to_members_and_visitors(api: Api, dev: FlaskClient) -> None:
    theirs = _provision(dev)
    for client in (api.visitor, api.member("linus", team="ops")):
        foreign, absent = client.get(f"{V1}/jobs/{theirs}"), client.get(f"{V1}/jobs/{ABSENT}")

        assert without_request_id(foreign).replace(theirs.encode(), ABSENT.encode()) == without_request_id(absent)


def test_a_token_that_has_ended_does_not_hide_a_sign_up(api: Api) -> None:
    job_id = api.sign_up("grace").json["job_id"]

    assert api.bearer("ended").get(f"{V1}/jobs/{job_id}").status_code == 200


def test_a_new_job_shows_its_whole_plan(api: Api) -> None:
    job_id = api.sign_up("grace").json["job_id"]

    job = api.visitor.get(f"{V1}/jobs/{job_id}").json

    assert (job["state"], job["kind"], job["title"]) == ("queued", "signup", SIGNUP.title)
    assert job["progress"] == {"done": 0, "total": len(SIGNUP.steps), "remaining": None}
    assert [(lane["name"], [step["name"] for step in lane["steps"]]) for lane in job["lanes"]] == [
        (lane.name, [step.name for step in lane.steps]) for lane in SIGNUP.lanes
    ]
    assert (job["waiting_on"], job["errors"], job["links"]) == ([], [], [])


def test_a_job_says_what_it_waits_for_and_what_failed(api: Api, db: Database) -> None:
    job_id = api.sign_up("grace").json["job_id"]
    outcomes.record_retry(db, claim(db, job_id, "create_gitlab_user"), code="busy", reason="GitLab is busy.", delay_s=4)
    outcomes.record_failure(
        db,
        claim(db, job_id, "create_kibana_user"),
        code="conflict",
        reason="It exists.",
        remedy=["Choose another id."],
    )

    job = api.visitor.get(f"{V1}/jobs/{job_id}").json

    (waiting,), (error,) = job["waiting_on"], job["errors"]
    assert (waiting["step"], waiting["upstream"], waiting["reason"]) == (
        "create_gitlab_user",
        "gitlab",
        "GitLab is busy.",
    )
    assert waiting["next_look_at"] is not None
    assert (error["step"], error["reason"], error["remedy"]) == (
        "create_kibana_user",
        "It exists.",
        ["Choose another id."],
    )
    (attempt,) = job["lanes"][0]["steps"][1]["attempts"]
    assert (attempt["number"], attempt["outcome"], attempt["code"]) == (1, "stumbled", "busy")
    assert "worker" not in attempt


def test_what_an_upstream_says_is_for_administrators(api: Api, db: Database) -> None:
    administrator = admin(api, db)
    job_id = api.sign_up("grace").json["job_id"]
    said = "GitLab answered 502 while creating the user grace"
    fail(db, job_id, "create_gitlab_user", f"{said}: {quoted('PRIVATE-TOKEN: of a proxy')}")
    for lane in names(db, job_id, StepState.READY):
        fail(db, job_id, lane)  # with it the job ends, and the stream of its events

    shown = {
        who: client.get(f"{V1}/jobs/{job_id}") for who, client in (("anyone", api.visitor), ("admin", administrator))
    }
    events = api.visitor.get(f"{V1}/jobs/{job_id}/events").get_data(as_text=True)

    assert shown["anyone"].json["errors"][0]["reason"] == said
    assert said in events
    assert "PRIVATE-TOKEN" not in shown["anyone"].get_data(as_text=True) + events
    assert shown["admin"].json["errors"][0]["reason"] == f"{said}: “PRIVATE-TOKEN: of a proxy”"


def test_an_unchanged_job_is_not_sent_again(api: Api) -> None:
    job_id = api.sign_up("grace").json["job_id"]
    first = api.visitor.get(f"{V1}/jobs/{job_id}")

    tag = first.headers["ETag"]
    for sent in (tag, tag.removeprefix("W/"), f'"other", {tag}', "*"):
        again = api.visitor.get(f"{V1}/jobs/{job_id}", headers={"If-None-Match": sent})

        assert (again.status_code, again.data) == (304, b"")
        assert again.headers["ETag"] == tag


def test_a_changed_job_is_sent_again_under_a_new_tag(api: Api, db: Database) -> None:
    job_id = api.sign_up("grace").json["job_id"]
    tag = api.visitor.get(f"{V1}/jobs/{job_id}").headers["ETag"]
    claim(db, job_id, "create_kibana_user")

    again = api.visitor.get(f"{V1}/jobs/{job_id}", headers={"If-None-Match": tag})

    assert (again.status_code, again.json["state"]) == (200, "running")
    assert again.headers["ETag"] != tag


def test_a_tag_does_not_show_a_foreign_job(api: Api, dev: FlaskClient) -> None:
    job_id = _provision(dev)
    tag = dev.get(f"{V1}/jobs/{job_id}").headers["ETag"]

    assert api.visitor.get(f"{V1}/jobs/{job_id}", headers={"If-None-Match": tag}).status_code == 401


def test_a_running_job_says_when_to_look_again_and_a_finished_one_does_not(api: Api, db: Database) -> None:
    job_id = api.sign_up("grace").json["job_id"]
    assert api.visitor.get(f"{V1}/jobs/{job_id}").headers["Retry-After"] == "1"

    succeed(db, job_id)

    finished = api.visitor.get(f"{V1}/jobs/{job_id}")
    assert finished.json["state"] == "succeeded"
    assert "Retry-After" not in finished.headers


@pytest.mark.parametrize("limit", [1, 2, 3, 100])
def test_every_job_is_on_exactly_one_page(api: Api, dev: FlaskClient, limit: int) -> None:
    project_id = add_project(dev)
    ids = {add_app(dev, project_id, f"app-{number}").json["job_id"] for number in range(5)}
    api.member("linus", team="ops")

    seen, cursor = [], ""
    while cursor is not None:
        query = {"kind": "provision", "limit": limit, **({"cursor": cursor} if cursor else {})}
        page = dev.get(f"{V1}/jobs", query_string=query).json
        assert len(page["jobs"]) <= limit
        seen += [job["job_id"] for job in page["jobs"]]
        cursor = page["next"]

    assert len(seen) == 5
    assert set(seen) == ids
    assert seen == sorted(seen, reverse=True)


def test_a_list_holds_the_own_team_s_jobs_only(api: Api, dev: FlaskClient) -> None:
    other = api.member("linus", team="ops")
    mine, theirs = _provision(dev), _provision(other, "kernel")

    listed = {job["job_id"] for job in dev.get(f"{V1}/jobs").json["jobs"]}

    assert mine in listed
    assert theirs not in listed


def test_a_list_is_filtered(dev: FlaskClient, db: Database) -> None:
    job_id = _provision(dev)
    app_id = dev.get(f"{V1}/jobs/{job_id}").json["app_id"]
    claim(db, job_id, "fork_source")

    def listed(**query: str) -> list[str]:
        return [job["kind"] for job in dev.get(f"{V1}/jobs", query_string=query).json["jobs"]]

    assert listed() == ["provision", "signup"]
    assert listed(kind="signup") == ["signup"]
    assert listed(state="running") == ["provision"]
    assert listed(state="queued") == ["signup"]
    assert listed(app_id=app_id) == ["provision"]
    assert listed(app_id=app_id, state="failed") == []
    assert listed(app_id=ABSENT) == []


@pytest.mark.parametrize(
    ("parameter", "value"),
    [
        ("limit", "0"),
        ("limit", "101"),
        ("limit", "-1"),
        ("limit", "ten"),
        ("limit", ""),
        ("limit", "9" * 3000),
        ("cursor", "x"),
        ("cursor", ""),
        ("cursor", "é"),
        ("cursor", "\0"),
        ("cursor", f"{ABSENT} "),
        ("state", "done"),
        ("state", "é"),
        ("kind", "é"),
        ("kind", "repair"),
        ("app_id", "é"),
        ("page", "2"),
        ("Limit", "2"),
    ],
)
def test_a_wrong_parameter_is_named(dev: FlaskClient, parameter: str, value: str) -> None:
    answer = dev.get(f"{V1}/jobs", query_string={parameter: value})

    (error,) = answer.json["errors"]
    assert answer.status_code == 422
    assert error["field"] == parameter
    assert error["code"] in ("invalid", "unknown_field")


def test_a_wrong_kind_is_answered_with_those_that_there_are(dev: FlaskClient) -> None:
    (error,) = dev.get(f"{V1}/jobs?kind=repair").json["errors"]

    assert all(kind in error["message"] for kind in WORKFLOWS)
    assert PROVISION.name in error["message"]
