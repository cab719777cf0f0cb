"""Sync, rollback and termination of operations.

A request only starts an operation; everything after that follows from the clock (`runs`). One operation runs at a
time: a second one is a 400, and so is a revision that git does not know. A closed sync window is a 403.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from werkzeug.wrappers import Request, Response

from harbour.argocd.applications import BASE, SYNCHRONISING, ArgoCDApplications
from harbour.argocd.checks import Rendering, target_of
from harbour.argocd.core import DENIED, INVALID, UNMET, ApiError, answer, body_of, object_in
from harbour.argocd.git import GitError, resolve
from harbour.argocd.manifests import group_of, hook_of, kind_of, name_of, tracked
from harbour.argocd.model import Application, Spec
from harbour.argocd.outcome import Outcome, Sync, outcome_of
from harbour.argocd.runs import HELD_S, Run
from harbour.config import HarbourConfig
from harbour.server import route

BUSY = "another operation is already in progress"


class ArgoCDSync(ArgoCDApplications):
    """The controller needs `pickup_s` to begin an operation, and `refresh_s` after it to compare its result.

    Injected errors, each for the next operation: `sync_errors` is why one fails, `health_errors` why its deployment is
    Degraded, for `recovery_s` or, when that is None, for ever. `is_window_closed` refuses all operations. While
    `is_controller_away` nothing begins or ends, while `are_hooks_running` no operation ends whose chart has hooks.
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
        self._stopped_at: float | None = None
        self._uncompared: dict[str, Rendering] = {}  # of applications that were changed while it was stopped
        self._are_hooks_running = False

    def controller_now(self) -> float:
        return self.now() if self._stopped_at is None else min(self.now(), self._stopped_at)

    @property
    def is_controller_away(self) -> bool:
        return self._stopped_at is not None

    @is_controller_away.setter
    def is_controller_away(self, wanted: bool) -> None:
        """Stop the controller, or let it go on: what it has not done by then comes later."""
        stopped_at, now = self._stopped_at, self.now()
        if wanted and stopped_at is None:
            self._stopped_at = now
        elif not wanted and stopped_at is not None:
            self._stopped_at = None
            for app in self.applications.values():
                app.delay(now, after=stopped_at)
                if app.name in self._uncompared:
                    self.take(app, self._uncompared[app.name])
            self._uncompared.clear()

    def changed(self, app: Application, rendering: Rendering) -> None:
        if self.is_controller_away:
            self._uncompared[app.name] = rendering
        else:
            super().changed(app, rendering)

    @property
    def are_hooks_running(self) -> bool:
        return self._are_hooks_running

    @are_hooks_running.setter
    def are_hooks_running(self, wanted: bool) -> None:
        self._are_hooks_running = wanted
        if not wanted:
            for app in self.applications.values():
                for run in app.runs:
                    run.release(self.now())

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
        rendering = self.render(name, spec, revision)
        with self.lock:
            app = self.find_application(name, app.project)
            options = object_in(body.get("syncOptions"), "syncOptions").get("items")
            wanted = body | {"revision": revision, "syncOptions": options or _options(spec)}
            self._begin(app, wanted, source=spec["source"], rendering=rendering)
            shown = self._shown_begun(app)
            is_compared = not (rendering.problem or self.is_controller_away)
            if is_compared and asked in ("", target_of(spec)):
                self.take(app, rendering)
            return shown

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
            past = next((run for run in app.deployed(self.controller_now()) if run.id == wanted_id), None)
            if past is None:
                raise ApiError(INVALID, f"application {name} does not have deployment with id {wanted_id}")
            wanted = body | {"revision": past.revision, "source": past.source, "syncOptions": _options(app.spec)}
            rendering = Rendering(commit=past.revision, manifests=past.manifests)
            self._begin(app, wanted, source=past.source, rendering=rendering)
            return self._shown_begun(app)

    def _begin(self, app: Application, wanted: dict[str, Any], *, source: Spec, rendering: Rendering) -> None:
        now = self.now()
        _require_not_deleting(app)
        if app.running(self.controller_now()):
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
            manifests=rendering.manifests,
            asked_at=now,
            begun_at=begun_at,
            finished_at=finished_at,
            reconciled_at=reconciled_at,
            settled_at=reconciled_at + self.config.sync_s,
        )
        self._decide(app, run, rendering.problem)
        app.begin(run)
        self.version += 1
        app.resource_version = self.version

    def _decide(self, app: Application, run: Run, problem: str) -> None:
        """Decide how an operation ends, and whether a hook holds it."""
        server, cluster = self.server_and_cluster(app.spec)
        unreachable = self.cluster_problem(cluster)
        if unreachable:
            asked = f'failed to get cluster info for "{server}": {SYNCHRONISING}: {unreachable}'
            version = f'failed to get cluster version for cluster "{server}": {asked}'
            run.away = f"Failed to load live state: {asked};Failed to load target state: {version}"
        if run.away or problem:
            texts = run.away.split(";") if run.away else [problem]
            run.phase, run.message = "Error", ";".join(f"ComparisonError: {each}" for each in texts)
            return
        outcome = self._outcome(app, run, server=server, cluster=cluster)
        run.phase, run.message = outcome.phase, outcome.message
        run.results, run.applied = outcome.results, outcome.applied
        hook = next((each for each in run.manifests if hook_of(each) == "PreSync"), None)
        if hook is not None and self.are_hooks_running:
            run.hook, run.is_held = f"{group_of(hook)}/{kind_of(hook)}/{name_of(hook)}", True
            run.delay(HELD_S, after=run.begun_at)
        if outcome.phase == "Succeeded" and self.health_errors:
            run.sickness = self.health_errors.pop(0)
            run.recovered_at = None if self.recovery_s is None else run.settled_at + self.recovery_s

    def _outcome(self, app: Application, run: Run, *, server: str, cluster: str) -> Outcome:
        self.advance()
        namespace = app.spec["destination"].get("namespace", "")
        sync = run.operation["sync"]
        return outcome_of(
            Sync(
                application=app.name,
                project=app.project,
                rules=self.projects.get(app.project, {}),
                cluster=cluster,
                server=server,
                namespace=namespace,
                manifests=[each if hook_of(each) else tracked(each, app.name) for each in run.manifests],
                live={key: each["manifest"] for key, each in self.live_on(cluster).items()},
                has_namespace=self.has_namespace(cluster, namespace),
                options=sync.get("syncOptions", []),
                is_dry=bool(sync.get("dryRun")),
                injected=self.sync_errors.pop(0) if self.sync_errors else "",
            )
        )

    def _shown_begun(self, app: Application) -> Response:
        """Show the new operation without the state of the one before it."""
        shown = self.shown(app)
        shown["status"].pop("operationState", None)
        return answer(shown)

    @route("DELETE", f"{BASE}/:name/operation")
    def terminate(self, request: Request, name: str) -> Response:
        with self.lock:
            run = self.find_application(name, request.args.get("project", "")).running(self.controller_now())
            if run is None:
                raise ApiError(INVALID, "Unable to terminate operation. No operation is in progress")
            if not run.is_terminated:
                run.terminate(self.now(), finished_at=self.now() + self.terminate_s)
        return answer({})


def _require_not_deleting(app: Application) -> None:
    if app.deleted_at is not None:
        raise ApiError(UNMET, "application is deleting")


def _operation(wanted: dict[str, Any]) -> dict[str, Any]:
    sync = {key: wanted[key] for key in ("revision", "source", "prune", "dryRun", "syncOptions") if wanted.get(key)}
    strategy = wanted.get("strategy") or {"hook": {}}
    operation: dict[str, Any] = {"sync": sync | {"syncStrategy": strategy}, "initiatedBy": {"username": "provisioner"}}
    if wanted.get("infos"):
        operation["info"] = [object_in(each, "infos") for each in wanted["infos"]]
    return operation | {"retry": wanted.get("retryStrategy") or {}}


def _options(spec: Spec) -> list[str]:
    return list(spec.get("syncPolicy", {}).get("syncOptions", []))
