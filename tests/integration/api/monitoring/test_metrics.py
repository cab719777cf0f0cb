"""What Prometheus gets of the API: for its token only, right by the database, of all processes, and soon."""

from __future__ import annotations

import os
import re
import shutil
import signal
import threading
import time as clock
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from http.client import HTTPConnection
from pathlib import Path
from socket import create_server

import pytest
from prometheus_client.parser import text_string_to_metric_families
from pydantic import SecretStr
from sqlalchemy import update
from support.api import ENVIRONMENT, NO_BROKER, V1, Api, add_app, add_project, open_api, serve, settings
from support.captured_telemetry import Numbers, Samples, samples_of
from support.doctor_env import Broker
from support.fake_worker import claim, succeed
from support.outages import take_down
from support.stack import wait_for
from support.world import Time

from api.monitoring.backlog import CACHE_S, BackgroundRead, BacklogCollector, Sample
from common.admission import outages, slots
from common.admission.outages import HoldCode
from common.admission.slots import UpstreamLimits
from common.broker import QUEUES, celery_app
from common.database.engine import Database
from common.database.models import Step
from common.jobs import attempts
from common.telemetry import metrics
from common.workflows import EXTERNAL, SIGNUP, Upstream

pytestmark = pytest.mark.one_database

TOKEN = ENVIRONMENT["METRICS_TOKEN"]
REQUESTS = "slipway_http_request_duration_seconds_count"
NOWHERE = "mysql+pymysql://slipway@127.0.0.1:1/slipway"
SOON_S = 3.0


def _looked_up(db_url: str, time: Time, *, redis_url: str = NO_BROKER) -> Samples:
    """Return what is told of the database and the broker."""
    queue = celery_app(settings(db_url, redis_url=SecretStr(redis_url)))
    census = BacklogCollector(Database(db_url, now=time, answers_within_s=2, tries=1), queue)
    try:
        return samples_of(census.collect())
    finally:
        census.stop()


# -- who gets it --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("sent", [None, "Bearer", "Bearer another-token-of-it", f"Basic {TOKEN}", f"Bearer {TOKEN}ü"])
def test_without_the_token_nothing_is_shown(time: Time, sent: str | None) -> None:
    with open_api(NOWHERE, time) as api:
        answer = api.visitor.get("/metrics", headers={"Authorization": sent} if sent else {})

    assert (answer.status_code, answer.json["code"]) == (401, "no_metrics_token")
    assert answer.headers["WWW-Authenticate"] == "Bearer"


def test_while_no_token_is_set_nobody_is_shown_anything(time: Time) -> None:
    with open_api(NOWHERE, time, metrics_token=None) as api:
        assert api.visitor.get("/metrics").status_code == 401
        assert api.bearer("").get("/metrics").status_code == 401


def test_with_the_token_the_page_is_in_prometheus_own_format(api: Api) -> None:
    answer = api.bearer(TOKEN).get("/metrics")

    families = {family.name for family in text_string_to_metric_families(answer.text)}
    assert answer.content_type == "text/plain; version=0.0.4; charset=utf-8"
    assert {"slipway_http_request_duration_seconds", "slipway_database_up", "slipway_broker_up"} <= families


# -- what it says of requests -------------------------------------------------------------------------------------


def test_requests_are_counted_by_route_method_and_status(api: Api) -> None:
    numbers = Numbers(metrics.API)

    api.member("grace")
    api.visitor.get(f"{V1}/jobs/01890000-0000-7000-8000-000000000000")

    assert numbers.grown(REQUESTS) == {
        ("POST", f"{V1}/signup", "202"): 1,
        ("POST", f"{V1}/login", "201"): 1,
        ("GET", f"{V1}/jobs/<job_id>", "401"): 1,
    }


def test_however_strange_requests_are_they_make_no_new_series(api: Api) -> None:
    numbers = Numbers(metrics.API)

    for number in range(30):
        api.visitor.get(f"/path-{number}")
        api.visitor.get(f"{V1}/jobs/id-{number}")
        api.visitor.open("/healthz", method=f"METHOD-{number}")

    assert numbers.grown(REQUESTS) == {
        ("GET", "none", "404"): 30,
        ("GET", f"{V1}/jobs/<job_id>", "401"): 30,
        ("other", "none", "405"): 30,
    }


# -- what it says of the database ---------------------------------------------------------------------------------


def test_jobs_that_are_not_over_are_counted_and_the_oldest_has_its_age(
    api: Api, db: Database, db_url: str, time: Time
) -> None:
    member = api.member("grace")  # whose sign-up is queued
    project = add_project(member)
    time.advance(60)
    running, over = (add_app(member, project, name).json["job_id"] for name in ("compiler", "linker"))
    claim(db, running, "fork_source")
    succeed(db, over)
    time.advance(5)

    told = _looked_up(db_url, time)

    jobs = {key[1:]: number for key, number in told.items() if key[0] == "slipway_jobs"}
    assert jobs == {("signup", "queued"): 1, ("provision", "running"): 1}
    ages = {key[1]: number for key, number in told.items() if key[0] == "slipway_oldest_job_age_seconds"}
    assert ages == {"queued": 65, "running": 5, "cancelling": 0}


def test_a_sign_up_that_waits_for_an_administrator_makes_no_queued_job_look_old(db_url: str, time: Time) -> None:
    with open_api(db_url, time, signup_approval=True) as api:
        api.sign_up("ada")
    time.advance(7200)
    with open_api(db_url, time) as api:
        api.sign_up("mary")
    time.advance(5)

    told = _looked_up(db_url, time)

    assert told["slipway_jobs", "signup", "queued"] == 2
    assert told["slipway_oldest_job_age_seconds", "queued"] == 5


def test_steps_that_are_due_are_counted_by_upstream_and_the_oldest_has_its_age(
    api: Api, db: Database, db_url: str, time: Time
) -> None:
    project = add_project(api.member("grace"))  # three lanes: GitLab, Jenkins, Elasticsearch
    time.advance(10)
    begun = add_app(api.member("alan"), project, "compiler").json["job_id"]  # three more, and two of GitLab
    claim(db, begun, "fork_helm")
    time.advance(3)

    told = _looked_up(db_url, time)

    due = {key[1]: number for key, number in told.items() if key[0] == "slipway_steps_due"}
    assert due.keys() == set(Upstream)
    assert due.items() >= {"gitlab": 3, "jenkins": 2, "elasticsearch": 2, "argocd": 0, "slipway": 0}.items()
    assert told["slipway_oldest_due_step_age_seconds", "gitlab"] == 13
    assert told["slipway_oldest_due_step_age_seconds", "argocd"] == 0


def test_the_clocks_are_late_by_the_step_that_waits_longest_for_them(
    api: Api, db: Database, db_url: str, time: Time
) -> None:
    assert _looked_up(db_url, time)["slipway_clock_lag_seconds",] == 0
    api.sign_up("grace")

    late_since = time() - timedelta(seconds=7)
    db.transaction(lambda session: session.execute(update(Step).values(nudge_at=late_since)))

    assert _looked_up(db_url, time)["slipway_clock_lag_seconds",] == 7


def test_upstreams_tell_whether_they_are_up_paused_and_how_much_is_at_work_there(
    api: Api, db: Database, db_url: str, time: Time
) -> None:
    slots.prepare(db, {upstream: UpstreamLimits(at_once=2) for upstream in EXTERNAL})
    outages.pause(db, Upstream.JENKINS, by="chief", reason="moved", now=time())
    take_down(db, Upstream.ARGOCD, "no answer")
    job_id = api.sign_up("grace").json["job_id"]
    limits = {Upstream.GITLAB: UpstreamLimits(at_once=2), Upstream.JENKINS: UpstreamLimits(at_once=2)}
    for step in ("check_gitlab_name", "check_jenkins_name"):
        attempts.claim(db, job_id, step, worker="w", limits=limits)

    told = _looked_up(db_url, time)

    up = {key[1]: number for key, number in told.items() if key[0] == "slipway_upstream_up"}
    assert up == {**dict.fromkeys(EXTERNAL, 1), "argocd": 0}
    assert (told["slipway_upstream_paused", "jenkins"], told["slipway_upstream_paused", "gitlab"]) == (1, 0)
    in_use = {key[1]: number for key, number in told.items() if key[0] == "slipway_upstream_slots_in_use"}
    assert in_use == {**dict.fromkeys(EXTERNAL, 0), "gitlab": 1}
    assert told["slipway_steps_parked", HoldCode.PAUSED.value, "jenkins"] == 1


def test_what_is_merely_next_in_line_is_parked_as_busy_whatever_it_waits_for(
    api: Api, db: Database, db_url: str, time: Time
) -> None:
    api.sign_up("grace")
    parked = {"parked_at": time(), "nudge_at": None, "code": "not_yet"}
    db.transaction(lambda session: session.execute(update(Step).where(Step.position == 0).values(**parked)))

    told = _looked_up(db_url, time)

    assert told["slipway_steps_parked", HoldCode.BUSY.value, "gitlab"] == 1
    assert told["slipway_steps_due", "gitlab"] == 0


@pytest.mark.parametrize("is_unavailable", [False, True], ids=["refuses", "says nothing"])
def test_a_database_that_is_away_is_told_soon_and_what_it_knows_is_left_out(time: Time, is_unavailable: bool) -> None:
    with create_server(("127.0.0.1", 0)) as listener:
        url = f"mysql+pymysql://slipway@127.0.0.1:{listener.getsockname()[1]}/slipway"
        if not is_unavailable:
            listener.close()
        began_s = clock.monotonic()

        told = _looked_up(url, time)

        took_s = clock.monotonic() - began_s
    assert took_s < SOON_S
    assert told == {("slipway_database_up",): 0, ("slipway_broker_up",): 0}


# -- what it says of the broker -----------------------------------------------------------------------------------


def test_messages_that_nobody_has_taken_are_counted_by_queue(db_url: str, time: Time, tmp_path: Path) -> None:
    broker = Broker(tmp_path / "broker")
    try:
        before = _looked_up(db_url, time, redis_url=broker.url)
        with open_api(db_url, time, redis_url=SecretStr(broker.url)) as api:
            api.sign_up("grace")
            wait_for("all lanes are sent", lambda: _messages(broker) == len(SIGNUP.lanes) or None)
        after = _looked_up(db_url, time, redis_url=broker.url)
    finally:
        broker.stop()

    assert (before["slipway_broker_up",], after["slipway_broker_up",]) == (1, 1)
    counts = [{name: told["slipway_broker_messages", name] for name in QUEUES} for told in (before, after)]
    empty = dict.fromkeys(QUEUES, 0)
    assert counts == [empty, {**empty, "gitlab": 1, "jenkins": 1, "elasticsearch": 1}]


def _messages(broker: Broker) -> int:
    return sum(broker.client.llen(f"slipway:{name}") for name in QUEUES)


# -- one look at a time -------------------------------------------------------------------------------------------


def test_many_who_ask_at_once_cause_one_look_whose_answer_is_kept_for_a_while() -> None:
    gate, asked, now_s = threading.Event(), [], 0.0

    def ask() -> list[Sample]:
        asked.append(1)
        gate.wait(10)
        return []

    thread = ThreadPoolExecutor(1)
    look = BackgroundRead(thread, ask, clock_s=lambda: now_s)
    first = [look.start() for _ in range(20)]
    gate.set()
    answers = [future.result(10) for future in first]
    kept = look.start()
    now_s = CACHE_S
    anew = look.start()
    anew.result(10)
    thread.shutdown()

    assert answers == [[]] * 20
    assert kept is first[0]
    assert anew is not kept
    assert len(asked) == 2


# -- several processes --------------------------------------------------------------------------------------------


def _get(address: tuple[str, int], path: str) -> str:
    """Return the page that one of the processes answers with, by a connection of its own."""
    connection = HTTPConnection(*address, timeout=20)
    connection.request("GET", path, headers={"Authorization": f"Bearer {TOKEN}", "Connection": "close"})
    page = connection.getresponse().read().decode()
    connection.close()
    return page


def _counted(address: tuple[str, int]) -> float:
    """Return how many looks at /healthz the process that answers knows of."""
    told = samples_of(text_string_to_metric_families(_get(address, "/metrics")))
    return told.get((REQUESTS, "GET", "/healthz", "200"), 0)


def test_whichever_process_is_asked_tells_the_requests_of_all_and_of_those_that_have_died(
    migrated_sqlite: Path, tmp_path: Path
) -> None:
    url, log = f"sqlite:///{shutil.copy(migrated_sqlite, tmp_path / 'slipway.db')}", tmp_path / "gunicorn.log"
    with serve(url, log, tmpdir=str(tmp_path)) as address:
        for _ in range(20):
            _get(address, "/healthz")
        told_before = {_counted(address) for _ in range(10)}
        for pid in re.findall(r"Booting worker with pid: (\d+)", log.read_text()):
            os.kill(int(pid), signal.SIGKILL)
        wait_for("two others are there", lambda: log.read_text().count("Booting worker") >= 4 or None)
        for _ in range(20):
            _get(address, "/healthz")
        told_after = {_counted(address) for _ in range(10)}
        kept = sorted(file.name for file in tmp_path.glob("slipway-metrics-*/*"))

    assert (told_before, told_after) == ({20}, {40})
    assert set(kept) <= {f"{kind}_{number}.db" for kind in ("histogram", "counter") for number in range(2)}
    assert list(tmp_path.glob("slipway-metrics-*")) == []
