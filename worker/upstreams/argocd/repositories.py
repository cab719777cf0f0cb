"""Git repositories that Argo CD may read: registered and removed.

They are registered without credentials: a template has them (`credential_templates`). Replies to an upsert can hold a
password, so none of them is read.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from worker.upstreams.argocd.credential_templates import Credentials, CredentialTemplates, prefix_of
from worker.upstreams.argocd.denials import Denied, Right
from worker.upstreams.argocd.errors import is_different_spec, is_git_refusal
from worker.upstreams.argocd.manifest import canonical_url, is_same_repository
from worker.upstreams.argocd.schemas import Registration, Registrations
from worker.upstreams.base import Api
from worker.upstreams.replies import Reply

SLOW_S = 90.0  # Argo CD may test every connection before it answers
DELETION_POLL_S = 2.0


@dataclass(frozen=True, kw_only=True)
class Repository:
    """A git repository that Argo CD may read. `found`: it was there before the call."""

    url: str
    found: bool


class Repositories:
    """The repositories of one Argo CD."""

    def __init__(self, api: Api, templates: CredentialTemplates) -> None:
        self._api = api
        self._templates = templates

    def ensure(
        self,
        url: str,
        *,
        credentials: Credentials | None,
        is_new: bool = False,
        project: str | None = None,
        on_create: Callable[[], None],
        on_refuse: Callable[[], None] = lambda: None,
    ) -> Repository:
        """Register `url` when it is not registered in `project`. `on_create` runs just before the first write.

        `credentials` are those of the template of its group, None when somebody else takes care of that. `is_new`:
        the repository itself was made just now, so nobody has registered it; then it is not looked for first, because
        for the list Argo CD tests the connection to every repository. `on_refuse` runs when somebody had all the same.

        Safe to repeat: the URL is the identity; what is registered is left as it is. Argo CD tests the connection
        before it stores a repository without project, never one with. Raises Transient while git cannot be reached,
        Permanent when it refuses the credentials, Conflict when the URL is taken where we may not see it, or the
        template is another user's.
        Source: `server/repository CreateRepository`.
        """
        url = canonical_url(url)
        if not is_new and self._registered(url, project) is not None:
            if credentials is not None:
                self._templates.ensure(prefix_of(url), credentials)
            return Repository(url=url, found=True)
        on_create()
        is_made = credentials is None or self._templates.ensure(prefix_of(url), credentials)
        reply = self._post(url, project)
        if credentials is not None and not is_made and is_git_refusal(reply):  # the token was changed since
            self._templates.renew(prefix_of(url), credentials)
            reply = self._post(url, project)
        if reply.status == 200:
            return Repository(url=url, found=False)
        if is_different_spec(reply):
            if is_new:
                on_refuse()
            return self._find_again(url, project)
        raise self._api.failed(reply, f"registering {url}", secrets=(credentials.password,) if credentials else ())

    def _post(self, url: str, project: str | None, *, is_upsert: bool = False) -> Reply:
        scope = {"project": project} if project else {}
        return self._api.send(
            "POST",
            "repositories",
            params={"upsert": "true" if is_upsert else "false"},
            json={"repo": url, "type": "git"} | scope,
            total_s=SLOW_S,
        )

    def _find_again(self, url: str, project: str | None) -> Repository:
        if self._registered(url, project) is not None:
            return Repository(url=url, found=True)
        reason = f"Argo CD has {url} with other credentials, where our account cannot see it"
        raise self._api.conflict(reason, "ask an operator to remove that repository from Argo CD")

    def with_own_credentials(self) -> list[str]:
        """Return the repositories of no project that no template serves: they have their own credentials, or none."""
        return [each.repo for each in self._list() if not each.inheritedCreds and not each.project]

    def drop_credentials(self, url: str) -> None:
        """Let the template serve this repository. Argo CD tests it before it drops what it has.

        Safe to repeat. Raises as `ensure`; what it has stays then.
        """
        reply = self._post(url, None, is_upsert=True)
        if reply.status != 200:
            raise self._api.failed(reply, f"dropping the credentials of {url}")

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
        error = self._api.failed(reply, f"removing {url}")
        if isinstance(error, Denied):  # it is listed: without a word, and if we may, Argo CD could not look
            error.rights = (Right("repositories", "delete", (spelling,)),)
        raise error

    def _registered(self, url: str, project: str | None) -> str | None:
        """Return the spelling under which Argo CD has a repository, None when it has not.

        Search the list: proxies split a URL in a path segment, and there a missing repository is a 403.
        """
        spellings = (item.repo for item in self._list() if (item.project or "") == (project or ""))
        return next((each for each in spellings if is_same_repository(each, url)), None)

    def _list(self) -> list[Registration]:
        reply = self._api.send("GET", "repositories", total_s=SLOW_S)
        return self._api.expect(reply, "listing the repositories").read_as(Registrations).items or []
