"""Credential templates: what Argo CD reads a repository with that has no credentials of its own.

There is one for each team's group, under the beginning of its repositories' addresses. Rotating the token is one write
to each. A repository's own credentials outrank every template, also when git no longer accepts them.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from common.errors import StepError
from worker.upstreams.argocd.errors import is_different_spec
from worker.upstreams.argocd.manifest import canonical_url
from worker.upstreams.argocd.schemas import Template, Templates
from worker.upstreams.base import Api
from worker.upstreams.replies import Reply


@dataclass(frozen=True, kw_only=True)
class Credentials:
    """A user of GitLab that reads repositories, and its token."""

    username: str
    password: str = field(repr=False)


def prefix_of(repository_url: str) -> str:
    """Return the beginning that a repository's address shares with the others of its group."""
    return canonical_url(repository_url).rpartition("/")[0] + "/"


def template_of(prefix: str, templates: Iterable[Template]) -> Template | None:
    """Return the template of exactly these addresses, None when there is none; they may be spelt in another way."""
    return next((each for each in templates if _plain(each.url) == _plain(prefix)), None)


def _plain(url: str) -> str:
    return url.strip().lower().rstrip("/")


class CredentialTemplates:
    """The credential templates of one Argo CD."""

    def __init__(self, api: Api) -> None:
        self._api = api

    def ensure(self, prefix: str, credentials: Credentials) -> bool:
        """Make the template of these addresses when there is none; say whether it was made.

        Safe to repeat: one with our user's name is left as it is, for Argo CD does not show its password. Raises
        Conflict when it has another user's name. Source: `server/repocreds CreateRepositoryCredentials`.
        """
        if self._has_ours(prefix, credentials):
            return False
        reply = self._post(prefix, credentials, is_upsert=False)
        if reply.status == 200:
            return True
        if is_different_spec(reply) and self._has_ours(prefix, credentials):  # made meanwhile
            return False
        if is_different_spec(reply):
            reason = f"Argo CD has a credential template for {prefix} where our account cannot see it"
            raise self._api.conflict(reason, "ask an operator to remove that template from Argo CD")
        raise self._failed(reply, prefix, credentials)

    def renew(self, prefix: str, credentials: Credentials) -> None:
        """Give the template of these addresses our present token. Raises Conflict when it is another user's."""
        self._has_ours(prefix, credentials)
        reply = self._post(prefix, credentials, is_upsert=True)
        if reply.status != 200:
            raise self._failed(reply, prefix, credentials)

    def find(self, prefix: str) -> Template | None:
        """Return the template of exactly these addresses, None when our account sees none."""
        reply = self._api.send("GET", "repocreds")
        items = self._api.expect(reply, "listing the credential templates").read_as(Templates).items or []
        return template_of(prefix, items)

    def _has_ours(self, prefix: str, credentials: Credentials) -> bool:
        existing = self.find(prefix)
        if existing is not None and existing.username != credentials.username:
            whose = f"the user {existing.username}" if existing.username else "no user that it names"
            raise self._api.conflict(
                f"Argo CD has a credential template for {prefix} with {whose}, not {credentials.username}",
                "set GITLAB_READ_USER and GITLAB_READ_TOKEN to that user's",
                "ask an operator to remove that template from Argo CD",
            )
        return existing is not None

    def _post(self, prefix: str, credentials: Credentials, *, is_upsert: bool) -> Reply:
        body = {"url": prefix, "type": "git", "username": credentials.username, "password": credentials.password}
        return self._api.send("POST", "repocreds", params={"upsert": "true" if is_upsert else "false"}, json=body)

    def _failed(self, reply: Reply, prefix: str, credentials: Credentials) -> StepError:
        doing = f"storing the credential template for {prefix}"
        return self._api.failed(reply, doing, secrets=(credentials.password,))
