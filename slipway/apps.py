"""Projects and apps: create, list, compare, reconcile, delete."""

from __future__ import annotations

from collections.abc import Iterator

from slipway.calls import BaseClient
from slipway.errors import Document


class Apps(BaseClient):
    """The calls about projects and apps. Those that return `{job_id, status_url, app_id}` have started that job."""

    def create_project(self, name: str, *, description: str = "") -> Document:
        """Return `{project_id, name, description, team, created_at}`. Raises ProblemError `taken`."""
        return self._write("project", body={"name": name, "description": description})

    def list_projects(self, team_id: str) -> Iterator[Document]:
        """Yield the team's projects, newest first."""
        return self._pages("projects", "project", team_id)

    def create_app(self, project_id: str, name: str, *, type: str, description: str = "") -> Document:  # noqa: A002 - its name in the HTTP interface
        """Start the job that creates an app: repositories, pipeline, application. Raises ProblemError `taken`."""
        body = {"project_id": project_id, "name": name, "type": type, "description": description}
        return self._write("app", body=body)

    def plan_app(self, project_id: str, name: str, *, type: str, description: str = "") -> Document:  # noqa: A002 - as above
        """Start a job that creates nothing; its result is `{possible, steps}`: what `create_app` would do."""
        body = {"project_id": project_id, "name": name, "type": type, "description": description}
        return self._write("app", body=body, dry_run=True)

    def list_apps(self, project_id: str) -> Iterator[Document]:
        """Yield the project's apps, newest first, each with its `state` and what is `running`."""
        return self._pages("apps", "apps", project_id)

    def get_app(self, app_id: str) -> Document:
        """Return the app with its `state`, its `parts`, what is `running`, its last build, deployment and comparison.

        `job_id` and `job_state` are of the job that last worked on it.
        """
        return self._read("app", app_id)

    def compare_app(self, app_id: str) -> Document:
        """Start a job that only reads; its result is `{drifted, repairable, parts}`."""
        return self._write("app", app_id, "drift", method="GET")  # as earlier servers know it; it needs a key, too

    def reconcile_app(self, app_id: str) -> Document:
        """Start the job that restores what is missing or was changed. Raises ProblemError `busy`."""
        return self._write("app", app_id, "reconcile", body={})

    def preview_removal(self, app_id: str) -> Document:
        """Return `{goes, stays, job_id, status_url}`: what `delete_app` would remove and keep, each with its reason.

        The result of the job is `{repositories}`: what people did in them.
        """
        return self._write("app", app_id, method="DELETE", dry_run=True)

    def delete_app(self, app_id: str, *, confirm: str | None = None, purge: bool = False) -> Document:
        """Start the job that removes what was created for the app, in reverse order.

        `confirm` must be the app's name. Its result is `{removed, kept, remains}`: GitLab keeps the repositories for a
        while, unless an administrator says `purge`. Raises ProblemError `busy`, `invalid_fields`, `not_admin`.
        """
        return self._write("app", app_id, method="DELETE", confirm=confirm, purge="true" if purge else None)
