"""How a job of each workflow comes to be through the API, and what has to exist before it can.

A new workflow needs a row in `ACCEPT`; `tests/unit/test_chaos_scenarios.py` fails until it has one.
"""

from __future__ import annotations

import json
import secrets
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

from common.workflows import BUILD
from support.chaos.callers import Caller, new_request_id, number_of
from support.chaos.installation import ADMIN, PASSWORD, Installation
from support.stack import wait_for

CROWD = 8
SETTLED_S = 180.0
OVER = ("succeeded", "failed", "cancelled")


@dataclass(frozen=True)
class Accepted:
    """A job, the workflow that it runs, and the id of the request that began it: the label of its calls."""

    kind: str
    job_id: str
    request_id: str


class Scenarios:
    """Accepts jobs. What they need is made in advance, many at a time."""

    def __init__(self, installation: Installation) -> None:
        self._installation = installation
        self._lock = threading.Lock()
        self._apps: list[str] = []  # complete, and never built, deployed or removed yet
        self._people: list[str] = []
        self._given: dict[str, str] = {}  # app or person, by the request that is about it
        self._changing: dict[str, Caller] = {}  # who changes a password, by that request
        self.everything: list[Accepted] = []
        self.admin = installation.caller()
        self._project = ""

    # -- in advance -------------------------------------------------------------------------------------------

    def prepare(self) -> None:
        """Log in, and make the project that all apps belong to."""
        self.admin.log_in(ADMIN, PASSWORD)
        self._project = self.admin.make_project(f"shop-{secrets.token_hex(3)}")

    def stock(self, *, apps: int = 0, people: int = 0) -> None:
        """Make what later jobs are about, up to these numbers."""
        missing_apps = max(0, apps - len(self._apps))
        missing_people = max(0, people - len(self._people))
        with ThreadPoolExecutor(CROWD) as crowd:
            provisions = list(crowd.map(lambda _: self.provision(new_request_id("stock-app")), range(missing_apps)))
            signups = list(crowd.map(lambda _: self.sign_up(new_request_id("stock-person")), range(missing_people)))
        self.settle([*provisions, *signups])
        self._apps += [self._about(job, "app_id") for job in provisions]
        self._people += [self._input_of(job)["login"] for job in signups]

    def settle(self, jobs: list[Accepted], *, within_s: float = SETTLED_S) -> dict[str, str]:
        """Return the state of each job, once all are over. Fails when one is not in time."""
        if not jobs:
            return {}
        wait_for("the jobs are over", lambda: not self.unsettled(jobs), within_s=within_s)
        return self.states(jobs)

    def states(self, jobs: list[Accepted]) -> dict[str, str]:
        """Return the state of each job by its id."""
        ids = [job.job_id for job in jobs]
        rows = self._installation.rows("SELECT id, state FROM jobs WHERE id IN %s", ids) if ids else []
        return {str(row["id"]): str(row["state"]) for row in rows}

    def unsettled(self, jobs: list[Accepted]) -> list[str]:
        states = self.states(jobs)
        return [job.job_id for job in jobs if states.get(job.job_id) not in OVER]

    # -- one job of each workflow -----------------------------------------------------------------------------

    def accept(self, kind: str, request_id: str) -> Accepted:
        """Start a job of a workflow and return it. What it needs has to be in stock."""
        return ACCEPT[kind](self, request_id)

    def sign_up(self, request_id: str) -> Accepted:
        login = f"person{number_of(request_id)}"
        return self._note("signup", self._caller().sign_up(login, request_id=request_id), request_id)

    def provision(self, request_id: str) -> Accepted:
        name = f"app{number_of(request_id)}"
        return self._note("provision", self.admin.make_app(self._project, name, request_id=request_id), request_id)

    def plan(self, request_id: str) -> Accepted:
        name = f"planned{number_of(request_id)}"
        answer = self.admin.make_app(self._project, name, request_id=request_id, dry_run="true")
        return self._note("plan", answer, request_id)

    def build(self, request_id: str) -> Accepted:
        return self._for_app("build", "POST", "/builds", request_id, self._take(request_id))

    def deploy(self, request_id: str) -> Accepted:
        app = self._take(request_id)
        name = self._installation.rows("SELECT name FROM apps WHERE id = %s", app)[0]["name"]
        self._installation.harbour.push_image(f"registry.example.com/apps/{name}:1.2.3")
        return self._for_app("deploy", "POST", "/deploys", request_id, app, body={"image_tag": "1.2.3", "force": True})

    def deprovision(self, request_id: str) -> Accepted:
        app = self._take(request_id)
        name = self._installation.rows("SELECT name FROM apps WHERE id = %s", app)[0]["name"]
        return self._for_app("deprovision", "DELETE", "", request_id, app, confirm=str(name))

    def reconcile(self, request_id: str) -> Accepted:
        return self._for_app("reconcile", "POST", "/reconcile", request_id, self._take(request_id))

    def drift(self, request_id: str) -> Accepted:
        return self._for_app("drift", "GET", "/drift", request_id, self._take(request_id))

    def removal_preview(self, request_id: str) -> Accepted:
        return self._for_app("removal_preview", "DELETE", "", request_id, self._take(request_id), dry_run="true")

    def checkup(self, request_id: str) -> Accepted:
        answer = self.admin.accept("POST", "/upstreams/checkups", {}, request_id=request_id)
        return self._note("checkup", answer, request_id)

    def offboard(self, request_id: str) -> Accepted:
        login = self._take_person(request_id)
        answer = self.admin.accept("DELETE", f"/users/{login}", request_id=request_id)
        return self._note("offboard", answer, request_id)

    def change_password(self, request_id: str) -> Accepted:
        login = self._take_person(request_id)
        caller = self._changing.setdefault(request_id, self._caller())
        if not caller.is_logged_in:  # asked again, the request is in the same session: the password has changed
            caller.log_in(login, PASSWORD)
        body = {"password": PASSWORD, "new_password": "looms weave flowers"}
        answer = caller.accept("PUT", "/me/password", body, request_id=request_id)
        return self._note("change_password", answer, request_id)

    def keep_open(self, request_id: str) -> None:
        """Let the build of this request not come to its end before it is cancelled, however long that takes."""
        self._installation.harbour.fault("jenkins", kind="hold", user_agent=f"^slipway {request_id}/await_executor$")

    def cancel(self, build: Accepted) -> None:
        """Cancel a build that was kept open, once it has begun."""
        started = "SELECT id FROM steps WHERE job_id = %s AND name = 'start_build' AND state = 'succeeded'"
        wait_for("the build has begun", lambda: self._installation.rows(started, build.job_id), within_s=60)
        self.admin.send("POST", f"/jobs/{build.job_id}/cancel", {}).raise_for_status()

    # -- helpers ----------------------------------------------------------------------------------------------

    def _caller(self) -> Caller:
        return self._installation.caller()

    def _take(self, request_id: str) -> str:
        """Return an app for this request; for the same request the same app."""
        with self._lock:
            if request_id not in self._given:
                self._given[request_id] = self._apps.pop()
            return self._given[request_id]

    def _take_person(self, request_id: str) -> str:
        with self._lock:
            if request_id not in self._given:
                self._given[request_id] = self._people.pop()
            return self._given[request_id]

    def give_back(self, job: Accepted) -> None:
        """Let others have the app of a job that is over, unless it has removed it."""
        with self._lock:
            if job.kind in NEEDS_APP - {"deprovision"}:
                self._apps.append(self._given.pop(job.request_id))

    def _for_app(
        self, kind: str, method: str, path: str, request_id: str, app: str, *, body: Any = None, **query: str
    ) -> Accepted:
        sent = body if body is not None else {} if method == "POST" else None
        answer = self.admin.accept(method, f"/app/{app}{path}", sent, request_id=request_id, **query)
        return self._note(kind, answer, request_id)

    def _note(self, kind: str, answer: dict[str, Any], request_id: str) -> Accepted:
        accepted = Accepted(kind, str(answer["job_id"]), request_id)
        with self._lock:
            self.everything.append(accepted)
        return accepted

    def _about(self, job: Accepted, column: str) -> str:
        return str(self._installation.rows(f"SELECT {column} AS it FROM jobs WHERE id = %s", job.job_id)[0]["it"])  # noqa: S608 - our names

    def calls(self, *, since: int = 0) -> list[dict[str, Any]]:
        """Return the calls of the upstreams after the one with this number."""
        return self._installation.harbour.calls(since=since)

    def _input_of(self, job: Accepted) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(self._about(job, "input"))
        return found


ACCEPT: dict[str, Callable[[Scenarios, str], Accepted]] = {
    "signup": Scenarios.sign_up,
    "provision": Scenarios.provision,
    "build": Scenarios.build,
    "deploy": Scenarios.deploy,
    "deprovision": Scenarios.deprovision,
    "removal_preview": Scenarios.removal_preview,
    "reconcile": Scenarios.reconcile,
    "drift": Scenarios.drift,
    "plan": Scenarios.plan,
    "checkup": Scenarios.checkup,
    "offboard": Scenarios.offboard,
    "change_password": Scenarios.change_password,
}
NEEDS_APP = frozenset({"build", "deploy", "deprovision", "removal_preview", "reconcile", "drift"})
NEEDS_PERSON = frozenset({"offboard", "change_password"})
CANCELS = BUILD.on_cancel.name if BUILD.on_cancel else ""  # the step that needs a cancellation to run
