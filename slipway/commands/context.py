"""The context of a command: server, log-in, output, and the job that it follows."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from functools import cached_property

import click

from slipway.client import Client
from slipway.errors import Document, UnreachableError
from slipway.output import Output
from slipway.progress import Progress
from slipway.retry import RetryPolicy
from slipway.tokens import Tokens

ID = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")


@dataclass(kw_only=True)
class CommandContext:
    """One run of the program. `given_token` is from the environment and wins over a kept one."""

    url: str
    url_option: str = ""  # repeated in the commands that we suggest
    given_token: str | None = field(default=None, repr=False)
    tokens: Tokens
    retry: RetryPolicy
    output: Output = field(default_factory=Output)

    @cached_property
    def client(self) -> Client:
        """The client, with the log-in if there is one. Raises UsageError."""
        try:
            return Client(self.url, self.given_token or self.tokens.find(self.url), retry=self.retry)
        except (ValueError, PermissionError) as error:
            raise click.UsageError(str(error)) from None

    def app_id(self, named: str) -> str:
        """Return the id of the app with this name or id. Raises UsageError."""
        if ID.fullmatch(named):
            return named
        for project in self.client.list_projects(self.client.get_me()["team"]):
            for app in self.client.list_apps(project["project_id"]):
                if app["name"] == named:
                    return str(app["app_id"])
        raise click.UsageError(f"Your team has no app {named!r}. List its apps: slipway app list")

    def project_id(self, named: str) -> str:
        """Return the id of the project with this name or id. Raises UsageError."""
        if ID.fullmatch(named):
            return named
        for project in self.client.list_projects(self.client.get_me()["team"]):
            if project["name"] == named:
                return str(project["project_id"])
        raise click.UsageError(f"Your team has no project {named!r}. List its projects: slipway project list")

    def finish(self, accepted: Document, title: str, *, is_awaited: bool) -> Document | None:
        """Follow an accepted job to its end and return it; not awaited: print its id and return None."""
        if not is_awaited:
            self.output.show(accepted, accepted["job_id"])
            return None
        return self.follow_job(accepted["job_id"], title)

    def follow_job(self, job_id: str, title: str) -> Document:
        """Show a job until it has succeeded. Raises JobFailedError and what `Client.follow` raises."""
        try:
            return self.client.await_job(job_id, show=Progress(title, self.output.progress_stream).show)
        except (KeyboardInterrupt, UnreachableError):
            self.output.warn(f"\nThe job continues. To follow it again: slipway {self.url_option}jobs watch {job_id}")
            raise
