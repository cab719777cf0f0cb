"""Applications: create, read, change, delete.

Traps: a missing application is a 403 without `project` and a 404 with it; "exists and differs" is a 400; an
application under deletion still answers, and still equals one that is created again.
"""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable
from typing import Any

from werkzeug.wrappers import Request, Response

from harbour.argocd.checks import Rendering, check_metadata
from harbour.argocd.clusters import ArgoCDClusters
from harbour.argocd.core import DENIED, INTERNAL, INVALID, NOT_FOUND, ApiError, answer, body_of, flag, listed, object_in
from harbour.argocd.manifests import group_of, hook_of, images_of, key_of, kind_of, name_of, tracked
from harbour.argocd.model import Application, Spec, Wanted, spec_in, stored, wanted_in
from harbour.argocd.outcome import is_known_kind, shared_resources
from harbour.argocd.patch import patched
from harbour.argocd.project_rules import CLUSTER_KINDS, allows_kind
from harbour.argocd.views import Seen, application_shown
from harbour.config import HarbourConfig
from harbour.registry import Registry
from harbour.server import route

BASE = "/api/v1/applications"
PLACE = "/apis/argoproj.io/v1alpha1/namespaces/argocd/applications"
SYNCHRONISING = "error synchronizing cache state : failed to get server version"
FINALIZER = "resources-finalizer.argocd.argoproj.io"
FINALIZERS = {"": FINALIZER, "foreground": f"{FINALIZER}/foreground", "background": f"{FINALIZER}/background"}


class ArgoCDApplications(ArgoCDClusters):
    """`reconcile_s` is how long the controller needs for a new application, `delete_s` for its removal.

    With a `deletion_error` removals do not end, and show it; with `are_deletions_hanging` they do not end, and wait
    for an object. `registry` has the images that exist; without one every image does.
    """

    reconcile_s = 0.1
    delete_s = 0.3
    deletion_error = ""
    are_deletions_hanging = False
    registry: Registry | None = None

    def __init__(self, config: HarbourConfig, now: Callable[[], float] = time.time) -> None:
        super().__init__(config, now)
        self.applications: dict[str, Application] = {}

    def controller_now(self) -> float:
        """Return the time that the controller has got to; the subclass can stop it."""
        return self.now()

    @route("POST", BASE)
    def create_application(self, request: Request) -> Response:
        body = body_of(request)
        if not body:
            raise ApiError(INTERNAL, 'grpc: error while marshaling: proto: required field "application" not set')
        wanted = wanted_in(object_in(body, "Application"))
        doing = "error while validating and normalizing app: error getting application by name: "
        self.require_kubernetes("Get", f"{PLACE}/{wanted.name}", doing=doing)
        rendering = self.check(wanted.name, wanted.spec, validate=flag(request, "validate", default=True))
        check_metadata(wanted)
        with self.lock:
            self.advance()
            app = self.applications.get(wanted.name)
            if app is None:
                app = self._create(wanted, rendering)
            elif not app.equals(wanted):  # also while it is being deleted
                if not flag(request, "upsert"):
                    reason = "existing application spec is different, use upsert flag to force update"
                    raise ApiError(INVALID, reason)
                self._upsert(app, wanted, rendering)
            return self._shown_app(app)

    def _create(self, wanted: Wanted, rendering: Rendering) -> Application:
        app = Application(name=wanted.name, uid=str(uuid.uuid4()), spec={}, created_at=self.now())
        self._write(app, spec=wanted.spec, rendering=rendering)
        app.reconciled_at = self.now() + self.reconcile_s
        app.labels, app.annotations = dict(wanted.labels or {}), dict(wanted.annotations or {})
        app.finalizers = list(wanted.finalizers or [])
        self.applications[app.name] = app
        return app

    def _upsert(self, app: Application, wanted: Wanted, rendering: Rendering) -> None:
        self._write(app, spec=wanted.spec, rendering=rendering)
        app.labels |= wanted.labels or {}
        app.annotations |= wanted.annotations or {}
        app.finalizers = list(wanted.finalizers or [])  # replaced, not merged: a request without them removes them

    def _write(self, app: Application, *, spec: Spec, rendering: Rendering) -> None:
        self.version += 1
        app.resource_version = self.version
        if app.spec:
            app.generation += 1
        app.spec = stored(spec)
        self.changed(app, rendering)

    def changed(self, app: Application, rendering: Rendering) -> None:
        """Let the controller compare a new or changed application; the subclass can delay it."""
        self.compare(app, rendering)

    def compare(self, app: Application, rendering: Rendering) -> None:
        """Compare the application with a rendering now."""
        self.take(app, rendering)
        app.reconcile(self.controller_now())
        if app.away and not self.cluster_problem(self.cluster_of(app.spec["destination"])):
            app.away = ""

    @staticmethod
    def take(app: Application, rendering: Rendering) -> None:
        """Take a rendering as what the application is compared with from now on."""
        app.invalid_at = None
        app.revision, app.problem, app.source_type = rendering.commit, rendering.problem, rendering.source_type
        app.targets = [tracked(each, app.name) for each in rendering.manifests if not hook_of(each)]

    # -- reading ---------------------------------------------------------------------------------------------

    @route("GET", BASE)
    def list_applications(self, request: Request) -> Response:
        name, account = request.args.get("name"), self.account_of(request)
        projects = set(request.args.getlist("projects") + request.args.getlist("project"))
        with self.lock:
            self.advance()
            found = [
                self.shown(app)
                for key, app in sorted(self.applications.items())
                if name in (None, "", key)
                and (not projects or app.project in projects)
                and self.is_allowed(account, "applications", "get", f"{app.project}/{key}")
            ]
            return listed(found, self.version)

    @route("GET", f"{BASE}/:name")
    def get_application(self, request: Request, name: str) -> Response:
        project = request.args.get("project", "")
        with self.lock:
            app = self.find_application(name, project)
            spec = app.spec
        if "refresh" in request.args:
            rendering = self.check(name, spec, validate=False)
            with self.lock:
                app = self.find_application(name, project)
                self.compare(app, rendering)
                self.save()
        return self._shown_app(app)

    def find_application(self, name: str, project: str) -> Application:
        """Return it, or refuse as Argo CD does: "not found" is answered only for a project in the request.

        While the Kubernetes API is away every look is refused as for a missing right.
        """
        if self.is_kubernetes_away:
            raise ApiError(DENIED, "permission denied")
        self.advance()
        app = self.applications.get(name)
        if app is not None and project in ("", app.project):
            self.require_project(app.project)
            return app
        if not project:
            raise ApiError(DENIED, "permission denied")
        raise ApiError(NOT_FOUND, f'applications.argoproj.io "{name}" not found')

    def _shown_app(self, app: Application) -> Response:
        return answer(self.shown(app))

    def shown(self, app: Application) -> dict[str, Any]:
        self.advance()
        return application_shown(app, now=self.controller_now(), seen=self.seen(app))

    def seen(self, app: Application) -> Seen:
        """Return what the controller sees of an application's objects."""
        cluster = self.cluster_of(app.spec["destination"])
        live, tracked_live = self.live_on(cluster), self.tracked_by(app.name, cluster)
        rules = self.projects.get(app.project, {})
        unwatched = [
            key_of(each)
            for each in app.targets
            if not is_known_kind(each)
            or (
                kind_of(each) in CLUSTER_KINDS
                and not allows_kind(rules, group=group_of(each), kind=kind_of(each), name=name_of(each))
            )
        ]
        images = {image for each in tracked_live.values() for image in images_of(each["manifest"])}
        problem = self.cluster_problem(cluster)
        unsynchronised = f'failed to get cluster info for "{self.clusters().get(cluster)}": {SYNCHRONISING}: {problem}'
        manifests = {key: each["manifest"] for key, each in live.items()}
        return Seen(
            live=live,
            tracked=tracked_live,
            unpermitted=frozenset(unwatched),
            shared=shared_resources(app.name, app.targets, manifests),
            missing=sorted(each for each in images if self.registry is not None and not self.registry.has(each)),
            deletion_error=self.deletion_error or (unsynchronised if problem else ""),
            is_deletion_hanging=self.are_deletions_hanging and app.deleted_at is not None,
        )

    # -- changing --------------------------------------------------------------------------------------------

    @route("PUT", f"{BASE}/:name/spec")
    def put_spec(self, request: Request, name: str) -> Response:
        """Replace the spec; answers only the spec."""
        project = request.args.get("project", "")
        with self.lock:
            self.find_application(name, project)
        spec = spec_in(body_of(request))
        rendering = self.check(name, spec, validate=flag(request, "validate", default=True))
        with self.lock:
            app = self.find_application(name, project)
            if stored(spec) != app.spec:
                self._write(app, spec=spec, rendering=rendering)
            return answer(app.spec)

    @route("PATCH", f"{BASE}/:name")
    def patch(self, request: Request, name: str) -> Response:
        body = object_in(body_of(request), "ApplicationPatchRequest")
        project = str(body.get("project") or "")
        with self.lock:
            shown = self.shown(self.find_application(name, project))
        wanted = wanted_in(patched(shown, str(body.get("patch") or ""), str(body.get("patchType") or "")))
        rendering = self.check(name, wanted.spec, validate=True)
        with self.lock:
            app = self.find_application(name, project)
            if not app.equals(wanted):
                self._write(app, spec=wanted.spec, rendering=rendering)
                app.labels, app.annotations = wanted.labels or {}, wanted.annotations or {}
                app.finalizers = wanted.finalizers or []
            return self._shown_app(app)

    # -- deleting --------------------------------------------------------------------------------------------

    @route("DELETE", f"{BASE}/:name")
    def delete_application(self, request: Request, name: str) -> Response:
        """Accept the deletion; the controller needs `delete_s` for it, unless the application has no finalizer."""
        cascade, policy = flag(request, "cascade", default=True), request.args.get("propagationPolicy", "")
        if not cascade and policy:
            raise ApiError(INVALID, "cannot set propagation policy when cascading is disabled")
        if policy not in FINALIZERS:
            raise ApiError(INVALID, f"invalid propagation policy: {policy}")
        with self.lock:
            app = self.find_application(name, request.args.get("project", ""))
            if app.deleted_at is None:
                self._begin_deletion(app, FINALIZERS[policy] if cascade else None)
        return answer({})

    def _begin_deletion(self, app: Application, finalizer: str | None) -> None:
        if finalizer is None:
            app.finalizers = [each for each in app.finalizers if not each.startswith(FINALIZER)]
        elif finalizer not in app.finalizers:
            app.finalizers = [*app.finalizers, finalizer]
        self.version += 1
        app.resource_version = self.version
        app.deleted_at, app.gone_at = self.now(), self.now() + self.delete_s
        if finalizer is None:
            del self.applications[app.name]

    def advance(self) -> None:
        """Do what the controller has done by now: apply what has been synced, remove what is deleted."""
        now = self.controller_now()
        for app in list(self.applications.values()):
            cluster = self.cluster_of(app.spec["destination"])
            if app.project not in self.projects:
                app.invalid_at = now
            for run in [each for each in app.runs if not each.is_applied and each.reconciled_at <= now]:
                run.is_applied, app.away = True, run.away
                for manifest in run.applied:
                    self.put_live(cluster, manifest)
                if run.has_deployed(now) and run.operation["sync"].get("prune"):
                    self._prune(app.name, cluster, [key_of(each) for each in run.applied])
            is_stuck = self.deletion_error or self.are_deletions_hanging or self.cluster_problem(cluster)
            if app.deleted_at is not None and app.gone_at <= now and not is_stuck:
                self.drop_tracked(app.name, cluster)
                del self.applications[app.name]
                self.save()

    def _prune(self, name: str, cluster: str, kept: list[str]) -> None:
        for key in self.tracked_by(name, cluster):
            if key not in kept:
                del self.live_on(cluster)[key]

    def application_state(self) -> dict[str, Any]:
        return {name: app.kept() for name, app in sorted(self.applications.items())}
