"""The client: all calls in one object."""

from __future__ import annotations

from slipway.accounts import Accounts
from slipway.apps import Apps
from slipway.audit import Audit
from slipway.jobs import Jobs
from slipway.releases import Releases
from slipway.upstreams import Upstreams


class Client(Accounts, Apps, Releases, Jobs, Upstreams, Audit):
    """A client of the Slipway server.

    >>> slipway = Client("http://127.0.0.1:8000")
    >>> slipway.log_in("ada", password)
    >>> job = slipway.await_job(slipway.start_build(app_id)["job_id"])

    A call whose answer is lost is sent again, and done once. Objects are the server's JSON objects, as dicts; lists are
    read page by page, when the caller gets there. Raises the errors of `slipway/errors.py`.
    """
