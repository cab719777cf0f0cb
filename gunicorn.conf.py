"""How does the API listen?  Read by `gunicorn 'api:create_app()'` when started here; command-line options win."""

import resource
from typing import Any

OPEN_FILES = 65_536

worker_class = "server.worker.PatientWorker"
workers = 2
threads = 8
timeout = 30
graceful_timeout = 30
max_requests = 20_000
max_requests_jitter = 2_000
limit_request_line = 4094
limit_request_fields = 50
control_socket_disable = True  # it would open a socket in the home directory


def post_fork(_server: Any, _worker: Any) -> None:
    """Every follower is an open file: the usual 1024 would do for a thousand of them in all."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    allowed = OPEN_FILES if hard == resource.RLIM_INFINITY else min(hard, OPEN_FILES)
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, allowed), hard))
