"""A redirect to a log-in page is told from one below an upstream's own address, whatever that address is called."""

from __future__ import annotations

import pytest

from worker.upstreams.replies import Reply, is_login_redirect


def _redirect(location: str, base_path: str) -> Reply:
    headers = {"Location": location}
    return Reply(upstream="U", method="GET", path="/", status=302, headers=headers, body=b"", base_path=base_path)


@pytest.mark.parametrize("base_path", ["/auth", "/login", "/tools/sso", ""])
@pytest.mark.parametrize("origin", ["", "https://tools.example.com"])
def test_what_is_below_the_upstreams_own_address_is_no_page_to_log_in(base_path: str, origin: str) -> None:
    assert not is_login_redirect(_redirect(f"{origin}{base_path}/queue/item/7/", base_path))
    assert not is_login_redirect(_redirect(f"{origin}{base_path}", base_path))


@pytest.mark.parametrize(
    ("location", "base_path"),
    [
        ("/auth/login", "/auth"),
        ("https://sso.example.com/auth/realms/x/protocol/openid-connect/auth", "/auth"),
        ("/login", "/jenkins"),
        ("/authority/login", "/auth"),
        ("/auth", ""),
        ("/jenkins/login?from=%2F", "/jenkins"),
    ],
)
def test_a_page_to_log_in_is_one_below_any_address(location: str, base_path: str) -> None:
    assert is_login_redirect(_redirect(location, base_path))
