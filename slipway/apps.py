"""How does a team make an app, look after it, and remove it?"""

from __future__ import annotations

from collections.abc import Iterator

from slipway.calls import Calls
from slipway.errors import Document


class Apps(Calls):
    """Projects and apps. Whatever returns `{job_id, status_url, app_id}` has started that job."""

    def create_project(self, name: str, *, description: str = "") -> Document:
        """Return `{project_id, name, description, team, created_at}`. Raises ProblemError `taken`."""
        return self._write("project", body={"name": name, "description": description})

    def list_projects(self, team_id: str) -> Iterator[Document]:
        """Yield the team's projects, newest first."""
        return self._pages("projects", "project", team_id)

    def create_app(self, project_id: str, name: str, *, type: str, description: str = "") -> Document:  # noqa: A002 - the interface's word
        """Start the making of an app: repositories, pipeline, application. Raises ProblemError `taken`."""
        body = {"project_id": project_id, "name": name, "type": type, "description": description}
        return self._write("app", body=body)

    def plan_app(self, project_id: str, name: str, *, type: str, description: str = "") -> Document:  # noqa: A002 - as above
        """Start a job that makes nothing; its result is `{possible, steps}`: what `create_app` would do."""
        body = {"project_id": project_id, "name": name, "type": type, "description": description}
        return self._write("app", body=body, dry_run=True)

    def list_apps(self, project_id: str) -> Iterator[Document]:
        """Yield the project's apps, newest first."""
        return self._pages("apps", "apps", project_id)

    def get_app(self, app_id: str) -> Document:
        """Return the app with its `parts`, and the `job_id` and `state` of the job that last worked on it."""
        return self._read("app", app_id)

    def compare_app(self, app_id: str) -> Document:
        """Start a job that writes nothing; its result is `{drifted, repairable, parts}`."""
        return self._write("app", app_id, "drift", method="GET")  # it makes a job: a repetition needs a key, too

    def reconcile_app(self, app_id: str) -> Document:
        """Start the putting back of what is missing or was changed. Raises ProblemError `busy`."""
        return self._write("app", app_id, "reconcile", body={})

    def preview_removal(self, app_id: str) -> Document:
        """Return `{goes, stays}`: what `delete_app` would remove and leave, each with its reason."""
        return self._write("app", app_id, method="DELETE", dry_run=True)

    def delete_app(self, app_id: str) -> Document:
        """Start the removal of what was made for the app, in reverse order. Raises ProblemError `busy`."""
        return self._write("app", app_id, method="DELETE")
