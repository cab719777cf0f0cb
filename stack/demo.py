"""Does the whole thing work?  Drive it as a front end would, then ask the upstreams what they really hold."""

from __future__ import annotations

import secrets
import sys
import time
from dataclasses import dataclass
from typing import Any

import requests

from stack.embedded import StackError
from stack.progress import Progress

JOB_S = 120.0
POLL_S = 0.2
CALL_S = 15.0
LAST_LINES = 6


@dataclass(frozen=True, kw_only=True)
class Made:
    """What the demo made, for the look at the upstreams and for the summary."""

    login: str
    password: str
    team: str
    app: dict[str, Any]
    build_job_id: str
    build: dict[str, Any]
    deployment: dict[str, Any]
    token: str


class Api:
    """The HTTP API as a front end sees it."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._session = requests.Session()
        self._session.trust_env = False

    def login_as(self, token: str) -> None:
        self._session.headers["Authorization"] = f"Bearer {token}"

    def call(self, method: str, path: str, body: dict[str, str] | None = None) -> dict[str, Any]:
        """Return the answer of a call. Raises StackError with the problem that the API told."""
        answer = self._session.request(method, self._url + path, json=body, timeout=CALL_S)
        content: dict[str, Any] = answer.json()
        if not answer.ok:
            wrong = "; ".join(f"{error['field']}: {error['message']}" for error in content.get("errors", []))
            raise StackError(f"{method} {path} answered {answer.status_code} {content['title']}. {wrong}")
        return content

    def follow(self, accepted: dict[str, Any], title: str) -> dict[str, Any]:
        """Show a job until it is over. Raises StackError when it does not succeed."""
        progress, deadline = Progress(title), time.monotonic() + JOB_S
        while time.monotonic() < deadline:
            job = self.call("GET", accepted["status_url"])
            progress.show(job)
            if job["state"] == "succeeded":
                return job
            if job["state"] not in ("queued", "running"):
                reasons = "; ".join(f"{error['step']}: {error['reason']}" for error in job["errors"])
                raise StackError(f"The job {job['job_id']} {job['state']}. {reasons}")
            time.sleep(POLL_S)
        raise StackError(f"The job {accepted['job_id']} was not over after {JOB_S:.0f} s.")


def run(api_url: str) -> Made:
    """Sign up, log in, make a project and an app, build it, deploy what was built. Raises StackError."""
    api = Api(api_url)
    login, password, team = "ada", secrets.token_urlsafe(24), "dev"
    person = {"id": login, "email": "ada@example.com", "name": "Ada Lovelace", "password": password, "team": team}
    job = api.follow(api.call("POST", "/api/v1/signup", person), f"Sign-up of {login} in team {team}")
    token = api.call("POST", "/api/v1/login", {"id": login, "password": password})["token"]
    api.login_as(token)
    project = api.call("POST", "/api/v1/project", {"name": "webshop", "description": "Everything one can buy"})
    wanted = {"project_id": project["project_id"], "name": "storefront", "type": "Spring"}
    job = api.follow(api.call("POST", "/api/v1/app", wanted), "App storefront of type Spring")
    path = f"/api/v1/app/{job['app_id']}"
    build = api.follow(api.call("POST", f"{path}/builds", {}), "Build of storefront")
    _show_console(api, build)
    tag = str(build["result"]["number"])
    deployment = api.follow(api.call("POST", f"{path}/deploys", {"image_tag": tag}), f"Deployment of build {tag}")
    return Made(
        login=login,
        password=password,
        team=team,
        app=api.call("GET", path),
        build_job_id=build["job_id"],
        build=build["result"],
        deployment=deployment["result"],
        token=token,
    )


def _show_console(api: Api, build: dict[str, Any]) -> None:
    log = api.call("GET", f"/api/v1/jobs/{build['job_id']}/log")
    lines = log["text"].splitlines()
    sys.stdout.write(f"  … the last of {len(lines)} lines that it printed:\n")
    sys.stdout.writelines(f"    | {line}\n" for line in lines[-LAST_LINES:])
    sys.stdout.flush()
