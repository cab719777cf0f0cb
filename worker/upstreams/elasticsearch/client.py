"""The Elasticsearch client: its security API, with a user that has the cluster privilege `manage_security`."""

from __future__ import annotations

from worker.upstreams.base import Api
from worker.upstreams.elasticsearch.errors import failure
from worker.upstreams.elasticsearch.rights import Rights
from worker.upstreams.elasticsearch.users import User, Users
from worker.upstreams.http import Http

__all__ = ["Elasticsearch", "User"]


class Elasticsearch:
    """Elasticsearch's native users."""

    def __init__(self, http: Http) -> None:
        api = Api(http, translate=failure, root=("_security",))
        self.users = Users(api)
        self.rights = Rights(api)
