"""The doctor's checks of our account on Jenkins: the token, and its permissions. `standing` asks them, too.

Source: jenkinsci/jenkins 2.568 `WhoAmI`, `HudsonPrivateSecurityRealm/index.jelly` and `Jenkins.doScript` (shown to
administrators alone).
"""

from __future__ import annotations

from worker.upstreams.check import Check, CheckFailedError
from worker.upstreams.probe import Probe, at_least, json_object

OLDEST = (2, 211)  # since then the queue answers by status


def of(probe: Probe, *, login: str) -> dict[str, Check]:
    """Return the checks by their names; `login` is the name of our account."""
    return {check.name: check for check in _Access(probe, login).all()}


class _Access:
    def __init__(self, probe: Probe, login: str) -> None:
        self._probe = probe
        self._login = login

    def all(self) -> list[Check]:
        return [
            Check(
                name="answers",
                question="Does Jenkins answer at JENKINS_URL?",
                remedy="start Jenkins, or correct JENKINS_URL",
                run=self._answers,
            ),
            Check(
                name="token",
                question="Does Jenkins accept JENKINS_AUTH_ID and JENKINS_AUTH_TOKEN?",
                remedy=f"on Jenkins, as {self._login}: your name → Security → API Token → Add new Token; set "
                "JENKINS_AUTH_TOKEN to it and JENKINS_AUTH_ID to the login",
                run=self._token,
                needs=("answers",),
            ),
            Check(
                name="version",
                question="Is it a version that Slipway supports?",
                remedy="upgrade Jenkins",
                run=self._version,
                needs=("token",),
            ),
            Check(
                name="administrator",
                question="Does our account have Overall/Administer?",
                remedy="on Jenkins: Manage Jenkins → Manage and Assign Roles → Assign Roles → Global roles: give "
                f"{self._login} a role with Overall/Administer",
                run=self._administrator,
                needs=("token",),
            ),
        ]

    def _answers(self) -> str:
        reply = self._probe.get("whoAmI", "api", "json")
        if reply.status == 503 and "getting ready" in reply.text:
            problem, remedy = "Jenkins is starting", "wait until it is up; if that takes long, read its log"
            raise CheckFailedError(problem, remedy, transient=self._probe.transient(reply, problem))
        is_asking = (
            "jenkins" in reply.headers.get("WWW-Authenticate", "").lower()
        )  # the body of the 401 is Jetty's own page
        if not (reply.status == 401 and is_asking) and "X-Jenkins" not in reply.headers:
            raise self._probe.not_this_upstream(reply)
        return self._probe.url

    def _token(self) -> str:
        reply = self._probe.get("whoAmI", "api", "json")
        if reply.status == 401:
            raise CheckFailedError(f"Jenkins refuses the login {self._login} with this token")
        who = json_object(self._probe.expect(reply, "reading our user"))
        if who.get("anonymous") or str(who.get("name", "")).casefold() != self._login.casefold():
            raise CheckFailedError("Jenkins does not receive the login: it sees another user")
        return str(who["name"])

    def _version(self) -> str:
        return at_least("Jenkins", self._probe.get("whoAmI", "api", "json").headers.get("X-Jenkins", "0"), OLDEST)

    def _administrator(self) -> str:
        reply = self._probe.get("securityRealm", is_page=True)
        if reply.status == 404:  # another realm: the script console is shown to administrators alone, too
            reply = self._probe.get("script")
        if reply.status == 403:
            raise CheckFailedError(f"{self._login} lacks Overall/Administer")
        self._probe.expect(reply, "reading a page for administrators")
        return self._login
