"""The audit: who did what."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime

from slipway.calls import PAGE_ROWS, BaseClient
from slipway.errors import Document


class Audit(BaseClient):
    """The calls about the audit. Administrators only."""

    def list_actions(
        self,
        *,
        actor: str | None = None,
        action: str | None = None,
        object: str | None = None,  # noqa: A002 - the parameter's name
        team: str | None = None,
        since: datetime | None = None,
        until: datetime | None = None,
        limit: int = PAGE_ROWS,
    ) -> Iterator[Document]:
        """Yield the acts that match, newest first; times are aware, `limit` is the size of a page.

        `object`: the id or the name of what they are about. `team`: of that.
        """
        times = {name: at.isoformat() if at else None for name, at in {"since": since, "until": until}.items()}
        which = {"actor": actor, "action": action, "object": object, "team": team}
        return self._pages("actions", "audit", **which, **times, limit=limit)
