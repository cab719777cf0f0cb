"""How does one come to have a thing that a call is about?  By the requests of a team's member, and of nobody else."""

from __future__ import annotations

import itertools
import secrets
from dataclasses import replace
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from api.credentials import hash_of
from api.openapi.examples import EXAMPLES
from common.database.engine import Database
from common.database.models import Job, User
from common.jobs import outcomes, signup_reviews
from common.states import OPEN, Provenance, StepState
from common.workflows import CHANGE_PASSWORD, SIGNUP
from support.api import PASSWORD, V1, Api, add_app, add_project
from support.fake_worker import add_build, admin, claim, fail, names, prints, record, succeed

TEAMS = ("dev", "ops")
SKIPPABLE = "open_to_developers"
Values = dict[str, str]  # of parameters in the path, the query or the body, by their names


class Objects:
    """Makes things of a team by the requests of one of its members, and moves their jobs on as workers would.

    Whoever tries the calls is somebody else, and may end all their own sessions: `member-TEAM`, and `chief`.
    """

    def __init__(self, api: Api, db: Database) -> None:
        self.api = api
        self.db = db
        self._numbers = itertools.count(1)
        admin(api, db)
        self.administrator = admin(api, db, "head")
        for team in TEAMS:
            api.member(f"member-{team}", team=team)
        self.members = {team: api.member(f"maker-{team}", team=team) for team in TEAMS}
        self._projects = {team: add_project(member) for team, member in self.members.items()}

    def name(self, stem: str) -> str:
        """Return a name that nothing has yet."""
        return f"{stem}-{next(self._numbers)}"

    def nothing(self, _team: str) -> Values:
        return {}

    def file(self, _team: str) -> Values:
        return {"file": "docs.js"}

    def console_file(self, _team: str) -> Values:
        return {"version": "0123456789abcdef", "file": "main.js"}

    def upstream(self, _team: str) -> Values:
        return {"upstream": "jenkins"}

    # -- people ---------------------------------------------------------------------------------------------------

    def newcomer(self, _team: str) -> Values:
        login = self.name("newcomer")
        return {"id": login, "email": f"{login}@example.com"}

    def account(self, team: str) -> Values:
        return {"id": f"member-{team}", "password": PASSWORD}

    def session(self, team: str) -> Values:
        """A session of the member."""
        return {"session_id": hash_of(self.api.token(f"member-{team}"))[:32]}

    def same_password(self, _team: str) -> Values:
        """The password that those have who try it, with no job of theirs that goes on; it stays the same."""
        is_person_s = Job.kind.in_((SIGNUP.name, CHANGE_PASSWORD.name))
        open_jobs = select(Job.id).where(is_person_s, Job.state.in_(OPEN))
        for job_id in self.db.read(lambda session: session.scalars(open_jobs).all()):
            succeed(self.db, job_id)
        return {"password": PASSWORD, "new_password": PASSWORD}

    def reset(self, team: str) -> Values:
        """A person's code for a new password."""
        login = self.login(team)["login"]
        code = self.administrator.post(f"{V1}/users/{login}/password-reset").json["reset_code"]
        return {"id": login, "reset_code": code, "password": "looms weave flowers"}

    def new_token(self, _team: str) -> Values:
        return {"name": self.name("token")}

    def api_token(self, team: str) -> Values:
        """An API token of the member, who has few others."""
        member = self.api.bearer(self.api.token(f"member-{team}"))
        for token in member.get(f"{V1}/me/tokens").json["tokens"][5:]:
            member.delete(f"{V1}/me/tokens/{token['token_id']}")
        answer = member.post(f"{V1}/me/tokens", json={"name": self.name("token"), "scope": "team"})
        return {"token_id": answer.json["token_id"]}

    def person(self, team: str) -> Values:
        return {"user": f"member-{team}"}

    def login(self, team: str) -> Values:
        """A person whose accounts are made."""
        login, job_id = self._sign_up(team)
        succeed(self.db, job_id)
        return {"login": login}

    def signup(self, team: str) -> Values:
        return {"job_id": self._sign_up(team)[1]}

    def done_signup(self, team: str) -> Values:
        signup = self.signup(team)
        succeed(self.db, signup["job_id"])
        return signup

    def signup_in_need(self, team: str) -> Values:
        """It failed at a step that reads its password."""
        signup = self.signup(team)
        succeed(self.db, signup["job_id"], but=("create_gitlab_user",))
        fail(self.db, signup["job_id"], "create_gitlab_user")
        return {**signup, "password": PASSWORD}

    def failed_signup(self, team: str) -> Values:
        """It failed at a step that can be skipped."""
        _, job_id = self._sign_up(team)
        succeed(self.db, job_id, but=("join_gitlab_group",))
        fail(self.db, job_id, "join_gitlab_group")
        return {"job_id": job_id}

    def waiting_signup(self, team: str) -> Values:
        """It waits for an administrator."""
        return {"signup_id": self._sign_up_where(team, "signup_approval")}

    def link(self, team: str) -> Values:
        """The token of the link in the mail of a sign-up that waits for the person."""
        return {"token": self._unconfirmed(team)[0]}

    def unconfirmed_address(self, team: str) -> Values:
        """The address of a sign-up that waits for the person."""
        return {"email": self._unconfirmed(team)[1]}

    def _unconfirmed(self, team: str) -> tuple[str, str]:
        job_id, token = self._sign_up_where(team, "signup_confirmation"), secrets.token_urlsafe(32)

        def renew(session: Session) -> str:
            person = session.get_one(User, session.get_one(Job, job_id).subject_id)
            signup_reviews.renew_link(session, person.id, token, self.db.now())
            return person.email

        return token, self.db.transaction(renew)

    def _sign_up_where(self, team: str, setting: str) -> str:
        """Sign a person up where this setting is set."""
        own = self.api.service
        config = own.settings.model_copy(update={setting: True})
        self.api.app.extensions["slipway"] = replace(own, settings=config)
        try:
            return self._sign_up(team)[1]
        finally:
            self.api.app.extensions["slipway"] = own

    def leaving(self, team: str) -> Values:
        answer = self.administrator.delete(f"{V1}/users/{self.login(team)['login']}")
        return {"job_id": answer.json["job_id"]}

    def failed_leaving(self, team: str) -> Values:
        job_id = self.leaving(team)["job_id"]
        for step in names(self.db, job_id, StepState.READY):
            fail(self.db, job_id, step)
        return {"job_id": job_id}

    # -- apps -----------------------------------------------------------------------------------------------------

    def team(self, team: str) -> Values:
        return {"team_id": team}

    def other_team(self, team: str) -> Values:
        return {"team": team}

    def team_and_person(self, team: str) -> Values:
        return {**self.team(team), **self.person(team)}

    def project(self, team: str) -> Values:
        return {"project_id": self._projects[team]}

    def new_project(self, _team: str) -> Values:
        return {"name": self.name("project")}

    def new_app(self, team: str) -> Values:
        return {**self.project(team), "name": self.name("app")}

    def app(self, team: str) -> Values:
        """An app that was made to its end, with a row of the ledger."""
        return {"app_id": self.app_to_remove(team)["app_id"]}

    def app_to_remove(self, team: str) -> Values:
        """Such an app with its name, which confirms its removal."""
        name = self.name("app")
        accepted = add_app(self.members[team], self._projects[team], name).json
        succeed(self.db, accepted["job_id"])
        record(self.db, accepted["job_id"], "project", f"{team}/app", Provenance.CREATED)
        return {"app_id": accepted["app_id"], "confirm": name}

    def built_app(self, team: str) -> Values:
        """An app with a build of the tag that the example of a deployment names."""
        app = self.app(team)
        add_build(self.db, self.members[team], app["app_id"], EXAMPLES["NewDeploy"]["image_tag"])
        return app

    def twice_deployed_app(self, team: str) -> Values:
        app = self.app(team)
        for tag in ("1", "2"):
            job_id = self._begin(team, f"/app/{app['app_id']}/deploys", {"image_tag": tag, "force": True})
            brought = {"application": "app", "revision": f"c0ffee{tag}", "images": []}
            succeed(self.db, job_id, await_healthy=brought)
        return app

    # -- jobs -----------------------------------------------------------------------------------------------------

    def running(self, team: str) -> Values:
        answer = self.members[team].get(f"{V1}/app/{self.app(team)['app_id']}/drift")
        return {"job_id": answer.json["job_id"]}

    def waiting(self, team: str) -> Values:
        """It waits for its next attempt."""
        job_id = self.running(team)["job_id"]
        claimed = claim(self.db, job_id, "compare_app")
        outcomes.record_retry(self.db, claimed, code="unavailable", reason="No answer.", delay_s=300)
        return {"job_id": job_id}

    def over(self, team: str) -> Values:
        """A build that has succeeded, with what it printed."""
        job_id = self._begin(team, f"/app/{self.app(team)['app_id']}/builds", {})
        prints(self.db, job_id, "Finished: SUCCESS\n")
        succeed(self.db, job_id)
        return {"job_id": job_id}

    def failed(self, team: str) -> Values:
        """It failed at a step that can be skipped, and has a row of the ledger."""
        job_id = add_app(self.members[team], self._projects[team], self.name("app")).json["job_id"]
        succeed(self.db, job_id, but=(SKIPPABLE,))
        fail(self.db, job_id, SKIPPABLE)
        record(self.db, job_id, "project", f"{team}/app", Provenance.CREATED)
        return {"job_id": job_id}

    def failed_app(self, team: str) -> Values:
        """An app whose comparison failed."""
        app = self.app(team)
        job_id = self.members[team].get(f"{V1}/app/{app['app_id']}/drift").json["job_id"]
        fail(self.db, job_id, "compare_app")
        return app

    def failed_step(self, team: str) -> Values:
        return {**self.failed(team), "step": SKIPPABLE}

    def failed_step_of_signup(self, team: str) -> Values:
        return {**self.failed_signup(team), "step": "join_gitlab_group"}

    def _begin(self, team: str, path: str, body: dict[str, Any]) -> str:
        answer = self.members[team].post(f"{V1}{path}", json=body)
        assert answer.status_code == 202, answer.text
        job_id: str = answer.json["job_id"]
        return job_id

    def _sign_up(self, team: str) -> tuple[str, str]:
        login = self.name("person")
        answer = self.api.sign_up(login, team=team)
        assert answer.status_code == 202, answer.text
        return login, answer.json["job_id"]
