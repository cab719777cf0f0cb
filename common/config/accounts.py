"""Who makes people's accounts on each upstream: Slipway, or the organisation's single sign-on."""

from __future__ import annotations

from typing import Literal, Self

from pydantic import BaseModel, ConfigDict, model_validator

Owner = Literal["ours", "external", "none"]


class Accounts(BaseModel):
    """The section `[accounts]` of the catalog.

    ours      sign-up makes the account, off-boarding closes it
    external  the account is there already, or comes with the first sign-in; only memberships and roles are ours
    none      nothing is done on this upstream

    `gitlab_provider` is the identity provider with which people sign in to GitLab, as GitLab names it, and
    `gitlab_extern_uid` how it knows them: `{login}` and `{email}` are replaced. Accounts that are ours are made with
    this identity and without a password, external ones are found by it.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    gitlab: Owner = "ours"
    jenkins: Owner = "ours"
    kibana: Owner = "ours"
    gitlab_provider: str | None = None
    gitlab_extern_uid: str | None = None

    @model_validator(mode="after")
    def _with_a_whole_identity(self) -> Self:
        if (self.gitlab_provider is None) != (self.gitlab_extern_uid is None):
            raise ValueError("gitlab_provider and gitlab_extern_uid are an identity together: set both, or neither")
        return self

    def gitlab_uid_of(self, login: str, email: str) -> str | None:
        """Return how the identity provider knows a person, None without a provider."""
        uid = self.gitlab_extern_uid
        return uid.replace("{login}", login).replace("{email}", email) if uid is not None else None
