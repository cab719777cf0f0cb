"""Builds and deployments: start, list, roll back."""

from __future__ import annotations

from collections.abc import Iterator

from slipway.calls import PAGE_ROWS, BaseClient
from slipway.errors import Document


class Releases(BaseClient):
    """Calls about builds and deployments. Those that return `{job_id, status_url, app_id}` have started that job."""

    def start_build(self, app_id: str, *, image_tag: str | None = None, branch: str | None = None) -> Document:
        """Start one build; its result is `{number, url, result, commit, image, …}`.

        Without `image_tag` it gets a tag that no other build has. Raises ProblemError `busy`, `not_provisioned`.
        """
        return self._write("app", app_id, "builds", body=_given(image_tag=image_tag, branch=branch))

    def list_builds(self, app_id: str, *, limit: int = PAGE_ROWS) -> Iterator[Document]:
        """Yield the app's builds, newest first; `limit` is the size of a page."""
        return self._pages("builds", "app", app_id, "builds", limit=limit)

    def start_deploy(
        self, app_id: str, *, image_tag: str | None = None, revision: str | None = None, force: bool = False
    ) -> Document:
        """Start a deployment, which ends when it is synced and healthy; its result is `{revision, images, …}`.

        Without `image_tag` it is that of the newest successful build. Raises ProblemError `not_built` before the first
        one, and `invalid_fields` for a tag that no build has pushed; `force` deploys it all the same.
        """
        body = _given(image_tag=image_tag, revision=revision) | ({"force": True} if force else {})
        return self._write("app", app_id, "deploys", body=body)

    def list_deploys(self, app_id: str, *, limit: int = PAGE_ROWS) -> Iterator[Document]:
        """Yield the app's deployments, newest first; `limit` is the size of a page."""
        return self._pages("deploys", "app", app_id, "deploys", limit=limit)

    def roll_back(self, app_id: str, *, to: str | None = None) -> Document:
        """Start an earlier good deployment again: the previous one, or the one of the job `to`.

        Raises ProblemError `nothing_to_roll_back_to`, and `invalid_fields` for a job that is none.
        """
        return self._write("app", app_id, "rollback", body=_given(to=to))

    def list_rollback_targets(self, app_id: str) -> list[Document]:
        """Return the deployments that `roll_back` may go to, newest first."""
        targets: list[Document] = self._read("app", app_id, "rollback")["targets"]
        return targets


def _given(**fields: str | None) -> Document:
    return {name: value for name, value in fields.items() if value is not None}
