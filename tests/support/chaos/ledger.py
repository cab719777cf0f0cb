"""The ledger and the world: what Slipway says it created is there, and nothing else is."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from support.chaos.installation import Installation

Thing = tuple[str, str, str]  # upstream, kind, and its name there, as the ledger has them
KINDS = {
    ("gitlab", "project"), ("gitlab", "user"), ("gitlab", "member"), ("jenkins", "pipeline"), ("jenkins", "user"),
    ("jenkins", "role_assignment"), ("argocd", "application"), ("argocd", "repository"), ("elasticsearch", "user"),
}  # fmt: skip


def differences(installation: Installation) -> list[str]:
    """Return what only the ledger has, and what only the world has and had not at the beginning."""
    world = things(installation.harbour.state()) - things(installation.state_at_start)
    rows = installation.rows("SELECT upstream, kind, ref, provenance FROM resources")
    ledger = {(row["upstream"], row["kind"], row["ref"]) for row in rows if row["provenance"] == "created"}
    ledger = {thing for thing in ledger if thing[:2] in KINDS}
    open_ends = [row for row in rows if row["provenance"] == "intended"]
    return [
        *(f"only in the ledger: {thing}" for thing in sorted(ledger - world)),
        *(f"only in the world: {thing}" for thing in sorted(world - ledger)),
        *(f"intended, and never settled: {row}" for row in open_ends),
    ]


def things(state: dict[str, Any]) -> set[Thing]:
    """Return every object in a state of the stand-ins that a ledger could have."""
    return {*_gitlab(state["gitlab"]), *_jenkins(state["jenkins"]), *_others(state)}


def _gitlab(state: dict[str, Any]) -> Iterator[Thing]:
    groups = {group["id"]: group for group in state["groups"]}
    users = {user["id"]: user for user in state["users"]}
    yield from (("gitlab", "user", user["username"]) for user in users.values())  # also the blocked ones: they stay
    for project in state["projects"]:
        if project["namespace_id"] in groups and not project["marked_for_deletion_on"]:
            yield "gitlab", "project", f"{groups[project['namespace_id']]['full_path']}/{project['path']}"
    for group in groups.values():
        for member in group["members"]:
            yield "gitlab", "member", f"{group['full_path']}/{users[member['user_id']]['username']}"


def _jenkins(state: dict[str, Any]) -> Iterator[Thing]:
    yield from (("jenkins", "user", name) for name in state["users"])
    yield from (("jenkins", "pipeline", name) for name in state["items"] if "/" in name)
    for role, facts in state["roles"]["projectRoles"].items():
        yield from (("jenkins", "role_assignment", f"{role}/{name}") for kind, name in facts["sids"] if kind == "USER")


def _others(state: dict[str, Any]) -> Iterator[Thing]:
    yield from (("argocd", "application", app["name"]) for app in state["argocd"]["applications"].values())
    yield from (("argocd", "repository", kept["repo"]) for kept in state["argocd"]["repositories"].values())
    yield from (("elasticsearch", "user", name) for name in state["elasticsearch"]["users"])
