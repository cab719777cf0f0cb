"""An app on its cluster, the Argo CD that brings it there, its chart in git, and other people who sync it, too."""

from __future__ import annotations

import dataclasses
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import requests
from sqlalchemy import select

from common.database.models import App, Job
from harbour.argocd.app import ArgoCD
from support.world import World
from worker.upstreams.argocd.sync_status import OPERATION_ID

AUTHOR = ("-c", "user.name=t", "-c", "user.email=t@example.org")
MOMENTS = ("pickup_s", "refresh_s", "terminate_s", "recovery_s", "is_window_closed")


class Stage:
    """One app with its Argo CD application."""

    def __init__(self, world: World, app: str, workplace: Path) -> None:
        self.world = world
        self.app = app
        self.argocd: ArgoCD = world.harbour.argocd
        self.made = world.drive(world.make_app(app))
        self._workplace = workplace
        self.push_image("latest")  # the tag in the chart's own values

    def push_image(self, tag: str) -> None:
        self.world.push_image(self.made, tag)

    def accept(self, **inputs: str | None) -> Job:
        return self.world.accept_for(self.made, "deploy", **inputs)

    def deploy(self, **inputs: str | None) -> dict[str, Any]:
        """Deploy and return what it brought."""
        job = self.world.drive(self.accept(**inputs))
        output = self.world.step(job, "await_healthy").output
        assert output is not None, [(step.name, step.reason) for step in self.world.step_rows(job)]
        return output

    def sync_by_hand(self) -> None:
        self._send("POST", "/sync", {"project": "dev"})

    def set_tag_by_hand(self, tag: str) -> None:
        spec = self.read()["spec"]
        parameters = spec["source"]["helm"]["parameters"]
        kept = [each for each in parameters if each["name"] != "image.tag"]
        spec["source"]["helm"]["parameters"] = [*kept, {"name": "image.tag", "value": tag}]
        self._send("PUT", "/spec?project=dev", spec)

    def commit(self, file: str, text: str | None) -> str:
        """Commit a file to the chart's repository, or without text its removal, and return the commit."""
        bare = self._bare()
        if not self._workplace.exists():
            _git("clone", "-q", str(bare), str(self._workplace))
        place = self._workplace / file
        place.unlink() if text is None else place.write_text(text)
        _git("add", "--all", place=self._workplace)
        _git("commit", "-q", "-m", file, place=self._workplace)
        _git("push", "-q", str(bare), "HEAD", place=self._workplace)
        return _git("rev-parse", "HEAD", place=self._workplace)

    def _bare(self) -> Path:
        gitlab = self.world.harbour.gitlab
        project = gitlab.state.project_at(f"dev/{self.app}_helm")
        assert project is not None
        return gitlab.repository(project)

    def values(self) -> str:
        return _git("show", "HEAD:values.yaml", place=self._bare())

    # -- look ---------------------------------------------------------------------------------------------------

    def read(self) -> dict[str, Any]:
        shown: dict[str, Any] = self._send("GET", "?project=dev")
        return shown

    def images(self) -> list[str]:
        images: list[str] = self.read()["status"]["summary"]["images"]
        return images

    def syncs(self, job: Job) -> int:
        """Return how many operations on the stand-in carry the job's id."""
        infos = [run.operation.get("info", []) for run in self.argocd.applications[self.app].runs]
        return sum({"name": OPERATION_ID, "value": job.id} in info for info in infos)

    def kept_tag(self) -> str | None:
        statement = select(App.image_tag).where(App.id == self.made.app_id)
        return self.world.db.read(lambda session: session.scalar(statement))

    def _send(self, method: str, path: str, body: Any = None) -> Any:
        answer = requests.request(
            method,
            f"{self.argocd.url}/api/v1/applications/{self.app}{path}",
            json=body,
            headers={"Authorization": f"Bearer {self.argocd.config.argocd_token}"},
            timeout=20,
        )
        answer.raise_for_status()
        return answer.json()


@contextmanager
def paced(argocd: ArgoCD) -> Iterator[None]:
    """Let a test change how long things take on Argo CD, and what goes wrong; afterwards it is as it was."""
    config, moments = argocd.config, {name: getattr(argocd, name) for name in MOMENTS}
    try:
        yield
    finally:
        argocd.config = config
        for name, value in moments.items():
            setattr(argocd, name, value)
        argocd.sync_errors.clear()
        argocd.health_errors.clear()


def syncs_take(argocd: ArgoCD, seconds: float) -> None:
    argocd.config = dataclasses.replace(argocd.config, sync_s=seconds)


def _git(*arguments: str, place: Path | None = None) -> str:
    done = subprocess.run(["git", *AUTHOR, *arguments], cwd=place, check=True, capture_output=True, text=True)
    return done.stdout.strip()
