"""How a run ended: steps, outside world, ledger and secrets, in a form in which two runs can be compared."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from simulation.site import Site

FORGOTTEN = frozenset(
    {
        "id",
        "uid",
        "namespace_id",
        "generation",
        "resource_version",
        "lines",
        "planned_s",
        "queue_id",
        "queue",
        "version",
    }
)
LATER_S = 200.0  # by then everything that was begun outside has come to its end
STAMP = re.compile(r"\d{13}")


@dataclass(frozen=True)
class Ending:
    """How a run ended, as far as it can be compared: without times, and ids only where they lead."""

    steps: dict[str, Any]
    world: dict[str, Any]
    ledger: list[Any]
    secrets: int


def look(site: Site, wanted: Sequence[tuple[str, str]]) -> Ending:
    """Look at everything once the world has come to rest."""
    site.time.advance(LATER_S)
    harbour = site.harbour
    harbour.jenkins.catch_up()
    harbour.argocd.advance()
    found = harbour.snapshot()
    names = _Names(found)
    world = _cleaned(found)
    world["gitlab"]["projects"] = names.by_path(found["gitlab"]["projects"])
    world["gitlab"]["users"] = {each["username"]: _cleaned(each) for each in found["gitlab"]["users"]}
    world["gitlab"]["groups"] = {each["full_path"]: names.members(each) for each in found["gitlab"]["groups"]}
    world["images"] = sorted(STAMP.sub("<time>", image) for image in harbour.registry.images())
    rows = site.rows.ask("SELECT job_id, name, state, output IS NULL FROM steps")
    # Whether a branch had to be opened depends on when GitLab protected it: only an opening that is not over is wrong.
    ledger = site.rows.ask(
        "SELECT upstream, kind, ref, provenance, step, outside_id FROM resources"
        " WHERE kind <> 'unprotection' OR provenance <> 'gone' ORDER BY upstream, kind, ref"
    )
    return Ending(
        steps={name: (state, has_none) for job_id, name, state, has_none in rows if (job_id, name) in wanted},
        world=world,
        ledger=[(*row[:-1], names.of(row[0], row[1], row[-1])) for row in ledger],
        secrets=site.rows.ask("SELECT COUNT(*) FROM secrets")[0][0],
    )


class _Names:
    """What ids of outside objects lead to."""

    def __init__(self, found: dict[str, Any]) -> None:
        groups = {each["id"]: each["full_path"] for each in found["gitlab"]["groups"]}
        users = {each["id"]: each["username"] for each in found["gitlab"]["users"]}
        spaces = groups | {each["namespace_id"]: each["username"] for each in found["gitlab"]["users"]}
        self._users = users
        self._paths = {
            each["id"]: f"{spaces.get(each['namespace_id'])}/{each['path']}" for each in found["gitlab"]["projects"]
        }
        self._applications = {each["uid"]: name for name, each in found["argocd"]["applications"].items()}

    def of(self, upstream: str, kind: str, outside_id: str | None) -> str | None:
        known: dict[Any, str] = {}
        match upstream, kind:
            case "gitlab", "user":
                known = {str(key): value for key, value in self._users.items()}
            case "gitlab", "project":
                known = {str(key): value for key, value in self._paths.items()}
            case "argocd", "application":
                known = self._applications
            case ("jenkins", "build") | ("gitlab", "member"):
                return "set" if outside_id else None
            case _:
                return outside_id
        return known.get(outside_id, "nothing") if outside_id else None

    def by_path(self, projects: list[Any]) -> dict[str, list[Any]]:
        found: dict[str, list[Any]] = {}
        for each in projects:
            found.setdefault(re.sub(r"-\d+$", "", self._paths[each["id"]]), []).append(_cleaned(each))
        return found

    def members(self, group: Any) -> list[Any]:
        return sorted(
            (self._users.get(each["user_id"], "nobody"), each["access_level"], each["expires_at"] or "")
            for each in group["members"]
        )


def _cleaned(value: Any, key: str = "") -> Any:
    if isinstance(value, dict):
        return {
            STAMP.sub("<time>", name): _cleaned(each, name) for name, each in value.items() if name not in FORGOTTEN
        }
    if isinstance(value, list):
        return [_cleaned(each) for each in value]
    if key.endswith(("_at", "_on")):
        return value is None
    return STAMP.sub("<time>", value) if isinstance(value, str) else value
