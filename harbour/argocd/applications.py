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

from harbour.argocd.checks import ArgoCDChecks, check_metadata
from harbour.argocd.core import DENIED, INTERNAL, INVALID, NOT_FOUND, ApiError, answer, body_of, flag, listed, object_in
from harbour.argocd.model import Application, Spec, Wanted, spec_in, stored, wanted_in
from harbour.argocd.patch import patched
from harbour.argocd.views import application_shown
from harbour.config import HarbourConfig
from harbour.server import route

BASE = "/api/v1/applications"
PLACE = "/apis/argoproj.io/v1alpha1/namespaces/argocd/applications"
FINALIZER = "resources-finalizer.argocd.argoproj.io"
FINALIZERS = {"": FINALIZER, "foreground": f"{FINALIZER}/foreground", "background": f"{FINALIZER}/background"}


class ArgoCDApplications(ArgoCDChecks):
    """`reconcile_s` is how long the controller needs for a new application, `delete_s` for its removal.

    With a `deletion_error`, removals do not end, and show it.
    """

    reconcile_s = 0.1
    delete_s = 0.3
    deletion_error = ""

    def __init__(self, config: HarbourConfig, now: Callable[[], float] = time.time) -> None:
        super().__init__(config, now)
        self.applications: dict[str, Application] = {}
        self.version = 0  # of the last write to any application

    @route("POST", BASE)
    def create_application(self, request: Request) -> Response:
        body = body_of(request)
        if not body:
            raise ApiError(INTERNAL, 'grpc: error while marshaling: proto: required field "application" not set')
        wanted = wanted_in(object_in(body, "Application"))
        doing = "error while validating and normalizing app: error getting application by name: "
        self.require_kubernetes("Get", f"{PLACE}/{wanted.name}", doing=doing)
        rendered = self.check(wanted.name, wanted.spec, validate=flag(request, "validate", default=True))
        check_metadata(wanted)
        with self.lock:
            self.prune()
            app = self.applications.get(wanted.name)
            if app is None:
                app = self._create(wanted, rendered)
            elif not app.equals(wanted):  # also while it is being deleted
                if not flag(request, "upsert"):
                    reason = "existing application spec is different, use upsert flag to force update"
                    raise ApiError(INVALID, reason)
                self._upsert(app, wanted, rendered)
            return self._shown_app(app)

    def _create(self, wanted: Wanted, rendered: tuple[str, str]) -> Application:
        app = Application(name=wanted.name, uid=str(uuid.uuid4()), spec={}, created_at=self.now())
        self._write(app, spec=wanted.spec, rendered=rendered)
        app.reconciled_at = self.now() + self.reconcile_s
        app.labels, app.annotations = dict(wanted.labels or {}), dict(wanted.annotations or {})
        app.finalizers = list(wanted.finalizers or [])
        self.applications[app.name] = app
        return app

    def _upsert(self, app: Application, wanted: Wanted, rendered: tuple[str, str]) -> None:
        self._write(app, spec=wanted.spec, rendered=rendered)
        app.labels |= wanted.labels or {}
        app.annotations |= wanted.annotations or {}
        app.finalizers = list(wanted.finalizers or [])  # replaced, not merged: a request without them removes them

    def _write(self, app: Application, *, spec: Spec, rendered: tuple[str, str]) -> None:
        self.version += 1
        app.resource_version = self.version
        if app.spec:
            app.generation += 1
        app.spec = stored(spec)
        app.revision, app.problem = rendered
        app.reconcile(self.now())

    # -- reading ---------------------------------------------------------------------------------------------

    @route("GET", BASE)
    def list_applications(self, request: Request) -> Response:
        name, account = request.args.get("name"), self.account_of(request)
        projects = set(request.args.getlist("projects") + request.args.getlist("project"))
        with self.lock:
            self.prune()
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
            rendered = self.check(name, spec, validate=False)
            with self.lock:
                app = self.find_application(name, project)
                app.revision, app.problem = rendered
                app.reconcile(self.now())
                self.save()
        return self._shown_app(app)

    def find_application(self, name: str, project: str) -> Application:
        """Return it, or refuse as Argo CD does: "not found" is answered only for a project in the request.

        While the Kubernetes API is away every look is refused as for a missing right.
        """
        if self.is_kubernetes_away:
            raise ApiError(DENIED, "permission denied")
        self.prune()
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
        return application_shown(app, now=self.now(), deletion_error=self.deletion_error)

    # -- changing --------------------------------------------------------------------------------------------

    @route("PUT", f"{BASE}/:name/spec")
    def put_spec(self, request: Request, name: str) -> Response:
        """Replace the spec; answers only the spec."""
        project = request.args.get("project", "")
        with self.lock:
            self.find_application(name, project)
        spec = spec_in(body_of(request))
        rendered = self.check(name, spec, validate=flag(request, "validate", default=True))
        with self.lock:
            app = self.find_application(name, project)
            if stored(spec) != app.spec:
                self._write(app, spec=spec, rendered=rendered)
            return answer(app.spec)

    @route("PATCH", f"{BASE}/:name")
    def patch(self, request: Request, name: str) -> Response:
        body = object_in(body_of(request), "ApplicationPatchRequest")
        project = str(body.get("project") or "")
        with self.lock:
            shown = self.shown(self.find_application(name, project))
        wanted = wanted_in(patched(shown, str(body.get("patch") or ""), str(body.get("patchType") or "")))
        rendered = self.check(name, wanted.spec, validate=True)
        with self.lock:
            app = self.find_application(name, project)
            if not app.equals(wanted):
                self._write(app, spec=wanted.spec, rendered=rendered)
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
        app.deleted_at = self.now()
        if finalizer is None:
            del self.applications[app.name]

    def prune(self) -> None:
        """Remove the applications whose deletion is over by now."""
        for app in [] if self.deletion_error else list(self.applications.values()):
            if app.deleted_at is not None and app.deleted_at + self.delete_s <= self.now():
                del self.applications[app.name]
                self.save()

    def application_state(self) -> dict[str, Any]:
        self.prune()
        return {name: app.kept() for name, app in sorted(self.applications.items())}
