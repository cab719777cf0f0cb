"""Requests for every declared endpoint, one row or several for each; a new endpoint needs a row.

Tests take their requests from here. Who may send them is not written here: that follows from the endpoint's policy.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from api.contract.endpoint import Endpoint
from api.openapi.examples import EXAMPLES
from support.fake_worker import ABSENT
from support.objects import TEAMS, Objects, Values

ADDED = (
    "say in tests/support/endpoint_cases.py what it is about, and in tests/support/objects.py how to make such a thing"
)
NOWHERE = {  # of each parameter that names a thing: a value that nothing has
    "app_id": ABSENT,
    "project_id": ABSENT,
    "job_id": ABSENT,
    "signup_id": ABSENT,
    "login": "nobody-has-it",
    "user": "nobody-has-it",
    "session_id": "0" * 32,
    "token_id": ABSENT,
    "team_id": "no-such-team",
    "team": "no-such-team",
}


@dataclass(frozen=True, kw_only=True)
class About:
    """A call and a kind of thing that it is about.

    `hidden` is the status for those who may make the call but not see the thing, None where the call is about nothing
    that could be somebody else's.
    """

    call: str
    make: Callable[[Objects, str], Values]
    kind: str = ""
    query: Mapping[str, str] = field(default_factory=dict)
    status: int | None = None  # what those get who may; None: the first that is declared
    hidden: int | None = 404
    is_open: bool = False  # to whoever knows the id, as far as the call's policy lets visitors in
    is_for_administrators: bool = False  # though the call is not: others who see the thing get 403
    is_personal: bool = False  # the member's own: hidden from administrators, too

    def __str__(self) -> str:
        return f"{self.call} {self.kind}".rstrip().replace(" ", "-")


@dataclass(frozen=True, kw_only=True)
class Request:
    """What goes out, credentials apart."""

    method: str
    path: str
    query: Mapping[str, str]
    json: Mapping[str, Any] | None


class Things:
    """One thing of every team for every row, as it was made until a request has used it up."""

    def __init__(self, objects: Objects) -> None:
        self._objects = objects
        self._made: dict[tuple[str, str], Values] = {}

    def values(self, about: About, team: str | None) -> Values:
        """Return what names the team's thing; without a team, what names none."""
        if team is None:
            values = self.values(about, TEAMS[0])
            return {**values, **{name: NOWHERE[name] for name in values if name in NOWHERE}}
        key = (str(about), team)
        if key not in self._made:
            self._made[key] = about.make(self._objects, team)
        return self._made[key]

    def use_up(self, about: About, team: str | None) -> None:
        """Have it made anew when it is asked for again."""
        self._made.pop((str(about), team or TEAMS[0]), None)


def request(about: About, call: Endpoint, values: Values) -> Request:
    """Put the values where the call takes them: into the path, the query, or the example of its body."""
    path = call.path
    for name, value in values.items():
        path = path.replace(f"<{name}>", value)
    assert "<" not in path, f"{about}: nothing is made for {path}: {ADDED}"
    asked = {name: value for name, value in values.items() if call.query and name in call.query.model_fields}
    return Request(method=call.method, path=path, query={**asked, **about.query}, json=_body(call, values))


def _body(call: Endpoint, values: Values) -> Mapping[str, Any] | None:
    if call.takes is None:
        return None
    ours = {name: value for name, value in values.items() if name in call.takes.model_fields}
    return {**EXAMPLES[call.takes.__name__], **ours}


ABOUT = (
    About(call="sign_up", make=Objects.newcomer, hidden=None),
    About(call="confirm_signup", make=Objects.link, hidden=None),
    About(call="resend_confirmation", make=Objects.unconfirmed_address, hidden=None),
    About(call="log_in", make=Objects.account, hidden=None),
    About(call="log_in_as_published", make=Objects.account, hidden=None),
    About(call="log_out", make=Objects.nothing, hidden=None),
    About(call="who_am_i", make=Objects.nothing, hidden=None),
    About(call="change_password", make=Objects.same_password, hidden=None),
    About(call="reset_password", make=Objects.login),
    About(call="request_reset", make=Objects.nothing, hidden=None),
    About(call="confirm_reset", make=Objects.reset, hidden=None),
    About(call="list_sessions", make=Objects.nothing, hidden=None),
    About(call="end_session", make=Objects.session, is_personal=True),
    About(call="end_other_sessions", make=Objects.nothing, hidden=None),
    About(call="list_tokens", make=Objects.nothing, hidden=None),
    About(call="create_token", make=Objects.new_token, hidden=None),
    About(call="revoke_token", make=Objects.api_token, is_personal=True),
    About(call="list_teams", make=Objects.nothing, hidden=None),
    About(call="show_team", make=Objects.team),
    About(call="list_members", make=Objects.team),
    About(call="list_types", make=Objects.nothing, hidden=None),
    About(call="create_project", make=Objects.new_project, hidden=None),
    About(call="list_projects", make=Objects.team),
    About(call="list_projects", kind="of a person", make=Objects.team_and_person),
    About(call="show_project", make=Objects.project),
    About(call="create_app", make=Objects.new_app),
    About(call="create_app", kind="dry run", make=Objects.new_app, query={"dry_run": "true"}),
    About(call="list_team_apps", make=Objects.other_team),
    About(call="list_apps", make=Objects.project),
    About(call="show_app", make=Objects.app),
    About(call="remove_app", make=Objects.app_to_remove, status=202),
    About(
        call="remove_app",
        kind="for good",
        make=Objects.app_to_remove,
        query={"purge": "true"},
        status=202,
        is_for_administrators=True,
    ),
    About(call="remove_app", kind="dry run", make=Objects.app, query={"dry_run": "true"}),
    About(call="start_build", make=Objects.app),
    About(call="start_build_by_get", make=Objects.app),
    About(call="list_builds", make=Objects.app),
    About(call="start_deploy", make=Objects.built_app),
    About(call="roll_back", make=Objects.twice_deployed_app),
    About(call="list_deploys", make=Objects.app),
    About(call="list_rollback_targets", make=Objects.twice_deployed_app),
    About(call="reconcile_app", make=Objects.app),
    About(call="compare_app", make=Objects.app),
    About(call="start_comparison", make=Objects.app),
    About(call="list_jobs", kind="of a team", make=Objects.other_team),
    About(call="count_jobs", make=Objects.other_team),
    About(call="list_jobs", kind="of an app", make=Objects.app, hidden=200),
    About(call="list_jobs", kind="of a person", make=Objects.person, hidden=200),
    About(call="show_job", make=Objects.failed),
    About(call="show_job", kind="sign-up", make=Objects.signup, is_open=True),
    About(call="show_job", kind="leaving", make=Objects.leaving),
    About(call="follow_job", make=Objects.over),
    About(call="follow_job", kind="sign-up", make=Objects.done_signup, is_open=True),
    About(call="create_ticket", make=Objects.over),
    About(call="create_ticket", kind="sign-up", make=Objects.done_signup, is_open=True),
    About(call="read_log", make=Objects.over),
    About(call="read_log", kind="sign-up", make=Objects.signup),
    About(call="retry_job", make=Objects.failed),
    About(call="retry_job", kind="sign-up", make=Objects.failed_signup, is_open=True),
    About(call="retry_job", kind="sign-up by password", make=Objects.signup_in_need, is_open=True),
    About(call="retry_job", kind="leaving", make=Objects.failed_leaving, is_for_administrators=True),
    About(call="retry_jobs", make=Objects.failed_app, hidden=200),
    About(call="retry_jobs", kind="of a team", make=Objects.other_team),
    About(call="poll_job", make=Objects.waiting),
    About(call="cancel_job", make=Objects.running),
    About(call="cancel_job", kind="sign-up", make=Objects.signup),
    About(call="cancel_job", kind="leaving", make=Objects.leaving, is_for_administrators=True),
    About(call="skip_step", make=Objects.failed_step),
    About(call="skip_step", kind="sign-up", make=Objects.failed_step_of_signup),
    About(call="show_status", make=Objects.nothing, hidden=None),
    About(call="list_upstreams", make=Objects.nothing, hidden=None),
    About(call="check_up", make=Objects.nothing, hidden=None),
    About(call="pause_upstream", make=Objects.upstream, hidden=None),
    About(call="resume_upstream", make=Objects.upstream, hidden=None),
    About(call="list_stuck_jobs", make=Objects.nothing, hidden=None),
    About(call="list_users", make=Objects.nothing, hidden=None),
    About(call="remove_user", make=Objects.login),
    About(call="list_signups", make=Objects.waiting_signup, hidden=None),
    About(call="approve_signup", make=Objects.waiting_signup),
    About(call="reject_signup", make=Objects.waiting_signup),
    About(call="list_actions", make=Objects.nothing, hidden=None),
    About(call="list_actions", kind="of a team", make=Objects.other_team, hidden=None),
    About(call="export_actions", make=Objects.nothing, query={"limit": "100"}, hidden=None),
    About(call="is_alive", make=Objects.nothing, hidden=None),
    About(call="is_ready", make=Objects.nothing, hidden=None),
    About(call="show_metrics", make=Objects.nothing, hidden=None),
    About(call="show_document", make=Objects.nothing, hidden=None),
    About(call="show_confirm_page", make=Objects.nothing, hidden=None),
    About(call="show_docs", make=Objects.nothing, hidden=None),
    About(call="send_asset", make=Objects.file, hidden=None),
    About(call="show_start", make=Objects.nothing, hidden=None),
    About(call="show_console", make=Objects.nothing, hidden=None),
    About(call="send_console_file", make=Objects.console_file, hidden=None),
)
