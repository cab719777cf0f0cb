"""The HTTP API: requests in, rows in the database, job ids out. `gunicorn 'api:create_app()'`."""

from __future__ import annotations

import logging
import re
import time
from urllib.parse import quote

from flask import Flask, Response, g, request

from api import (
    apps,
    builds,
    cli,
    deploys,
    health,
    interventions,
    jobs,
    lifecycle,
    login,
    problems,
    projects,
    routes,
    signup,
    users,
)
from api.passwords import Passwords
from api.readiness import Readiness
from api.service import Service, service
from common import catalog, logs
from common import settings as common_settings
from common.db import Database, Now
from common.models import new_id
from common.queue import Publisher, celery_app
from common.settings import Settings, SettingsError
from common.vault import Vault

log = logging.getLogger(__name__)

REQUEST_ID = re.compile(r"[A-Za-z0-9-]{8,64}")
HEADERS = {
    "Cache-Control": "no-store",
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}


def create_app(config: Settings | None = None, *, now: Now | None = None) -> Flask:
    """Return the WSGI app. Raises SystemExit with every problem of the settings.

    `now` is the time that sessions and jobs go by; None is the time of the database's host.
    """
    try:
        config = config or common_settings.load()
        parts = _parts(config, now)
    except SettingsError as problem:
        raise SystemExit(str(problem)) from None
    logs.configure(config.log_format)
    app = Flask(__name__, static_folder=None)
    app.extensions["slipway"] = parts
    app.config.update(MAX_CONTENT_LENGTH=routes.BODY_BYTES, PROPAGATE_EXCEPTIONS=False)
    app.config["TRUSTED_HOSTS"] = list(config.trusted_hosts) or None
    app.url_map.merge_slashes = False  # a doubled slash is an unknown path, not a redirect
    for module in (signup, login, projects, apps, builds, deploys, lifecycle, jobs, interventions, users):
        app.register_blueprint(module.blueprint, url_prefix=routes.BASE)
    app.register_blueprint(health.blueprint)
    app.before_request(_begin)
    app.after_request(_end)
    app.cli.add_command(cli.database)
    problems.install(app)
    routes.check(app)
    return app


def _parts(config: Settings, now: Now | None) -> Service:
    db = Database(config.db_url.get_secret_value(), now=now)
    teams_and_types = catalog.load(config)
    return Service(
        settings=config,
        catalog=teams_and_types,
        db=db,
        vault=Vault([key.get_secret_value() for key in config.secret_keys]),
        publisher=Publisher(celery_app(config)),
        passwords=Passwords(),
        readiness=Readiness(db, teams_and_types),
    )


def _begin() -> None:
    given = request.headers.get("X-Request-Id", "")
    g.request_id = given if REQUEST_ID.fullmatch(given) else new_id()
    g.began_s = time.monotonic()
    if request.blueprint not in (None, health.blueprint.name):
        service().readiness.require()


def _end(response: Response) -> Response:
    for name, value in HEADERS.items():
        response.headers.setdefault(name, value)
    response.headers["X-Request-Id"] = g.request_id
    extra = {
        "request_id": g.request_id,
        "method": request.method,
        "path": quote(request.path),  # a line break in a path must not begin a line of the log
        "status": response.status_code,
        "ms": round((time.monotonic() - g.began_s) * 1000, 1),
    }
    log.info("request", extra=extra)
    return response
