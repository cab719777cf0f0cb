"""All calls, in one object."""

from __future__ import annotations

from slipway.accounts import Accounts
from slipway.apps import Apps
from slipway.jobs import Jobs
from slipway.releases import Releases
from slipway.upstreams import Upstreams


class Client(Accounts, Apps, Releases, Jobs, Upstreams):
    """Slipway as its users see it.

    >>> slipway = Client("http://127.0.0.1:8000")
    >>> slipway.log_in("ada", password)
    >>> job = slipway.await_job(slipway.start_build(app_id)["job_id"])

    Whatever is called is sent again when its answer is lost, and done once. Objects are what the server sends, as
    dicts; lists are read page by page, as far as they are asked for. Raises what `slipway/errors.py` lists.
    """
