"""The HTTP API: accepts requests, writes jobs to the database, returns their ids. `gunicorn 'api:create_app()'`."""

from __future__ import annotations

from flask import Flask, Response, g, request

from api import cli
from api.access import cors, proxies
from api.contract import parsing, problems
from api.contract.endpoint import BASE
from api.contract.problems import Problem
from api.follow.hub import Hub
from api.monitoring.backlog import BacklogCollector
from api.monitoring.readiness import Readiness
from api.openapi import route, swagger_ui
from api.passwords import Passwords
from api.presentation.durations import StepDurations
from api.presentation.job_view import JobView
from api.service import Service, service
from api.serving import telemetry
from api.views import (
    apps,
    audit,
    builds,
    confirm_page,
    confirmations,
    console,
    deploys,
    health,
    interventions,
    jobs,
    lifecycle,
    login,
    metrics,
    operations,
    passwords,
    projects,
    sessions,
    signup,
    signups,
    status,
    teams,
    tokens,
    upstreams,
    users,
)
from common.broker import BackgroundPublisher, celery_app
from common.config import catalog
from common.config import settings as common_settings
from common.config.settings import Settings, SettingsError
from common.database import time_budget
from common.database.engine import Database, Now
from common.notifications import outbox
from common.telemetry import logs, tracing
from common.telemetry.metrics import begin_jobs_at_zero
from common.vault.cipher import Vault

HUB_QUERY_TIMEOUT_S = 3  # one thread runs it, and a thousand subscribers wait for that thread
MONITORING_QUERY_TIMEOUT_S = 2  # a health check must get its answer soon, also while the database hangs
HEADERS = {
    "Cache-Control": "no-store",
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}
HTTPS_HEADERS = {
    "Strict-Transport-Security": "max-age=31536000"
}  # a year, for this host only: subdomains may be somebody else's


def create_app(config: Settings | None = None, *, now: Now | None = None) -> Flask:
    """Return the WSGI app. Raises SystemExit that lists every problem of the settings.

    `now` is the clock for sessions and jobs; None is the clock of the database's host.
    """
    try:
        config = config or common_settings.load(Settings)
        parts = _parts(config, now)
    except SettingsError as problem:
        raise SystemExit(str(problem)) from None
    logs.configure(config)
    tracing.configure(config, "slipway-api")
    begin_jobs_at_zero()
    app = Flask(__name__, static_folder=None)
    app.extensions["slipway"] = parts
    app.config.update(MAX_CONTENT_LENGTH=parsing.BODY_BYTES, PROPAGATE_EXCEPTIONS=False)
    app.config["TRUSTED_HOSTS"] = list(config.trusted_hosts) or None
    app.url_map.merge_slashes = False  # a doubled slash is an unknown path, not a redirect
    register_endpoints(app)
    telemetry.install(app)
    cors.install(app, config.cors_origins)
    _bound_database_work(app, config.db_seconds_per_request)
    app.before_request(_require_host)
    app.before_request(_require_readiness)
    app.after_request(_add_headers)
    proxies.trust_proxies(app, config.proxy_count)
    cli.install(app)
    problems.install(app)
    route.install(app)
    return app


def register_endpoints(app: Flask) -> None:
    """Register every endpoint, in the order of the OpenAPI document."""
    people, work = (
        (signup, confirmations, login, passwords, sessions, tokens, teams),
        (projects, apps, builds, deploys, lifecycle, jobs, interventions),
    )
    for module in (*people, *work, upstreams, status, operations, users, signups, audit):
        app.register_blueprint(module.blueprint)
    for module in (health, metrics, route, swagger_ui, confirm_page, console):
        app.register_blueprint(module.blueprint)


def _parts(config: Settings, now: Now | None) -> Service:
    db_url = config.db_url.get_secret_value()
    db = Database(db_url, now=now)
    outbox.announce(db, config.notify_events)
    teams_and_types = catalog.load(config)
    durations = StepDurations(db)
    view = JobView(config, durations)
    queue = celery_app(config)
    monitoring_db = Database(db_url, now=db.now, pool_size=1, answers_within_s=MONITORING_QUERY_TIMEOUT_S, tries=1)
    return Service(
        settings=config,
        catalog=teams_and_types,
        db=db,
        vault=Vault([key.get_secret_value() for key in config.secret_keys]),
        publisher=BackgroundPublisher(queue),
        passwords=Passwords(),
        readiness=Readiness(monitoring_db, teams_and_types),
        durations=durations,
        view=view,
        hub=Hub(Database(db_url, now=now, pool_size=1, answers_within_s=HUB_QUERY_TIMEOUT_S, tries=1), view),
        backlog=BacklogCollector(monitoring_db, queue),
    )


def _bound_database_work(app: Flask, seconds: float) -> None:
    """Free the thread of a request whose database hangs: 503, and the client may ask again."""

    app.before_request(lambda: time_budget.begin(seconds))
    app.teardown_request(lambda _error: time_budget.end())


def _require_host() -> None:
    """Refuse HTTP/1.1 without a host, or with something else in its place, as RFC 9112, 3.2, wants it."""
    if request.environ["SERVER_PROTOCOL"] == "HTTP/1.1" and not ("Host" in request.headers and request.host):
        raise Problem("bad_request")


def _require_readiness() -> None:
    if request.url_rule and request.path.startswith(BASE):
        service().readiness.require()


def _add_headers(response: Response) -> Response:
    headers = HEADERS | HTTPS_HEADERS if service().settings.cookie_secure else HEADERS
    for name, value in headers.items():
        response.headers.setdefault(name, value)
    response.headers["X-Request-Id"] = g.request_id
    return response
