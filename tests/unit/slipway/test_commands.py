"""The command line: what goes to which output, how it ends, and what stays secret."""

from __future__ import annotations

import json
import stat
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import click
import pytest
from click.testing import CliRunner, Result
from support.stand_in import JOB_ID, Clock, JobScript, Say, StandIn, job_of, lost, ok, page, problem, standing_in

from api.openapi.examples import EXAMPLES
from slipway import RetryPolicy
from slipway.cli import slipway

TOKEN, PASSWORD = "canary-token-3f1c", "canary-password-77aa"
APP_ID, PROJECT_ID = "01a20680-0000-7000-8000-00000000000a", "01a20680-0000-7000-8000-00000000000b"
AT = "2026-01-31T08:00:00Z"
ME = {"id": "ada", "email": "ada@example.com", "name": "Ada Lovelace", "team": "dev", "is_admin": False}
PROJECT = {"project_id": PROJECT_ID, "name": "webshop", "description": "", "team": "dev", "created_at": AT}
APP = {"app_id": APP_ID, "project_id": PROJECT_ID, "name": "shop", "type": "Spring", "team": "dev", "created_at": AT}
PART = {"state": "created", "kind": "project", "url": "http://git/shop", "name": "shop"}
DEPLOY = {"job_id": JOB_ID, "state": "succeeded", "image_tag": "7", "revision": "main", "created_at": AT}
SESSION_ID = "6b86b273ff34fce19d6b804eff5a3f57"
SESSION = {
    "session_id": SESSION_ID, "created_at": AT, "last_used_at": AT, "expires_at": AT, "address": None,
    "user_agent": "Firefox", "current": True,
}  # fmt: skip
API_TOKEN = {
    "token_id": JOB_ID, "name": "ci", "scope": "build", "created_at": AT, "expires_at": AT, "last_used_at": None,
}  # fmt: skip
ACCEPTED = ok({"job_id": JOB_ID, "status_url": f"/api/v1/jobs/{JOB_ID}", "app_id": APP_ID}, 202)
PIECE = {"text": "one\n", "start": 0, "next_start": 4, "more": False, "truncated": False}
CHECK = {
    "group": "Jenkins", "check": "version", "question": "New enough?", "state": "wrong", "said": "2.1",
    "remedy": "Upgrade it.",
}  # fmt: skip
UPSTREAM = {
    "name": "jenkins", "title": "Jenkins", "state": "open", "since": None, "reason": None, "paused_by": None,
    "next_look_at": None, "at_work": 2, "at_once": 12, "calls_per_second": 0, "parked": 0, "checks": [CHECK],
}  # fmt: skip
PAUSED = {**UPSTREAM, "state": "paused", "since": AT, "reason": "Upgrade to 2.541", "paused_by": "grace", "parked": 40}
UPSTREAMS = {"upstreams": [PAUSED], "others": [], "checkup": JOB_ID, "checked_at": AT}
COUNT = {"kind": "build", "state": "failed", "jobs": 10_000, "is_capped": True}
ACT = {
    "at": AT, "action": "app.remove", "actor": "bob", "channel": "token", "address": "192.0.2.7", "reason": None,
    "object_kind": "app", "object_id": APP_ID, "object_name": "shop",
}  # fmt: skip
LOGGED_IN = ok({"token": TOKEN, "expires_at": AT, "user": ME}, 201)

Run = Callable[..., Result]


@pytest.fixture
def server() -> Iterator[StandIn]:
    """A server with a person, a project, an app, and a build that succeeds."""
    with standing_in() as server:
        server.on("GET", "/me", ok(ME))
        server.on("GET", "/project/dev", ok({"projects": [PROJECT], "next": None}))
        server.on("GET", f"/apps/{PROJECT_ID}", ok({"apps": [APP], "next": None}))
        server.on("GET", f"/app/{APP_ID}", ok({**APP, "parts": [PART], "job_id": JOB_ID, "state": "succeeded"}))
        server.on("GET", f"/app/{APP_ID}/builds", ok({"builds": [{**DEPLOY, "number": 7}], "next": None}))
        server.on("GET", f"/app/{APP_ID}/deploys", ok({"deploys": [DEPLOY], "next": None}))
        server.on("GET", "/jobs", ok({"jobs": [job_of("running")], "next": None}))
        server.on("GET", f"/jobs/{JOB_ID}/log", ok(PIECE))
        server.on("POST", f"/app/{APP_ID}/builds", ACCEPTED)
        server.on("POST", "/login", LOGGED_IN)
        JobScript(server, "queued", "running", "succeeded", told=1)
        yield server


@pytest.fixture
def run(server: StandIn, tmp_path: Path) -> Run:
    """Run the program as somebody who is logged in; `env` changes the environment."""
    clock = Clock()

    def run(*arguments: str, env: dict[str, str | None] | None = None, **options: Any) -> Result:
        environment = {
            "SLIPWAY_URL": server.url,
            "SLIPWAY_TOKEN": TOKEN,
            "XDG_CONFIG_HOME": str(tmp_path),
            **(env or {}),
        }
        retry = RetryPolicy(sleep=clock.sleep, clock=clock)
        return CliRunner(env=environment).invoke(slipway, arguments, obj=retry, prog_name="slipway", **options)

    return run


def _commands(group: click.Group, *names: str) -> Iterator[tuple[str, click.Command]]:
    for name, command in group.commands.items():
        if isinstance(command, click.Group):
            yield from _commands(command, *names, name)
        else:
            yield " ".join((*names, name)), command


COMMANDS = dict(_commands(slipway))

# -- help ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_explains_itself_and_takes_json(name: str) -> None:
    shown = CliRunner().invoke(slipway, [*name.split(), "--help"])

    assert shown.exit_code == 0
    assert "--json" in shown.stdout
    assert all(option.help for option in COMMANDS[name].params if isinstance(option, click.Option))
    assert (COMMANDS[name].help or "").partition("\n")[0].endswith(".")


def test_the_programs_own_help_cuts_no_sentence_and_names_every_exit_code() -> None:
    shown = CliRunner().invoke(slipway, ["--help"]).stdout

    assert "..." not in shown.partition("Commands:")[2]
    for code in (
        "0  done",
        "1  the job failed",
        "2  a mistake",
        "3  the server refused",
        "4  the server cannot",
        "130",
        "141",
    ):
        assert code in shown
    assert [option for option in COMMANDS["login"].params if "password" in (option.name or "")] == []


# -- exit codes and outputs ---------------------------------------------------------------------------------------


def test_a_command_follows_the_job_that_it_starts(run: Run, server: StandIn) -> None:
    ended = run("build", "shop", "--image-tag", "7")

    assert (ended.exit_code, ended.stderr) == (0, "")
    assert "✓ build    await_result           succeeded" in ended.stdout
    assert ended.stdout.endswith("Build 7: http://jenkins/7/\nImage shop:7, commit c0ffee\n")
    assert server.calls("POST", f"/app/{APP_ID}/builds")[0].body == {"image_tag": "7"}


@pytest.mark.parametrize(
    ("options", "sent"),
    [((), {}), (("--image-tag", "7", "--force"), {"image_tag": "7", "force": True})],
    ids=["the newest build", "forced"],
)
def test_a_deployment_sends_what_was_asked_for(
    run: Run, server: StandIn, options: tuple[str, ...], sent: dict[str, object]
) -> None:
    server.on("POST", f"/app/{APP_ID}/deploys", ACCEPTED)

    assert run("deploy", "shop", "--no-wait", *options).exit_code == 0
    assert server.calls("POST", f"/app/{APP_ID}/deploys")[0].body == sent


def test_no_wait_prints_the_jobs_id_and_nothing_else(run: Run, server: StandIn) -> None:
    ended = run("build", "shop", "--no-wait")

    assert (ended.exit_code, ended.stdout, ended.stderr) == (0, f"{JOB_ID}\n", "")
    assert server.calls("GET", f"/jobs/{JOB_ID}") == []


@pytest.mark.parametrize("flags", [(), ("--json",)])
def test_a_job_that_fails_is_1_with_its_reasons_and_remedies(run: Run, server: StandIn, flags: tuple[str, ...]) -> None:
    JobScript(server, "running", "failed")

    ended = run("build", "shop", *flags)

    assert ended.exit_code == 1
    assert ended.stderr.splitlines()[-4] == f"Error: The job {JOB_ID} failed."
    assert "await_result (jenkins): It broke." in ended.stderr
    assert "Correct it." in ended.stderr
    assert f"slipway jobs retry {JOB_ID}" in ended.stderr


@pytest.mark.parametrize(
    "arguments",
    [("bild",), ("build",), ("build", "nosuchapp"), ("jobs", "list", "--since", "soon"), ("jobs", "show", "..")],
)
def test_a_mistake_is_2(run: Run, arguments: tuple[str, ...]) -> None:
    assert run(*arguments).exit_code == 2


def test_a_wrong_address_is_2_and_says_what_a_right_one_is(run: Run) -> None:
    ended = run("me", env={"SLIPWAY_URL": "slipway.example.com"})

    assert ended.exit_code == 2
    assert "such as http://127.0.0.1:8000" in ended.stderr


def test_a_refusal_is_3_with_what_to_do_and_the_request_id(run: Run, server: StandIn) -> None:
    errors = [{"field": "image_tag", "code": "invalid", "message": "Use letters."}]
    server.on(
        "POST", f"/app/{APP_ID}/builds", problem(422, "invalid_fields", remedy="Correct the fields.", errors=errors)
    )

    ended = run("build", "shop")

    assert (ended.exit_code, ended.stdout) == (3, "")
    for text in ("Invalid fields (422 invalid_fields)", "image_tag: Use letters.", "Correct the fields.", "0a1b2c3d"):
        assert text in ended.stderr


@pytest.mark.parametrize(
    ("answer", "hint"),
    [
        (problem(401, "not_logged_in", detail="Send a token.", remedy="Send it."), "Log in: slipway login\n  Request"),
        (problem(409, "busy", job_id=JOB_ID), f"slipway jobs watch {JOB_ID}"),
        (problem(429, "too_many_requests", retry_after="90", remedy="As Retry-After says."), "Try again in 90 s."),
        (problem(409, "not_provisioned", remedy="DELETE /app/{app_id}."), "DELETE /app/{app_id}."),
    ],
)
def test_what_to_do_is_said_in_commands(run: Run, server: StandIn, answer: Say, hint: str) -> None:
    server.on("POST", f"/app/{APP_ID}/builds", answer)

    assert hint in run("build", "shop").stderr


@pytest.mark.parametrize("answer", [lost(), page(), page(302, Location="https://elsewhere.example.com/")])
def test_a_server_that_is_not_there_is_4(run: Run, server: StandIn, answer: Say) -> None:
    server.on("GET", "/me", answer)

    ended = run("me")

    assert (ended.exit_code, ended.stdout) == (4, "")
    assert ended.stderr.startswith(f"Error: {server.url}")


def test_a_server_that_goes_away_meanwhile_is_4_and_the_job_can_be_watched_again(run: Run, server: StandIn) -> None:
    server.on("GET", f"/jobs/{JOB_ID}", ok(job_of("running")), lost())
    server.on("GET", f"/jobs/{JOB_ID}/events", lost())

    ended = run("--url", server.url, "jobs", "watch", JOB_ID)

    assert ended.exit_code == 4
    assert f"The job continues. To follow it again: slipway --url {server.url} jobs watch {JOB_ID}" in ended.stderr


# -- JSON ---------------------------------------------------------------------------------------------------------

IN_JSON = {
    "login ada --password-stdin": dict,
    "logout": dict,
    "me": dict,
    "password --password-stdin": dict,
    "password --no-wait --password-stdin": dict,
    "password --reset ada --password-stdin": dict,
    "reset-password bob": dict,
    "sessions list": list,
    "tokens create ci --scope build --days 30": dict,
    "tokens list": list,
    f"tokens revoke {JOB_ID}": dict,
    f"sessions end {SESSION_ID}": dict,
    "sessions end --others": dict,
    "signup ada --email a@b.co --name Ada --team dev --password-stdin": dict,
    "project create webshop": dict,
    "project list": list,
    "app create shop --project webshop --type Spring": dict,
    "app plan shop --project webshop --type Spring": dict,
    "app list": list,
    "app list --project webshop": list,
    "app show shop": dict,
    "app drift shop": dict,
    "app reconcile shop": dict,
    "app delete shop --dry-run": dict,
    "app delete shop --yes": dict,
    "app delete shop --yes --purge": dict,
    f"app delete {APP_ID} --yes": dict,
    "build shop": dict,
    "build shop --no-wait": dict,
    "deploy shop --image-tag 7": dict,
    "rollback shop": dict,
    "builds shop": list,
    "deploys shop": list,
    "jobs list --app shop --state running --team dev --since 7d": list,
    "jobs list --state failed --state queued --team *": list,
    "jobs count --team *": list,
    f"jobs poll {JOB_ID}": dict,
    "audit --actor bob --object shop --since 7d --until 1d": list,
    f"jobs show {JOB_ID}": dict,
    f"jobs watch {JOB_ID}": dict,
    f"jobs log {JOB_ID}": dict,
    f"jobs retry {JOB_ID}": dict,
    f"jobs cancel {JOB_ID}": dict,
    f"jobs skip {JOB_ID} start_build --reason because": dict,
    "status": dict,
    "upstreams list": dict,
    "upstreams pause jenkins --reason Upgrade": dict,
    "upstreams resume jenkins": dict,
    "upstreams check": dict,
    "offboard bob": dict,
}


REMAINS = {"name": "dev/shop-deletion_scheduled-7", "url": "http://gitlab/7", "until": "2026-12-29", "reason": "Kept."}
ACTIVITY = {
    "name": "dev/shop",
    "commits": 12,
    "has_more": False,
    "pushed_at": AT,
    "pushed_by": "ada",
    "open_merge_requests": 2,
}


@pytest.fixture
def results(server: StandIn) -> None:
    """Jobs that find, bring and remove things: every command has what it prints."""
    found = {"possible": True, "steps": [], "drifted": False, "repairable": True, "parts": [], "images": ["shop:7"]}
    looked = {"is_well": False, "checks": [CHECK], "remains": [REMAINS], "repositories": [ACTIVITY]}
    done = job_of("succeeded", result={**found, **looked, "number": 7, "url": "http://jenkins/7/"})
    for method, path in (
        ("POST", "/signup"),
        ("POST", "/app"),
        ("GET", f"/app/{APP_ID}/drift"),
        ("POST", f"/app/{APP_ID}/reconcile"),
        ("POST", f"/app/{APP_ID}/deploys"),
        ("POST", f"/app/{APP_ID}/rollback"),
        ("POST", f"/jobs/{JOB_ID}/retry"),
        ("POST", f"/jobs/{JOB_ID}/cancel"),
        ("POST", f"/jobs/{JOB_ID}/poll"),
        ("POST", f"/jobs/{JOB_ID}/steps/start_build/skip"),
        ("POST", "/upstreams/checkups"),
        ("DELETE", "/users/bob"),
        ("PUT", "/me/password"),
        ("POST", "/password-resets/confirm"),
    ):
        server.on(method, path, ACCEPTED)
    item = {"kind": "project", "name": "shop", "url": None, "reason": "We made it."}
    preview = ok({"goes": [item], "stays": [], "job_id": JOB_ID, "status_url": f"/api/v1/jobs/{JOB_ID}"})
    server.on("DELETE", f"/app/{APP_ID}", lambda asked: preview if "dry_run" in asked.query else ACCEPTED)
    server.on("POST", "/project", ok(PROJECT, 201))
    server.on("POST", "/logout", Say(status=204))
    server.on("POST", "/users/bob/password-reset", ok({"reset_code": "x1mPzV", "expires_at": AT}, 201))
    server.on("GET", "/me/tokens", ok({"tokens": [API_TOKEN]}))
    server.on("POST", "/me/tokens", ok({**API_TOKEN, "token": "slp_new"}, 201))
    server.on("DELETE", f"/me/tokens/{JOB_ID}", Say(status=204))
    server.on("GET", "/me/sessions", ok({"sessions": [SESSION]}))
    server.on("DELETE", f"/me/sessions/{SESSION_ID}", Say(status=204))
    server.on("DELETE", "/me/sessions", ok({"ended": 2}))
    server.on("GET", "/upstreams", ok(UPSTREAMS))
    server.on("GET", "/status", ok({**EXAMPLES["StatusShown"], "is_well": True, "problems": []}))
    server.on("GET", "/jobs/counts", ok({"counts": [COUNT]}))
    server.on("GET", "/audit", ok({"actions": [ACT], "next": None}))
    server.on("POST", "/upstreams/jenkins/pause", ok(PAUSED))
    server.on("POST", "/upstreams/jenkins/resume", ok(UPSTREAM))
    server.on("GET", f"/jobs/{JOB_ID}", ok(done))


@pytest.mark.usefixtures("results")
@pytest.mark.parametrize("line", IN_JSON)
def test_with_json_standard_output_is_one_document_and_nothing_else(run: Run, line: str) -> None:
    ended = run(*line.split(), "--json", input=f"{PASSWORD}\n{PASSWORD}\n")

    assert ended.exit_code == 0, ended.output
    assert isinstance(json.loads(ended.stdout), IN_JSON[line])


@pytest.mark.usefixtures("results")
@pytest.mark.parametrize("line", IN_JSON)
def test_without_json_it_is_said_in_words(run: Run, line: str) -> None:
    ended = run(*line.split(), input=f"{PASSWORD}\n{PASSWORD}\n")

    assert ended.exit_code == 0, ended.output
    assert ended.stdout
    with pytest.raises(json.JSONDecodeError):
        json.loads(ended.stdout)


def test_the_lines_above_are_every_command() -> None:
    assert {name for name in COMMANDS if not any(line.startswith(name) for line in IN_JSON)} == set()


def test_with_json_progress_goes_to_standard_error(run: Run) -> None:
    ended = run("build", "shop", "--json")

    assert json.loads(ended.stdout)["state"] == "succeeded"
    assert "await_result" in ended.stderr


def test_with_json_a_refusal_is_its_problem_document(run: Run, server: StandIn) -> None:
    server.on("GET", "/me", problem(401, "not_logged_in"))

    ended = run("me", "--json")

    assert (ended.exit_code, json.loads(ended.stdout)["code"]) == (3, "not_logged_in")


def test_with_json_a_failed_job_is_its_document(run: Run, server: StandIn) -> None:
    JobScript(server, "failed")

    assert json.loads(run("jobs", "watch", JOB_ID, "--json").stdout)["errors"][0]["remedy"] == ["Correct it."]


# -- log-in -------------------------------------------------------------------------------------------------------

NOBODY: dict[str, str | None] = {"SLIPWAY_TOKEN": None}


def test_a_log_in_is_kept_for_the_next_command_in_a_file_of_its_owner(
    run: Run, server: StandIn, tmp_path: Path
) -> None:
    logged_in = run("login", "ada", "--password-stdin", input=f"{PASSWORD}\n", env=NOBODY)
    run("me", env=NOBODY)

    (file,) = (tmp_path / "slipway").iterdir()
    assert logged_in.exit_code == 0
    assert server.calls("POST", "/login")[0].body == {"id": "ada", "password": PASSWORD}
    assert server.calls("GET", "/me")[0].headers["Authorization"] == f"Bearer {TOKEN}"
    assert stat.S_IMODE(file.stat().st_mode) == 0o600


def test_a_log_out_forgets_the_log_in(run: Run, server: StandIn, tmp_path: Path) -> None:
    server.on("POST", "/logout", Say(status=204))
    run("login", "ada", "--password-stdin", input=f"{PASSWORD}\n", env=NOBODY)

    ended = run("logout", env=NOBODY)

    assert ended.exit_code == 0
    assert server.calls("POST", "/logout")[0].headers["Authorization"] == f"Bearer {TOKEN}"
    assert list((tmp_path / "slipway").iterdir()) == []


def test_the_token_of_the_environment_wins_and_a_log_in_says_so(run: Run, server: StandIn) -> None:
    ended = run("login", "ada", "--password-stdin", input=f"{PASSWORD}\n", env={"SLIPWAY_TOKEN": "another\n"})
    run("me", env={"SLIPWAY_TOKEN": "another\n"})

    assert "SLIPWAY_TOKEN is set" in ended.stderr
    assert server.calls("GET", "/me")[0].headers["Authorization"] == "Bearer another"


@pytest.mark.parametrize("flags", [(), ("--json",)])
def test_neither_token_nor_password_is_printed(run: Run, server: StandIn, flags: tuple[str, ...]) -> None:
    server.on("POST", "/signup", problem(422, "invalid_fields"))
    who = ("ada", "--password-stdin", *flags)

    said = run("login", *who, input=f"{PASSWORD}\n", env=NOBODY).output
    said += run("signup", *who, "--email", "a@b.co", "--name", "A", "--team", "dev", input=f"{PASSWORD}\n").output
    said += run("me", env={"SLIPWAY_TOKEN": f"{TOKEN} with blanks"}).output

    assert TOKEN not in said
    assert PASSWORD not in said


@pytest.mark.parametrize("arguments", [("login", "ada"), ("login",), ("login", "--password-stdin")])
def test_without_a_terminal_nobody_is_asked(run: Run, server: StandIn, arguments: tuple[str, ...]) -> None:
    ended = run(*arguments, input="", env=NOBODY)

    assert (ended.exit_code, server.asked) == (2, [])


def test_a_piped_password_is_the_line_and_only_its_end_is_taken_off(run: Run, server: StandIn) -> None:
    run("login", "ada", "--password-stdin", input=" with blanks \r\nanother line\n", env=NOBODY)

    assert server.asked[0].body["password"] == " with blanks "


def test_the_code_of_an_invitation_is_the_line_behind_the_password(run: Run, server: StandIn) -> None:
    server.on("POST", "/signup", ACCEPTED)
    line = "signup ada --email a@b.co --name Ada --team core --password-stdin --invite --no-wait"

    invited = run(*line.split(), input=f"{PASSWORD}\nfX52IpzvY9pp6QqM7txggoq8\n")
    without_code = run(*line.split(), input=f"{PASSWORD}\n")

    (asked,) = server.calls("POST", "/signup")
    assert (invited.exit_code, without_code.exit_code) == (0, 2)
    assert (asked.body["password"], asked.body["invite"]) == (PASSWORD, "fX52IpzvY9pp6QqM7txggoq8")


def test_a_sign_up_that_needs_its_password_again_says_how_to_give_it(run: Run, server: StandIn) -> None:
    server.on("POST", f"/jobs/{JOB_ID}/retry", problem(409, "password_needed"), ACCEPTED)

    refused = run("jobs", "retry", JOB_ID)
    retried = run("jobs", "retry", JOB_ID, "--password-stdin", input=f"{PASSWORD}\n")

    assert (refused.exit_code, retried.exit_code) == (3, 0)
    assert "--password-stdin" in refused.stderr
    assert [asked.body for asked in server.calls("POST", f"/jobs/{JOB_ID}/retry")] == [{}, {"password": PASSWORD}]


# -- for administrators -------------------------------------------------------------------------------------------


@pytest.mark.usefixtures("results")
def test_a_pause_is_shown_with_who_and_why_and_how_much_waits(run: Run, server: StandIn) -> None:
    paused = run("upstreams", "pause", "jenkins", "--reason", "Upgrade to 2.541")

    assert server.calls("POST", "/upstreams/jenkins/pause")[0].body == {"reason": "Upgrade to 2.541"}
    words = paused.stdout.split()
    assert words[:8] == ["jenkins", "paused", "2", "of", "12", "at", "work", "40"]
    assert "by grace since 2026-" in paused.stdout
    assert paused.stdout.endswith(": Upgrade to 2.541\n")


@pytest.mark.usefixtures("results")
def test_upstreams_are_listed_with_what_the_last_check_up_found(run: Run, server: StandIn) -> None:
    listed = run("upstreams", "list")
    server.on("GET", "/upstreams", ok({**UPSTREAMS, "checkup": None, "checked_at": None}))
    never_checked = run("upstreams", "list")

    assert f"1 of 1 wrong. Details: slipway jobs show {JOB_ID} --json" in listed.stdout
    assert "Last check-up" not in never_checked.stdout


@pytest.mark.usefixtures("results")
def test_a_check_up_says_what_to_do_about_what_is_wrong(run: Run) -> None:
    said = run("upstreams", "check").stdout

    assert "Jenkins\n  ✗ version: 2.1\n      → Upgrade it.\n" in said


# -- the rest -----------------------------------------------------------------------------------------------------


def test_an_app_may_be_named_by_its_id_without_a_search(run: Run, server: StandIn) -> None:
    run("app", "show", APP_ID)

    assert [asked.path for asked in server.asked] == [f"/app/{APP_ID}"]


def test_a_limit_is_kept_over_pages(run: Run, server: StandIn) -> None:
    server.on("GET", "/jobs", ok({"jobs": [job_of("running")] * 100, "next": "c"}))

    ended = run("jobs", "list", "--limit", "150", "--json")

    assert len(json.loads(ended.stdout)) == 150
    assert [asked.query["limit"] for asked in server.asked] == ["100", "100"]


def test_a_cancelled_job_is_what_cancel_was_asked_for(run: Run, server: StandIn) -> None:
    server.on("POST", f"/jobs/{JOB_ID}/cancel", ACCEPTED)
    JobScript(server, "cancelling", "cancelled")

    ended = run("jobs", "cancel", JOB_ID)

    assert ended.exit_code == 0
    assert ended.stdout.endswith(f"The job {JOB_ID} was cancelled.\n")


@pytest.mark.usefixtures("results")
def test_a_dry_run_removes_nothing_and_says_what_people_did(run: Run, server: StandIn) -> None:
    said = run("app", "delete", "shop", "--dry-run").stdout

    assert [asked.query for asked in server.calls("DELETE", f"/app/{APP_ID}")] == [{"dry_run": "true"}]
    assert "dev/shop: 12 commits that are not the template's, last push" in said
    assert "by ada, 2 open merge requests" in said


def test_a_dry_run_of_an_earlier_server_says_what_it_can(run: Run, server: StandIn) -> None:
    server.on("DELETE", f"/app/{APP_ID}", ok({"goes": [], "stays": []}))

    assert run("app", "delete", "shop", "--dry-run").stdout == "There is nothing to remove.\n"


@pytest.mark.usefixtures("results")
@pytest.mark.parametrize("typed", ["", "n\n", "y\n", "shop\n"])
def test_without_a_terminal_a_removal_needs_its_yes(run: Run, server: StandIn, typed: str) -> None:
    ended = run("app", "delete", "shop", input=typed)

    assert ended.exit_code == 2
    assert "--yes" in ended.stderr
    assert server.calls("DELETE", f"/app/{APP_ID}") == []


@pytest.mark.usefixtures("results")
@pytest.mark.parametrize(("typed", "is_removed"), [("shop\n", True), ("y\n", False), ("\n", False)])
def test_at_a_terminal_the_name_is_typed(
    run: Run, server: StandIn, monkeypatch: pytest.MonkeyPatch, typed: str, is_removed: bool
) -> None:
    monkeypatch.setattr("slipway.commands.apps._has_terminal", lambda: True)

    ended = run("app", "delete", "shop", input=typed)

    assert bool(server.calls("DELETE", f"/app/{APP_ID}")) is is_removed
    assert ended.exit_code == (0 if is_removed else 130)


@pytest.mark.usefixtures("results")
@pytest.mark.parametrize("named", ["shop", APP_ID])
def test_a_removal_is_confirmed_by_the_name_and_says_what_is_kept(run: Run, server: StandIn, named: str) -> None:
    ended = run("app", "delete", named, "--yes")

    assert [asked.query for asked in server.calls("DELETE", f"/app/{APP_ID}")] == [{"confirm": "shop"}]
    assert "shop was removed.\n  kept until 2026-12-29  http://gitlab/7\n" in ended.stdout


@pytest.mark.parametrize(("problems", "code"), [([], 0), (["GitLab is down, and 40 steps wait for it."], 1)])
def test_the_status_fails_if_anything_is_wrong(server: StandIn, run: Run, problems: list[str], code: int) -> None:
    shown = {**EXAMPLES["StatusShown"], "is_well": not problems, "problems": problems}
    server.on("GET", "/status", ok(shown))

    said, document = run("status"), run("status", "--json")

    assert (said.exit_code, document.exit_code) == (code, code)
    assert said.stdout.startswith("✗ GitLab is down" if problems else "All is well.")
    assert "storefront" in said.stdout
    assert json.loads(document.stdout) == shown


def test_a_list_of_jobs_says_whose_they_are_and_why_they_failed(run: Run, server: StandIn) -> None:
    server.on("GET", "/jobs", ok({"jobs": [job_of("failed", title="Build 5 of shop")], "next": None}))

    listed = run("jobs", "list", "--state", "failed", "--state", "queued", "--state", "failed").stdout

    words = listed.split()
    assert " ".join([*words[:7], *words[9:]]) == f"{JOB_ID} Build 5 of shop failed ada jenkins: It broke."
    assert server.calls("GET", "/jobs")[0].query["state"] in ("failed,queued", ["failed,queued"])


def test_counts_and_acts_are_lines(run: Run, server: StandIn) -> None:
    server.on("GET", "/jobs/counts", ok({"counts": [COUNT]}))
    server.on("GET", "/audit", ok({"actions": [ACT], "next": None}))

    assert run("jobs", "count").stdout.split() == ["build", "failed", "10,000+"]
    assert run("audit").stdout.split()[2:] == ["bob", "token", "192.0.2.7", "app.remove", "shop"]


def test_a_job_shows_who_intervened(run: Run, server: StandIn) -> None:
    skipped = {
        "at": AT,
        "action": "job.skip_step",
        "channel": "session",
        "user": "chief",
        "step": "x",
        "reason": "Done",
    }
    by_command = {"at": AT, "action": "job.cancel", "channel": "command", "user": None, "step": None, "reason": None}
    server.on("GET", f"/jobs/{JOB_ID}", ok(job_of("cancelled", interventions=[skipped, by_command])))

    shown = run("jobs", "show", JOB_ID).stdout

    assert "skip step x by chief: Done" in shown
    assert "cancel by a command" in shown
