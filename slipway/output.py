"""Where is something printed?  What was asked for on standard output, everything else on standard error.

For a person, progress belongs to what was asked for. With `--json` it does not: standard output is JSON alone.
"""

from __future__ import annotations

import json
import sys
from typing import IO

import click

from slipway.errors import Document
from slipway.text import plain


class Screen:
    """The two outputs of a command."""

    def __init__(self) -> None:
        self.is_json = False

    @property
    def aside(self) -> IO[str]:
        """Where progress goes."""
        return sys.stderr if self.is_json else sys.stdout

    def show(self, document: Document | list[Document], text: str) -> None:
        """Print the document on one line with `--json`, the text otherwise."""
        click.echo(json.dumps(document) if self.is_json else plain(text))

    def write(self, document: Document, text: str) -> None:
        """Print a piece of something longer: the text has its own line ends."""
        click.echo(json.dumps(document) if self.is_json else plain(text), nl=self.is_json)

    def tell(self, text: str) -> None:
        """Say something that is no result, and is not needed by a program."""
        click.echo(plain(text), err=self.is_json)

    def warn(self, text: str) -> None:
        click.echo(plain(text), err=True)
