"""Who makes accounts: refused where half of an identity is missing, `ours` where nothing is said."""

from __future__ import annotations

import pytest
from pydantic import ValidationError

from common.config.accounts import Accounts


def test_accounts_are_ours_unless_the_catalog_says_otherwise() -> None:
    accounts = Accounts()

    assert (accounts.gitlab, accounts.jenkins, accounts.kibana) == ("ours", "ours", "ours")
    assert accounts.gitlab_uid_of("ada", "ada@example.com") is None


@pytest.mark.parametrize(
    "section",
    [{"gitlab": "theirs"}, {"argocd": "ours"}, {"gitlab_provider": "saml"}, {"gitlab_extern_uid": "{login}"}],
)
def test_a_section_that_cannot_work_is_refused(section: dict[str, str]) -> None:
    with pytest.raises(ValidationError):
        Accounts(**section)


def test_an_identity_is_made_from_what_is_known_of_a_person() -> None:
    accounts = Accounts(gitlab_provider="ldapmain", gitlab_extern_uid="uid={login},mail={email}")

    assert accounts.gitlab_uid_of("ada", "ada@example.com") == "uid=ada,mail=ada@example.com"
