"""gunicorn.conf.py: what it refuses when settings and addresses are both known."""

from __future__ import annotations

import runpy
from types import SimpleNamespace
from typing import Any

import pytest
from gunicorn.errors import AppImportError
from support.api import settings
from support.checkout import ROOT

OPEN, LOCAL = ("0.0.0.0", 8000), ("127.0.0.1", 8000)  # noqa: S104 - nothing listens
HOOK = runpy.run_path(str(ROOT / "gunicorn.conf.py"))["post_worker_init"]


def _worker(*names: object, **changes: Any) -> SimpleNamespace:
    config = settings("sqlite:////tmp/slipway.db", **{"allow_insecure_cookie": "false", **changes})
    listeners = [SimpleNamespace(getsockname=lambda name=name: name) for name in names]
    return SimpleNamespace(
        sockets=listeners, wsgi=SimpleNamespace(extensions={"slipway": SimpleNamespace(settings=config)})
    )


def test_sessions_are_not_served_in_clear_text_to_other_machines() -> None:
    with pytest.raises(AppImportError, match="COOKIE_SECURE: the API listens for other machines"):
        HOOK(_worker(LOCAL, OPEN))


@pytest.mark.parametrize(
    "worker",
    [
        _worker(LOCAL, ("::1", 8000, 0, 0), "/run/slipway.sock"),
        _worker(OPEN, cookie_secure="true"),
        _worker(OPEN, allow_insecure_cookie="true"),
    ],
)
def test_what_stays_on_this_machine_is_encrypted_or_accepted_is_served(worker: SimpleNamespace) -> None:
    HOOK(worker)
