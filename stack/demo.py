"""The main job, driven as a front end would: `python -m stack.demo URL`, or as part of `make demo`."""

from __future__ import annotations

import secrets
import subprocess
import sys
from dataclasses import dataclass
from typing import Any

from slipway import Client, ClientError
from slipway.progress import Progress
from stack.developer import push_change
from stack.embedded import StackError

JOB_S = 120.0
LAST_LINES = 6


@dataclass(frozen=True, kw_only=True)
class DemoResult:
    """What the demo created, for the check of the upstreams and for the summary."""

    login: str
    password: str
    team: str
    app: dict[str, Any]
    commit: str
    build_job_id: str
    build: dict[str, Any]
    deployment: dict[str, Any]


def run(api_url: str) -> DemoResult:
    """Sign up, log in, create a project and an app, commit to it, build it, deploy the build. Raises StackError."""
    try:
        return _drive(Client(api_url))
    except (ClientError, subprocess.SubprocessError) as error:
        raise StackError(str(error)) from None


def _drive(slipway: Client) -> DemoResult:
    login, password, team = "ada", secrets.token_urlsafe(24), "dev"
    accepted = slipway.sign_up(login, email="ada@example.com", name="Ada Lovelace", password=password, team=team)
    _follow(slipway, accepted, f"Sign-up of {login} in team {team}")
    slipway.log_in(login, password)
    project = slipway.create_project("webshop", description="The shop's applications")
    accepted = slipway.create_app(project["project_id"], "storefront", type="Spring")
    app_id = _follow(slipway, accepted, "App storefront of type Spring")["app_id"]
    commit = push_change(clone_url(slipway.get_app(app_id)), login=login, password=password)
    sys.stdout.write(f"  {login} pushed the commit {commit}\n")
    build = _follow(slipway, slipway.start_build(app_id), "Build of storefront")
    _show_console(slipway, build["job_id"])
    sys.stdout.write(f"  built {build['result']['commit']}, pushed {build['result']['image']}\n")
    deployment = _follow(slipway, slipway.start_deploy(app_id), f"Deployment of build {build['result']['number']}")
    return DemoResult(
        login=login,
        password=password,
        team=team,
        app=slipway.get_app(app_id),
        commit=commit,
        build_job_id=build["job_id"],
        build=build["result"],
        deployment=deployment["result"],
    )


def clone_url(app: dict[str, Any]) -> str:
    """Return the address of an app's source repository."""
    name = f"{app['team']}/{app['name']}"
    return next(str(part["clone_url"]) for part in app["parts"] if (part["kind"], part["name"]) == ("project", name))


def _follow(slipway: Client, accepted: dict[str, Any], title: str) -> dict[str, Any]:
    return slipway.await_job(accepted["job_id"], within_s=JOB_S, show=Progress(title).show)


def _show_console(slipway: Client, job_id: str) -> None:
    lines = slipway.read_log(job_id)["text"].splitlines()
    sys.stdout.write(f"  … the last lines of its console, {len(lines)} in all:\n")
    sys.stdout.writelines(f"    | {line}\n" for line in lines[-LAST_LINES:])
    sys.stdout.flush()


def parts_of(app: dict[str, Any]) -> str:
    """Return the app's parts, one a line."""
    return "\n".join(f"  {part['state']:<8} {part['kind']:<12} {part['url'] or part['name']}" for part in app["parts"])


def main() -> int:
    try:
        result = run(sys.argv[1])
    except StackError as problem:
        sys.stderr.write(f"{problem}\n")
        return 1
    sys.stdout.write(f"\nParts of the app {result.app['name']}:\n{parts_of(result.app)}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
