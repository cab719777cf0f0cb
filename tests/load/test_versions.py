"""An upgrade under load: workers and APIs of two versions at once lose nothing and do nothing twice.

`SLIPWAY_OLD=v0.1.0 pytest -s tests/load/test_versions.py` upgrades from that revision of this repository to what is
checked out.
"""

from __future__ import annotations

import dataclasses
import os
import signal
import subprocess
import tarfile
from collections import Counter
from io import BytesIO
from pathlib import Path

import pytest
import requests
from support.checkout import ROOT
from support.services import mariadb_database
from support.stack import API, APP_WRITES, SIGN_UP_WRITES, Person, Stack, wait_for

from stack import programs
from stack.launcher import Program

JOBS = 20  # of each kind, in each stage
OLD = os.environ.get("SLIPWAY_OLD", "")
FLASK = (programs.PYTHON, "-m", "flask", "--app", "api")
MIGRATE = (*FLASK, "db", "upgrade")


@pytest.mark.skipif(not OLD, reason="set SLIPWAY_OLD to the revision to upgrade from")
def test_an_upgrade_under_load_loses_nothing_and_doubles_nothing(tmp_path: Path) -> None:
    old = _checked_out(tmp_path / "old")
    with mariadb_database() as db_url:
        stack = Stack(tmp_path, db_url=db_url, fork_s=0.2)
        try:
            accepted, writes = _upgrade(stack, old)
        finally:
            stack.stop()

    allowed = {what: count * 3 * JOBS for what, count in (SIGN_UP_WRITES + APP_WRITES).items()}
    doubled = writes - Counter(allowed)
    print(f"\nfrom {OLD}: {len(accepted)} jobs accepted in three stages, all succeeded, doubled {dict(doubled)}")  # noqa: T201 - a figure that we report
    assert len(set(accepted)) == 2 * 3 * JOBS + 1
    assert not doubled


def _upgrade(stack: Stack, old: Path) -> tuple[list[str], Counter[str]]:
    """Go through an upgrade as docs/operations.md tells it, and return the jobs and what took effect outside."""
    launcher = stack.launcher
    launcher.start(programs.broker(stack.embedded))
    launcher.start(programs.harbour(stack.embedded, ("--fork-s", "0.2")))
    _allow_every_namespace(stack, "dev")  # as the former version asked for
    launcher.run_once("migrate", MIGRATE, cwd=old)
    launcher.start(_of(old, programs.api(stack.embedded)))
    old_workers = [_of(old, programs.worker(number)) for number in (1, 2)]
    for program in old_workers:
        launcher.start(program)
    person = stack.person("ada")
    project, before = person.make_project("shop"), stack.harbour.last_call()

    accepted = _accept(stack, person, project, "old")
    launcher.run_once("migrate", MIGRATE)
    new_workers = [programs.worker(number) for number in (3, 4)]
    for program in new_workers:
        launcher.start(program)
    accepted += _accept(stack, person, project, "both")
    launcher.end(API)
    launcher.start(programs.api(stack.embedded))
    accepted.append(_only_new_workers_know(stack, person))
    for program in old_workers:
        launcher.end(program.name, signal.SIGTERM)
    accepted += _accept(stack, person, project, "new")
    for job_id in accepted:
        person.follow(job_id, within_s=300)
    given = {app["name"]: app["namespace"] for app in person.call("GET", f"/apps/{project}?limit=100").json()["apps"]}
    assert _namespaces(stack) == given
    return accepted, stack.harbour.writes(since=before)


def _allow_every_namespace(stack: Stack, project: str) -> None:
    url, password = stack.environment["ARGO_URL"], stack.environment["ARGO_TOKEN"]
    wait_for("Argo CD answers", lambda: _answers(url))
    given = {"username": "admin", "password": password}
    token = requests.post(f"{url}/api/v1/session", json=given, timeout=10).json()["token"]
    login, page = {"Authorization": f"Bearer {token}"}, f"{url}/api/v1/projects/{project}"
    made = requests.get(page, headers=login, timeout=10).json()
    made["spec"]["destinations"] = [{"name": f"{project}-cluster", "namespace": "*"}]
    requests.put(page, headers=login, json={"project": made}, timeout=10).raise_for_status()


def _answers(url: str) -> bool:
    try:
        return requests.get(f"{url}/api/version", timeout=2).ok
    except requests.RequestException:
        return False


def _namespaces(stack: Stack) -> dict[str, str]:
    """Return where each application of Argo CD deploys to."""
    login = {"Authorization": f"Bearer {stack.environment['ARGO_TOKEN']}"}
    answer = requests.get(f"{stack.environment['ARGO_URL']}/api/v1/applications", headers=login, timeout=10)
    return {each["metadata"]["name"]: each["spec"]["destination"]["namespace"] for each in answer.json()["items"]}


def _checked_out(directory: Path) -> Path:
    packed = subprocess.run(["git", "archive", OLD], cwd=ROOT, check=True, capture_output=True, timeout=60).stdout
    with tarfile.open(fileobj=BytesIO(packed)) as archive:
        archive.extractall(directory, filter="data")
    return directory


def _of(version: Path, program: Program) -> Program:
    return dataclasses.replace(program, cwd=version)


def _accept(stack: Stack, person: Person, project: str, stage: str) -> list[str]:
    people = [stack.anyone().sign_up(f"{stage}-person{number}") for number in range(JOBS)]
    return people + [person.make_app(project, f"{stage}-app{number}") for number in range(JOBS)]


def _only_new_workers_know(stack: Stack, person: Person) -> str:
    """Start a job of a kind that the old version has not, and see it done though the old workers get messages, too."""
    stack.launcher.run_once("admin", (*FLASK, "users", "grant-admin", "ada"))
    job_id = str(person.call("POST", "/upstreams/checkups", json={}).json()["job_id"])
    wait_for("a new worker has done it", lambda: person.job(job_id)["state"] == "succeeded", within_s=60)
    return job_id
