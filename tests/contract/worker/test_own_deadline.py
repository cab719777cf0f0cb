"""A call that our own deadline cuts short says nothing about the upstream: it might have answered."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from support.raw_server import saying

from common.errors import Transient
from worker.upstreams.check import CheckFailedError
from worker.upstreams.http import Deadline, Http, Limits
from worker.upstreams.probe import Probe

QUICK = Limits(connect_s=0.3, read_s=0.3, total_s=0.4)
LONG_S, SHORT_S = 30.0, 0.1


@pytest.fixture
def http() -> Iterator[Http]:
    """A connection to an upstream that never answers."""
    with saying(b"", hold=True) as url:
        yield Http("GitLab", url, limits=QUICK)


@pytest.mark.parametrize(
    ("deadline_s", "is_unavailable", "upstream"), [(LONG_S, True, "GitLab"), (SHORT_S, False, None)]
)
def test_only_an_upstream_that_had_its_time_is_unavailable(
    http: Http, deadline_s: float, is_unavailable: bool, upstream: str | None
) -> None:
    with pytest.raises(Transient) as raised:
        http.within(Deadline.within(deadline_s)).send("GET", "slow")

    assert (raised.value.is_unavailable, raised.value.upstream) == (is_unavailable, upstream)
    assert not raised.value.is_unsent


@pytest.mark.parametrize(("deadline_s", "is_unavailable"), [(LONG_S, True), (SHORT_S, False), (0.0, False)])
def test_a_check_says_whose_time_was_up(http: Http, deadline_s: float, is_unavailable: bool) -> None:
    probe = Probe(http.within(Deadline.within(deadline_s)), setting="GITLAB_URL", url=http.base_url)

    with pytest.raises(CheckFailedError) as failed:
        probe.get("version")

    assert failed.value.transient is not None
    assert failed.value.transient.is_unavailable is is_unavailable
