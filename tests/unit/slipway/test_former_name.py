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


def test_the_former_names_of_the_retry_policy_still_work() -> None:
    policy = slipway.Repeats(tries=2)

    with slipway.Client("http://127.0.0.1:8000", repeats=policy):
        assert isinstance(policy, slipway.RetryPolicy)
