"""The doctor's checks of our account on Argo CD: the token, and whether Argo CD can reach its own Kubernetes API.

`standing` asks them, too. Source: argo-cd 3.5 `server/session GetUserInfo`, `server/project List, Get`.
"""

from __future__ import annotations

import base64
import binascii
import json
from datetime import UTC, datetime, timedelta

from worker.upstreams.argocd.causes import KUBERNETES, read_failure
from worker.upstreams.check import Check, CheckFailedError, CheckInconclusiveError, token_that_expires
from worker.upstreams.error_text import reason_in
from worker.upstreams.probe import Probe, at_least, json_object
from worker.upstreams.replies import Reply

OLDEST = (2, 8)  # since then a request for an application may name its project
SOON = timedelta(days=7)
NO_KUBERNETES = f"Argo CD cannot reach {KUBERNETES}: it denies what our token may do"
_API = ("api", "v1")
_NEW_ACCESS = (
    "argocd account generate-token --account NAME (the account needs the capability apiKey in the ConfigMap "
    "argocd-cm); set ARGO_TOKEN to it"
)


def of(probe: Probe, *, token: str) -> dict[str, Check]:
    """Return the checks by their names; `token` is only read for its expiry date, "" for none."""
    return {check.name: check for check in _Access(probe, token).all()}


class _Access:
    def __init__(self, probe: Probe, token: str) -> None:
        self._probe = probe
        self._token_text = token

    def all(self) -> list[Check]:
        return [
            Check(
                name="answers",
                question="Does Argo CD answer at ARGO_URL?",
                remedy="start argocd-server, or correct ARGO_URL",
                run=self._answers,
            ),
            Check(
                name="version",
                question="Is it a version that Slipway supports?",
                remedy="upgrade Argo CD",
                run=self._version,
                needs=("answers",),
            ),
            Check(
                name="token",
                question="Does Argo CD accept ARGO_TOKEN?",
                remedy=_NEW_ACCESS,
                run=self._token,
                needs=("answers",),
            ),
            Check(
                name="token's end",
                question="Will the token be valid next week?",
                remedy=_NEW_ACCESS,
                run=self._expiry,
                needs=("token",),
            ),
            Check(
                name="kubernetes",
                question="Does Argo CD reach its own Kubernetes API?",
                remedy="wait until the control plane of Argo CD's cluster is up again; if that takes long: "
                "kubectl -n argocd logs deployment/argocd-server",
                run=self._kubernetes,
                needs=("token",),
            ),
        ]

    def _answers(self) -> str:
        reply = self._probe.get("api", "version")
        if reply.status == 307:
            raise CheckFailedError("Argo CD redirects to https", "change http:// to https:// in ARGO_URL")
        if "Version" not in json_object(reply):
            raise self._probe.not_this_upstream(reply)
        return self._probe.url

    def _version(self) -> str:
        return at_least("Argo CD", str(json_object(self._probe.get("api", "version"))["Version"]), OLDEST)

    def _token(self) -> str:
        """Read `loggedIn`: the call answers 200 to anybody. The reason of a refusal comes from a second call."""
        reply = self._probe.expect(self._probe.get(*_API, "session", "userinfo"), "reading our user")
        who = json_object(reply)
        if who.get("loggedIn") is not True:
            refusal = self._probe.get(*_API, "applications", params={"name": "none-such"})
            why = reason_in(refusal.body) if refusal.status == 401 else "Argo CD treats the token as anonymous"
            raise CheckFailedError(f"Argo CD refuses ARGO_TOKEN: {why}")
        return str(who.get("username", "accepted"))

    def _expiry(self) -> str:
        ends_at = _expiry_of(self._token_text)
        if ends_at is None:
            return "no expiry date in the token"
        return token_that_expires(ends_at, soon=SOON)

    def _kubernetes(self) -> str:
        """Read projects, which Argo CD keeps there: the list, and one of it, as a list may come from memory."""
        reply = self._from_kubernetes("projects")
        listed = json_object(self._probe.expect(reply, "listing the projects")).get("items") or ()
        if not listed:
            raise CheckInconclusiveError("the token sees no project, and other answers may come from Argo CD's memory")
        self._from_kubernetes("projects", str(listed[0]["metadata"]["name"]))
        return "reached"

    def _from_kubernetes(self, *path: str) -> Reply:
        reply = self._probe.get(*_API, *path)
        if reply.status >= 500 and read_failure(reason_in(reply.body)).place == KUBERNETES:
            raise CheckFailedError(NO_KUBERNETES)
        return reply


def _expiry_of(token: str) -> datetime | None:
    """Return the expiry time in a token, None when it has none. Only Argo CD can verify the token."""
    try:
        payload = token.split(".")[1]
        claims = json.loads(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))
        return datetime.fromtimestamp(float(claims["exp"]), UTC)
    except (IndexError, KeyError, TypeError, ValueError, OverflowError, binascii.Error):
        return None
