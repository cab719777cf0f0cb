"""Every answer says how a browser has to treat it."""

from __future__ import annotations

import pytest
from support.api import V1, open_api
from support.world import Time

NOWHERE = "mysql+pymysql://slipway@127.0.0.1:1/slipway"
ALWAYS = {
    "Cache-Control": "no-store",
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}
PATHS = ["/healthz", f"{V1}/me", "/nowhere"]


@pytest.mark.parametrize("path", PATHS)
def test_an_answer_is_for_one_reader_and_for_no_other_page(time: Time, path: str) -> None:
    with open_api(NOWHERE, time) as api:
        answer = api.visitor.get(path)

    assert {name: answer.headers.get(name) for name in ALWAYS} == ALWAYS


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize(("cookie_secure", "said"), [(True, "max-age=31536000"), (False, None)])
def test_a_host_that_is_served_over_https_is_asked_for_over_nothing_else(
    time: Time, path: str, cookie_secure: bool, said: str | None
) -> None:
    with open_api(NOWHERE, time, cookie_secure=cookie_secure) as api:
        answer = api.visitor.get(path)

    assert answer.headers.get("Strict-Transport-Security") == said
