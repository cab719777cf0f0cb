"""What has a command at hand?  The server, a log-in, the screen, and a way to stay with a job until it is over."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from functools import cached_property

import click

from slipway.client import Client
from slipway.errors import Document, UnreachableError
from slipway.output import Screen
from slipway.progress import Progress
from slipway.retry import Repeats
from slipway.tokens import Tokens

ID = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")


@dataclass(kw_only=True)
class Desk:
    """One run of the program. `given_token` is the environment's, and wins over one that is kept."""

    url: str
    url_option: str = ""  # what a command that is to be typed next needs, too
    given_token: str | None = field(default=None, repr=False)
    tokens: Tokens
    repeats: Repeats
    screen: Screen = field(default_factory=Screen)

    @cached_property
    def client(self) -> Client:
        """The server, with the log-in if there is one. Raises UsageError."""
        try:
            return Client(self.url, self.given_token or self.tokens.find(self.url), repeats=self.repeats)
        except (ValueError, PermissionError) as error:
            raise click.UsageError(str(error)) from None

    def app_id(self, named: str) -> str:
        """Return the id of an app that is named by its name or its id. Raises UsageError."""
        if ID.fullmatch(named):
            return named
        for project in self.client.list_projects(self.client.get_me()["team"]):
            for app in self.client.list_apps(project["project_id"]):
                if app["name"] == named:
                    return str(app["app_id"])
        raise click.UsageError(f"Your team has no app {named!r}.")

    def project_id(self, named: str) -> str:
        """Return the id of a project that is named by its name or its id. Raises UsageError."""
        if ID.fullmatch(named):
            return named
        for project in self.client.list_projects(self.client.get_me()["team"]):
            if project["name"] == named:
                return str(project["project_id"])
        raise click.UsageError(f"Your team has no project {named!r}.")

    def finish(self, accepted: Document, title: str, *, is_awaited: bool) -> Document | None:
        """Stay with an accepted job to its end and return it; not awaited: print its id and return None."""
        if not is_awaited:
            self.screen.show(accepted, accepted["job_id"])
            return None
        return self.stay_with(accepted["job_id"], title)

    def stay_with(self, job_id: str, title: str) -> Document:
        """Show a job until it has succeeded. Raises JobFailedError and whatever `Client.follow` does."""
        try:
            return self.client.await_job(job_id, show=Progress(title, self.screen.aside).show)
        except (KeyboardInterrupt, UnreachableError):
            self.screen.warn(f"\nThe job goes on. Watch it again: slipway {self.url_option}jobs watch {job_id}")
            raise
