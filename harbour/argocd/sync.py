"""Sync, rollback and termination of operations.

A request only starts an operation; everything after that follows from the clock (`runs`). One operation runs at a
time: a second one is a 400, and so is a revision that git does not know. A closed sync window is a 403.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from werkzeug.wrappers import Request, Response

from harbour.argocd.applications import BASE, ArgoCDApplications
from harbour.argocd.checks import target_of
from harbour.argocd.core import DENIED, INVALID, UNMET, ApiError, answer, body_of, object_in
from harbour.argocd.git import ChartError, GitError, resolve
from harbour.argocd.model import Application, Spec
from harbour.argocd.runs import Run, images_of
from harbour.config import HarbourConfig
from harbour.server import route

BUSY = "another operation is already in progress"


class ArgoCDSync(ArgoCDApplications):
    """The controller needs `pickup_s` to begin an operation, and `refresh_s` after it to compare its result.

    Injected errors, each for the next operation: `sync_errors` is why one fails, `health_errors` why its deployment is
    Degraded, for `recovery_s` or, when that is None, for ever. `is_window_closed` refuses all operations.
    """

    pickup_s = 0.05
    refresh_s = 0.1
    terminate_s = 0.1
    recovery_s: float | None = None
    is_window_closed = False

    def __init__(self, config: HarbourConfig, now: Callable[[], float] = time.time) -> None:
        super().__init__(config, now)
        self.sync_errors: list[str] = []
        self.health_errors: list[str] = []

    @route("POST", f"{BASE}/:name/sync")
    def sync(self, request: Request, name: str) -> Response:
        body = object_in(body_of(request), "ApplicationSyncRequest")
        with self.lock:
            app = self.find_application(name, str(body.get("project") or ""))
            if self.is_window_closed:
                raise ApiError(DENIED, "cannot sync: blocked by sync window")
            _require_not_deleting(app)
            spec, is_automated = app.spec, app.is_automated
        asked = str(body.get("revision") or "")
        revision = self._resolved(spec, asked, is_automated=is_automated)
        images, problem = self._images(spec, revision)
        with self.lock:
            app = self.find_application(name, app.project)
            options = object_in(body.get("syncOptions"), "syncOptions").get("items")
            wanted = body | {"revision": revision, "syncOptions": options or _options(spec)}
            run = self._begin(app, wanted, source=spec["source"], images=images)
            away = self.cluster_problem(self.cluster_of(spec["destination"]))
            if away or problem:
                run.phase, run.message = "Error", f"ComparisonError: {_comparison_problem(away, problem)}"
            elif asked in ("", target_of(spec)):
                app.revision = revision
            return self._shown_begun(app)

    def _resolved(self, spec: Spec, revision: str, *, is_automated: bool) -> str:
        target = target_of(spec)
        if is_automated and revision not in ("", target):
            raise ApiError(UNMET, f"Cannot sync to {revision}: auto-sync currently set to {target}")
        url = spec["source"]["repoURL"]
        credentials = self.credentials_for(url, spec["project"])
        try:
            self.require_repo_server()
            return resolve(url, credentials, revision=revision or target, timeout_s=self.git_timeout_s)
        except GitError as error:
            said = f"rpc error: code = {error.code} desc = {error}"
            raise ApiError(UNMET, f"error resolving repo revision: {said}") from error

    def _images(self, spec: Spec, revision: str) -> tuple[list[str], str]:
        """Return the images of the chart at a revision, and why it does not render."""
        try:
            return images_of(spec["source"], self.chart(spec, revision).values), ""
        except (ChartError, GitError) as error:
            return [], str(error)

    @route("POST", f"{BASE}/:name/rollback")
    def rollback(self, request: Request, name: str) -> Response:
        """Deploy what the history has under `id`; the spec does not change, so the application becomes OutOfSync."""
        body = object_in(body_of(request), "ApplicationRollbackRequest")
        with self.lock:
            app = self.find_application(name, str(body.get("project") or ""))
            _require_not_deleting(app)
            if app.is_automated:
                raise ApiError(UNMET, "rollback cannot be initiated when auto-sync is enabled")
            wanted_id = body.get("id", 0)
            past = next((run for run in app.deployed(self.now()) if run.id == wanted_id), None)
            if past is None:
                raise ApiError(INVALID, f"application {name} does not have deployment with id {wanted_id}")
            wanted = body | {"revision": past.revision, "source": past.source, "syncOptions": _options(app.spec)}
            self._begin(app, wanted, source=past.source, images=past.images)
            return self._shown_begun(app)

    def _begin(self, app: Application, wanted: dict[str, Any], *, source: Spec, images: list[str]) -> Run:
        now = self.now()
        _require_not_deleting(app)
        if app.running(now):
            raise ApiError(UNMET, BUSY)
        earlier = app.deployed(now)
        begun_at = now + self.pickup_s
        finished_at = begun_at + self.config.sync_s
        reconciled_at = finished_at + self.refresh_s
        run = Run(
            id=earlier[-1].id + 1 if earlier else 0,
            operation=_operation(wanted),
            source=source,
            revision=wanted["revision"],
            images=images,
            asked_at=now,
            begun_at=begun_at,
            finished_at=finished_at,
            reconciled_at=reconciled_at,
            settled_at=reconciled_at + self.config.sync_s,
        )
        self._inject_error(run)
        app.begin(run)
        self.version += 1
        app.resource_version = self.version
        return run

    def _inject_error(self, run: Run) -> None:
        if self.sync_errors:
            run.phase = "Failed"
            run.message = f"one or more objects failed to apply, reason: {self.sync_errors.pop(0)}"
        elif self.health_errors:
            run.sickness = self.health_errors.pop(0)
            run.recovered_at = None if self.recovery_s is None else run.settled_at + self.recovery_s

    def _shown_begun(self, app: Application) -> Response:
        """Show the new operation without the state of the one before it."""
        shown = self.shown(app)
        shown["status"].pop("operationState", None)
        return answer(shown)

    @route("DELETE", f"{BASE}/:name/operation")
    def terminate(self, request: Request, name: str) -> Response:
        with self.lock:
            run = self.find_application(name, request.args.get("project", "")).running(self.now())
            if run is None:
                raise ApiError(INVALID, "Unable to terminate operation. No operation is in progress")
            if not run.is_terminated:
                run.terminate(self.now(), finished_at=self.now() + self.terminate_s)
        return answer({})


def _require_not_deleting(app: Application) -> None:
    if app.deleted_at is not None:
        raise ApiError(UNMET, "application is deleting")


def _comparison_problem(away: str, unrendered: str) -> str:
    if away:
        return f"Failed to load live state: error synchronizing cache state : failed to get server version: {away}"
    generating = "failed to generate manifest for source 1 of 1: rpc error: code = Unknown desc"
    return f"Failed to load target state: {generating} = {unrendered}"


def _operation(wanted: dict[str, Any]) -> dict[str, Any]:
    sync = {key: wanted[key] for key in ("revision", "source", "prune", "dryRun", "syncOptions") if wanted.get(key)}
    strategy = wanted.get("strategy") or {"hook": {}}
    operation: dict[str, Any] = {"sync": sync | {"syncStrategy": strategy}, "initiatedBy": {"username": "provisioner"}}
    if wanted.get("infos"):
        operation["info"] = [object_in(each, "infos") for each in wanted["infos"]]
    return operation | {"retry": wanted.get("retryStrategy") or {}}


def _options(spec: Spec) -> list[str]:
    return list(spec.get("syncPolicy", {}).get("syncOptions", []))
