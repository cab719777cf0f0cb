"""The package's former name, for one release."""

from __future__ import annotations

import importlib
import sys

import pytest

import slipway


def test_the_former_name_still_imports_the_same_classes_and_warns() -> None:
    sys.modules.pop("client", None)

    with pytest.warns(DeprecationWarning, match="from slipway import"):
        client = importlib.import_module("client")

    assert {name: getattr(client, name) for name in slipway.__all__} == {
        name: getattr(slipway, name) for name in slipway.__all__
    }
