"""What a real Argo CD answered, and the same calls put to the stand-in, brought into the same situations.

The recordings lie beside the project, one call a line; they were made in one go, so that each file goes on where an
earlier one stopped. What happened between two calls without being recorded is in `BEFORE`.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import requests

from harbour.argocd.app import ArgoCD
from support.argocd import Clock
from support.checkout import ROOT
from support.git_server import USER, GitServer

RECORDINGS = ROOT.parent / "shared" / "upstream" / "recorded" / "argocd-3.5.1"
FILES = (
    *("repositories", "rotation", "applications", "syncs", "removals", "takeover", "health", "access"),
    *("outages", "git", "projects", "clusters"),
)
RESOURCES = ("applications", "repositories", "projects", "clusters")
RIGHTS = {(resource, action) for resource in RESOURCES for action in ("get", "create", "update", "delete", "sync")}
INSTANT = re.compile(
    r"values-kept|just-.*|gone-never-synced|progressing|taken-synced|fail-on-shared-unowned-ended|start|dry-run"
    r"|create-different-again|sync-(invalid|hook)|shared-second-sync|fail-on-shared-.*sync"
    r"|fenced-chart-that-reaches-outside-sync|(blacklisted-namespace|namespace-there-no-whitelist)-sync"
)
STEP_S = 10.0
"""Calls that follow the one before them at once."""


@dataclass(frozen=True)
class Recorded:
    """One recorded call."""

    file: str
    case: str
    method: str
    path: str
    body: Any
    status: int
    answer: Any


def recorded(file: str) -> Iterator[Recorded]:
    for line in (RECORDINGS / f"{file}.jsonl").read_text().splitlines():
        row = json.loads(line)
        asked, said = row["request"], row["response"]
        yield Recorded(
            file, row["case"], asked["method"], asked["path"], asked.get("body"), said["status"], said.get("body")
        )


@dataclass
class Replay:
    """The stand-in, with the recorded addresses in place of its own."""

    service: ArgoCD
    clock: Clock
    git: GitServer
    password: str = ""
    seen: list[tuple[Recorded, int, Any]] = field(default_factory=list)

    def run(self, calls: Iterator[Recorded], before: dict[str, Callable[[Replay], object]]) -> None:
        for call in calls:
            self.clock.at += 0 if INSTANT.fullmatch(call.case) else STEP_S
            if call.case in before:
                before[call.case](self)
            self.seen.append((call, *self.put(call)))

    def put(self, call: Recorded) -> tuple[int, Any]:
        """Send a recorded call; `***` is the password that git knows, unless a test sets another."""
        path = call.path.replace("http%3A%2F%2Fgit.example.com", self.git.url.replace(":", "%3A").replace("/", "%2F"))
        text = None if call.body is None else self._ours(json.dumps(call.body))
        headers = {"Content-Type": "application/json"} | self._token(call.case)
        if call.case.startswith("content-type-"):
            headers["Content-Type"] = {"missing": ""}.get(
                call.case.rpartition("-")[2], "application/json; charset=utf-8"
            )
        if call.case == "body-not-json":
            text = "{not json"
        reply = requests.request(call.method, self.service.url + path, data=text, headers=headers, timeout=60)
        try:
            said = json.loads(self._theirs(reply.text))
        except ValueError:
            said = reply.text
        return reply.status_code, said

    def _token(self, case: str) -> dict[str, str]:
        if case.startswith("no-token"):
            return {}
        token = "garbage" if case.startswith("garbage") else self.service.config.argocd_token
        return {"Authorization": f"Bearer {token}"}

    def _ours(self, text: str) -> str:
        text = text.replace("http://git.example.com", self.git.url).replace("***", self.password or self.git.password)
        text = text.replace("http://other.example.com", "http://127.0.0.1:1")
        return text.replace("http://192.0.2.11:443", "http://127.0.0.1:2")

    def _theirs(self, text: str) -> str:
        encoded = self.git.url.replace(":", "%3A").replace("/", "%2F")
        text = text.replace(self.git.url, "http://git.example.com").replace(encoded, "http%3A%2F%2Fgit.example.com")
        text = re.sub(r"(first|second|third)-password", "***", text)
        text = text.replace("http://127.0.0.1:1/", "http://other.example.com/")
        return text.replace("http://127.0.0.1:2/", "http://192.0.2.11:443/")

    # -- what was not recorded ------------------------------------------------------------------------------------

    def ask(self, method: str, path: str, body: Any = None) -> Any:
        headers = {"Content-Type": "application/json"} | self._token("")
        url = f"{self.service.url}/api/v1/{path}"
        reply = requests.request(method, url, json=body, headers=headers, timeout=60)
        assert reply.status_code == 200, reply.text
        return reply.json()

    def register(self, *names: str, project: str = "") -> None:
        for name in names:
            body = {"repo": self.git.url_of(name), "type": "git", "username": USER, "password": self.git.password}
            self.ask("POST", "repositories?upsert=true", body | ({"project": project} if project else {}))

    def make(self, name: str, *, project: str = "dev") -> None:
        """Create an application of the chart `good` and sync it."""
        call = next(each for each in recorded("applications") if each.case == "create")
        body = json.loads(self._ours(json.dumps(call.body)).replace('"one"', f'"{name}"'))
        body["spec"] |= {"project": project}
        body["spec"]["destination"]["name"] = f"{project}-cluster"
        self.ask("POST", "applications", body)
        self.wait()
        self.sync(name, project)

    def sync(self, name: str, project: str = "dev", job: str = "op-1") -> None:
        infos = [{"name": "slipway-job", "value": job}]
        self.ask("POST", f"applications/{name}/sync", {"project": project, "prune": True, "infos": infos})
        self.wait()

    def remove(self, name: str, project: str = "dev") -> None:
        self.ask("DELETE", f"applications/{name}?project={project}")
        self.wait()

    def wait(self, seconds: float = STEP_S) -> None:
        self.clock.at += seconds

    def bring(self, **values: Any) -> None:
        for name, value in values.items():
            setattr(self.service, name, value)


# -- comparison -------------------------------------------------------------------------------------------------------


def difference(call: Recorded, status: int, said: Any) -> str:
    """Return how an answer differs from the recorded one in what a client or a console reads, "" when it does not."""
    if status != call.status:
        return f"status {status} for {call.status}: {said}"
    theirs, ours = _read(call, call.answer), _read(call, said)
    if theirs == ours:
        return ""
    if isinstance(theirs, dict) and isinstance(ours, dict):
        keys = sorted(key for key in theirs.keys() | ours.keys() if theirs.get(key) != ours.get(key))
        return "; ".join(f"{key}: {ours.get(key)!r} for {theirs.get(key)!r}" for key in keys)
    return f"{ours!r} for {theirs!r}"


def _read(call: Recorded, body: Any) -> Any:
    """Return the part of a body that is compared, with what differs from run to run left out."""
    if not isinstance(body, dict):
        return "text" if call.path != "/nosuch" else ""
    if "code" in body and "message" in body:
        return {"code": body["code"], "message": _words(body["message"]), "is_twice": body["error"] == body["message"]}
    if "metadata" in body and "status" in body and "spec" in body and "source" in body["spec"]:
        return _application(call, body)
    if "items" in body and "managed-resources" not in call.path:
        return _items(call, body["items"])
    if "managed-resources" in call.path:
        return [_managed(each) for each in body.get("items", [])]
    if "nodes" in body:
        return sorted((each["kind"], each.get("health", {}).get("status", "")) for each in body["nodes"])
    if "Version" in body:
        return body["Version"]
    if "connectionState" in body:
        state = {key: value for key, value in body["connectionState"].items() if key != "attemptedAt"}
        return state | {key: body.get(key) for key in ("type", "username", "password", "inheritedCreds")}
    return {key: value for key, value in body.items() if key not in ("username", "metadata")}


def _items(call: Recorded, items: Any) -> Any:
    if items is None:
        return None
    if call.path.startswith("/api/v1/applications?"):
        return {str(index): _application(call, each) for index, each in enumerate(items)}
    if "/events" in call.path:
        return {(each["type"], each["involvedObject"]["name"]) for each in items}
    if "/projects" in call.path:
        return {each["metadata"]["name"]: each["spec"] for each in items}
    if "/clusters" in call.path:
        return {each["name"]: (each["connectionState"]["status"]) for each in items}
    return {each.get("repo") or each["url"]: _repository(each) for each in items if "storefront" not in str(each)}


def _repository(row: dict[str, Any]) -> Any:
    state = row.get("connectionState", {})
    message = _words(state.get("message", ""))
    return row.get("project"), row.get("inheritedCreds"), row.get("username"), state.get("status"), message


def _managed(row: dict[str, Any]) -> Any:
    live, target = json.loads(row["liveState"]), json.loads(row["targetState"])
    tracking = "argocd.argoproj.io/tracking-id"
    ids = [(each or {}).get("metadata", {}).get("annotations", {}).get(tracking) for each in (live, target)]
    return row.get("group"), row["kind"], row["namespace"], row["name"], live is None, ids, row.get("modified")


def _application(call: Recorded, body: dict[str, Any]) -> dict[str, Any]:
    metadata, status = body["metadata"], body["status"]
    state = status.get("operationState", {})
    annotations = {key: value for key, value in metadata.get("annotations", {}).items() if "hydrate" not in key}
    is_whole = call.method == "GET" and "?name=" not in call.path
    return {
        "metadata": (metadata["name"], metadata.get("labels"), annotations, metadata.get("finalizers")),
        "is_deleting": "deletionTimestamp" in metadata,
        "spec": _spec(body["spec"]),
        "operation": (body.get("operation") or {}).get("info"),
        "sync": (status["sync"].get("status"), len(status["sync"].get("revision", ""))),
        "health": status["health"].get("status"),
        "is_reconciled": "reconciledAt" in status,
        "resources": [_resource(each, with_health=is_whole) for each in status.get("resources", [])],
        "conditions": {(each["type"], _words(each["message"])) for each in status.get("conditions", [])},
        "images": status.get("summary", {}).get("images"),
        "phase": state.get("phase"),
        "message": _words(state.get("message", "")),
        "info": state.get("operation", {}).get("info"),
        "has_ended": "finishedAt" in state,
        "results": [_result(each) for each in state.get("syncResult", {}).get("resources", [])],
        "history": len(status.get("history", [])),
        "sourceType": status.get("sourceType"),
    }


def _spec(spec: dict[str, Any]) -> Any:
    return json.loads(json.dumps(spec, sort_keys=True))


def _resource(row: dict[str, Any], *, with_health: bool) -> Any:
    names = tuple(row.get(key) for key in ("group", "version", "kind", "namespace", "name", "status", "hook"))
    health = row.get("health", {}) if with_health else {}
    return (*names, row.get("requiresPruning"), health.get("status"))


def _result(row: dict[str, Any]) -> Any:
    names = ("group", "version", "kind", "namespace", "name", "status", "syncPhase", "hookPhase", "hookType", "images")
    return (*(row.get(key) for key in names), _words(row.get("message", "")).partition(". Warning:")[0])


_VARYING = (
    (r"dial tcp: lookup (\S+) on [\d.:]+", r"dial tcp: lookup \1 on RESOLVER"),
    (r"dial tcp \S+?:\d+: ", "dial tcp ADDRESS: "),
    (r"https://[\w.-]+(:\d+)?(/version|\"|/api)", r"https://SERVER\2"),
    (r", sub: .*", ", sub: WHO"),
    (r"account slipway", "account WHO"),
    (r"invalid character '.'.*", "invalid character"),
    (r"invalid character in the request body", "invalid character"),
    (r"level=ERROR msg=.*?\n", ""),
    (r"[0-9a-f]{40}", "COMMIT"),
    (r"cm.yaml:\d+:\d+", "cm.yaml:PLACE"),
    (r"yaml: line \d+", "yaml: line N"),
)


def _words(message: str) -> str:
    for pattern, replacement in _VARYING:
        message = re.sub(pattern, replacement, message, flags=re.DOTALL if "level" in pattern else 0)
    return message.strip()
