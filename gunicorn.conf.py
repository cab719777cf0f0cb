"""Settings of gunicorn, read by `gunicorn 'api:create_app()'` when it starts in this directory.

Options win, and so does the environment: GUNICORN_CMD_ARGS="--workers=4 --threads=16".
"""

import itertools
import os
import resource
import shutil
import tempfile
from typing import Any

OPEN_FILES = 65_536

worker_class = "server.worker.PatientWorker"
logger_class = "server.lines.Lines"  # --statsd-host needs --logger-class gunicorn.instrument.statsd.Statsd
workers = 2
threads = 8
worker_connections = 4000  # of each process; what waits costs some kilobytes, and one address gets a share of it
timeout = 30
graceful_timeout = 30
max_requests = 20_000
max_requests_jitter = 2_000
limit_request_line = 4094
limit_request_fields = 50
forwarder_headers = ""  # no SCRIPT_NAME of a client: `api/access/proxies.py` reads the prefix that a proxy sends
control_socket_disable = True  # it would open a socket in the home directory


def on_starting(_server: Any) -> None:
    """Make the place where the processes write their numbers: any of them can tell Prometheus those of all."""
    os.environ["PROMETHEUS_MULTIPROC_DIR"] = tempfile.mkdtemp(prefix="slipway-metrics-")


def on_exit(_server: Any) -> None:
    shutil.rmtree(os.environ["PROMETHEUS_MULTIPROC_DIR"], ignore_errors=True)


def pre_fork(server: Any, worker: Any) -> None:
    """Give a process the number of one that is gone: it goes on counting in the same file, and none is left over."""
    taken = {other.number for other in server.WORKERS.values()}
    worker.number = next(number for number in itertools.count() if number not in taken)


def post_fork(_server: Any, worker: Any) -> None:
    """Every follower is an open file: the usual 1024 would do for a thousand of them in all."""
    from prometheus_client import values  # not in the master: it would never let go of it

    values.ValueClass = values.MultiProcessValue(lambda: worker.number)
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    allowed = OPEN_FILES if hard == resource.RLIM_INFINITY else min(hard, OPEN_FILES)
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, allowed), hard))


def post_worker_init(worker: Any) -> None:
    """Serve no session in clear text to other machines; only here the settings and the addresses are both known."""
    from gunicorn.errors import AppImportError  # ends the master, too: a restart would not help

    from common.config.safety import risk_of_listening

    names = [listener.getsockname() for listener in worker.sockets]
    hosts = [name[0] for name in names if isinstance(name, tuple)]  # a socket of this machine has a text
    if risk := risk_of_listening(worker.wsgi.extensions["slipway"].settings, hosts):
        raise AppImportError(f"Invalid configuration:\n  {risk}")
