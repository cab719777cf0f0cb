"""`--since` means the same to both programs, which share no code."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import cast

import click
import pytest

from api.commands.options import Since as OperatorSince
from slipway.commands.options import Since as ClientSince

SECOND = timedelta(seconds=1)  # both take the present time of their own


def _parsed(option: click.ParamType[datetime], value: str) -> datetime | None:
    try:
        return cast("datetime", option.convert(value, None, None))
    except click.UsageError:
        return None


@pytest.mark.parametrize(
    "value",
    ["90m", "12h", "7d", "0m", "007d", "18000d", "2026-01-31T08:00Z", "2026-01-31T08:00+01:00", "2026-01-31T08:00"],
)
def test_both_accept_it_and_mean_the_same_moment(value: str) -> None:
    operator, client = _parsed(OperatorSince(), value), _parsed(ClientSince(), value)

    assert operator is not None
    assert client is not None
    assert abs(operator - client) < SECOND


@pytest.mark.parametrize("value", ["", "d", "-1d", "1w", "1.5h", "1234567m", "999999d", "yesterday", "12 h"])
def test_both_refuse_it(value: str) -> None:
    assert (_parsed(OperatorSince(), value), _parsed(ClientSince(), value)) == (None, None)
