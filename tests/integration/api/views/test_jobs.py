"""Jobs: who may see them, conditional requests, and every job on exactly one page."""

from __future__ import annotations

from typing import Any

import pytest
from flask.testing import FlaskClient
from support.api import V1, Api, add_app, add_project, remove_app, without_request_id
from support.fake_worker import add_build, add_provisioned, admin, claim, fail, names, succeed

from api.presentation.durations import StepDurations, TypicalDuration
from common.admission import outages
from common.database.engine import Database
from common.jobs import attempts, dispatch, outcomes
from common.jobs.claims import Claim
from common.plain_text import quoted
from common.states import StepState
from common.workflows import BUILD, PROVISION, SIGNUP, WORKFLOWS, Upstream

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

    assert (job["state"], job["kind"], job["title"]) == ("queued", "signup", "Sign-up of grace")
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


# -- what a list says -------------------------------------------------------------------------------------------------


def _listed(client: FlaskClient, **query: str) -> list[dict[str, Any]]:
    answer = client.get(f"{V1}/jobs", query_string=query)
    assert answer.status_code == 200, answer.text
    return list(answer.json["jobs"])


def test_a_title_names_the_build_and_the_app(dev: FlaskClient, db: Database) -> None:
    app_id = add_provisioned(db, dev)
    job_id = add_build(db, dev, app_id, "1.0")
    running = dev.post(f"{V1}/app/{app_id}/builds", json={"branch": "fix"}).json["job_id"]
    succeed(db, running, but=("await_result",), await_executor={"number": 8, "url": "http://jenkins.invalid/job/8/"})
    dev.post(f"{V1}/app/{app_id}/deploys", json={"image_tag": "1.0"})

    titles = {each["job_id"]: each["title"] for each in _listed(dev)}

    assert titles[running] == dev.get(f"{V1}/jobs/{running}").json["title"] == "Build 8 of compiler"
    assert titles[job_id] == "Build of compiler"  # its executor was never reported here
    assert next(iter(titles.values())) == "Deployment 1.0 of compiler"
    assert list(titles.values())[-1] == "Sign-up of grace"


def test_a_list_names_apps_that_were_removed_and_says_who_failed_where(
    dev: FlaskClient, chief: FlaskClient, db: Database
) -> None:
    app_id = add_provisioned(db, dev)
    removal = remove_app(dev, app_id).json["job_id"]
    succeed(db, removal)
    failed = add_app(dev, add_project(dev, "others"), "linker").json["job_id"]
    said = "GitLab answered 502"
    fail(db, failed, "fork_source", f"{said}: {quoted('of a proxy')}")

    newest, before = _listed(dev)[:2]

    assert (before["app"], before["title"], before["user"], before["team"]) == (
        "compiler", "Removal of compiler", "grace", "dev",
    )  # fmt: skip
    assert [(each["upstream"], each["step"], each["reason"]) for each in newest["errors"]] == [
        ("gitlab", "fork_source", said)
    ]
    (all_said,) = _listed(chief, team="dev", kind="provision")[0]["errors"]
    assert all_said["reason"] != said  # an administrator reads what the upstream has said, too


def test_a_list_takes_several_states_and_administrators_take_all_teams(
    dev: FlaskClient, ops: FlaskClient, chief: FlaskClient, db: Database
) -> None:
    for client, name in ((dev, "compiler"), (ops, "kernel"), (dev, "linker")):
        add_app(client, add_project(client, f"of-{name}"), name)
    fail(db, _listed(dev, kind="provision")[0]["job_id"], "fork_source")

    assert [each["subject"] for each in _listed(dev, state="queued,running", kind="provision")] == [
        "linker", "compiler",
    ]  # fmt: skip
    assert [each["subject"] for each in _listed(chief, team="*", kind="provision", state="queued,running")] == [
        "linker", "kernel", "compiler",
    ]  # fmt: skip
    everything = _listed(chief, team="*")
    assert [each["job_id"] for each in everything] == sorted((each["job_id"] for each in everything), reverse=True)
    assert {each["team"] for each in everything} == {"dev", "ops"}
    assert dev.get(f"{V1}/jobs?team=*").status_code == 404


def test_pages_of_several_states_have_every_job_once(dev: FlaskClient, db: Database) -> None:
    project_id = add_project(dev)
    for number in range(7):
        job_id = add_app(dev, project_id, f"app-{number}").json["job_id"]
        if number % 2:
            succeed(db, job_id)
    query, seen, cursor = f"{V1}/jobs?state=queued,succeeded&kind=provision&limit=3&total=true", [], ""
    while True:
        page = dev.get(query + cursor).json
        seen += [each["subject"] for each in page["jobs"]]
        if page["next"] is None:
            break
        cursor = f"&cursor={page['next']}"

    assert seen == [f"app-{number}" for number in reversed(range(7))]
    assert page["total"] == 7


def test_jobs_are_counted_by_kind_and_state(dev: FlaskClient, chief: FlaskClient, db: Database) -> None:
    add_provisioned(db, dev)
    add_app(dev, add_project(dev, "others"), "linker")

    def counts(client: FlaskClient, team: str) -> dict[tuple[str, str], int]:
        found = client.get(f"{V1}/jobs/counts?team={team}").json["counts"]
        return {(each["kind"], each["state"]): each["jobs"] for each in found}

    assert counts(dev, "dev") == {
        ("signup", "queued"): 1, ("provision", "queued"): 1, ("provision", "succeeded"): 1,
    }  # fmt: skip
    assert counts(chief, "*")[("signup", "queued")] == 2


def test_a_job_that_existed_is_not_new(dev: FlaskClient, db: Database) -> None:
    app_id = add_provisioned(db, dev)

    first, again = (dev.post(f"{V1}/app/{app_id}/builds", json={}).json for _ in range(2))
    changed = dev.post(f"{V1}/jobs/{first['job_id']}/cancel", json={}).json

    assert first["job_id"] == again["job_id"]
    assert [each["is_new"] for each in (first, again, changed)] == [True, False, False]


# -- outages ----------------------------------------------------------------------------------------------------------


def test_no_time_is_promised_while_an_upstream_does_not_answer(
    dev: FlaskClient, db: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    known = {step.name: TypicalDuration(p50_s=5, p90_s=9) for step in BUILD.steps}
    monkeypatch.setattr(StepDurations, "of", lambda *_: known)
    app_id = add_provisioned(db, dev)
    job_id = dev.post(f"{V1}/app/{app_id}/builds", json={}).json["job_id"]
    assert dev.get(f"{V1}/jobs/{job_id}").json["progress"]["remaining"] is not None
    claimed = claim(db, job_id, "start_build")
    outcomes.record_retry(db, claimed, code="unavailable", reason="No answer.", delay_s=300)

    shown = dev.get(f"{V1}/jobs/{job_id}").json

    assert shown["progress"]["remaining"] is None
    assert shown["waiting_on"][0]["next_look_at"] is not None


def test_a_step_that_is_held_back_says_when_its_upstream_is_looked_at(dev: FlaskClient, db: Database) -> None:
    app_id = add_provisioned(db, dev)
    job_id = dev.post(f"{V1}/app/{app_id}/builds", json={}).json["job_id"]
    outages.record_unavailable(db, Upstream.JENKINS, "No answer.", db.now(), enough=1)
    held = attempts.claim(db, job_id, "start_build", worker="w", limits={})

    (waiting,) = dev.get(f"{V1}/jobs/{job_id}").json["waiting_on"]

    assert not isinstance(held, Claim)
    assert (waiting["code"], waiting["next_look_at"] is not None) == ("outage", True)


def test_a_poll_begins_what_waits_and_the_attempt_counts(dev: FlaskClient, db: Database) -> None:
    app_id = add_provisioned(db, dev)
    job_id = dev.post(f"{V1}/app/{app_id}/builds", json={}).json["job_id"]
    early = dev.post(f"{V1}/jobs/{job_id}/poll", json={})
    claimed = claim(db, job_id, "start_build")
    outcomes.record_retry(db, claimed, code="unavailable", reason="No answer.", delay_s=300)
    tag = dev.get(f"{V1}/jobs/{job_id}").headers["ETag"]

    polled = dev.post(f"{V1}/jobs/{job_id}/poll", json={})

    due = dispatch.take_due(db, limit=10)
    assert (early.status_code, early.json["code"]) == (409, "nothing_to_poll")
    assert (polled.status_code, polled.json["job_id"]) == (202, job_id)
    assert [message.steps[0] for message in due if message.job_id == job_id] == ["start_build"]
    assert claim(db, job_id, "start_build").tries == 2
    assert dev.get(f"{V1}/jobs/{job_id}", headers={"If-None-Match": tag}).status_code == 200
