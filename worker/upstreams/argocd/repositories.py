"""Git repositories that Argo CD may read: registered and removed."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from worker.upstreams.argocd.errors import is_different_spec
from worker.upstreams.argocd.manifest import canonical_url, is_same_repository
from worker.upstreams.argocd.schemas import Registrations
from worker.upstreams.base import Api

SLOW_S = 90.0  # Argo CD may test every connection before it answers
DELETION_POLL_S = 2.0


@dataclass(frozen=True, kw_only=True)
class Repository:
    """A git repository that Argo CD may read. `found`: it was there before the call."""

    url: str
    found: bool


class Repositories:
    """The repositories of one Argo CD."""

    def __init__(self, api: Api) -> None:
        self._api = api

    def ensure(
        self,
        url: str,
        *,
        username: str | None,
        password: str | None,
        project: str | None = None,
        on_create: Callable[[], None],
    ) -> Repository:
        """Register `url` when it is not registered in `project`. `on_create` runs just before the registration.

        Safe to repeat: the URL is the identity; what is registered is left as it is. Argo CD tests the connection
        before it stores a repository without project, never one with. Raises Transient while git cannot be reached,
        Permanent when it refuses the credentials, Conflict when the URL is taken where we may not see it.
        Source: `server/repository CreateRepository`.
        """
        url = canonical_url(url)
        if self._registered(url, project) is not None:
            return Repository(url=url, found=True)
        on_create()
        body = {"repo": url, "type": "git", "username": username, "password": password, "project": project}
        reply = self._api.send(
            "POST",
            "repositories",
            params={"upsert": "false"},
            json={key: value for key, value in body.items() if value},
            total_s=SLOW_S,
        )
        if reply.status == 200:
            return Repository(url=url, found=False)
        if is_different_spec(reply):
            return self._find_again(url, project)
        raise self._api.failed(reply, f"registering {url}", secrets=(password,) if password else ())

    def _find_again(self, url: str, project: str | None) -> Repository:
        if self._registered(url, project) is not None:
            return Repository(url=url, found=True)
        reason = f"Argo CD has {url} with other credentials, where our account cannot see it"
        raise self._api.conflict(reason, "ask an operator to remove that repository from Argo CD")

    def remove(self, url: str, *, project: str | None = None) -> bool:
        """Take `url` out of the repositories of `project` and return True; what is in git stays.

        Safe to repeat: what is not listed is done. A repository carries no marker: the caller knows whether it is
        ours. Raises Transient or Permanent when Argo CD refuses and still lists it, NotYet when it only still lists it.
        Source: `server/repository DeleteRepository`.
        """
        spelling = self._registered(url, project)
        if spelling is None:
            return True
        reply = self._api.send(
            "DELETE", "repositories", spelling, params={"appProject": project} if project else None, total_s=SLOW_S
        )
        if self._registered(url, project) is None:
            return True
        if reply.status == 200:
            reason = f"Argo CD still lists {url}"
            raise self._api.not_yet(reason, retry_after_s=DELETION_POLL_S)
        raise self._api.failed(reply, f"removing {url}")

    def _registered(self, url: str, project: str | None) -> str | None:
        """Return the spelling under which Argo CD has a repository, None when it has not.

        Search the list: proxies split a URL in a path segment, and there a missing repository is a 403.
        """
        reply = self._api.send("GET", "repositories", total_s=SLOW_S)
        items = self._api.expect(reply, "listing the repositories").read_as(Registrations).items or []
        spellings = (item.repo for item in items if (item.project or "") == (project or ""))
        return next((each for each in spellings if is_same_repository(each, url)), None)
