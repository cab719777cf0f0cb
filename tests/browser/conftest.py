"""Chromium, the embedded stack, and somebody who is logged in there."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from support.browser import INSTALL, IS_INSTALLED, Browser
from support.stack import Stack


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    stack = Stack(tmp_path_factory.mktemp("stack"))
    stack.start()
    yield stack
    stack.stop()


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    browser = Browser(tmp_path_factory.mktemp("profile"))
    yield browser
    browser.close()


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    if not IS_INSTALLED:
        for item in items:
            item.add_marker(pytest.mark.skip(reason=INSTALL))
