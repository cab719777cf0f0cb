"""Outputs of a command: results on standard output, everything else on standard error.

For a person, progress is part of the result. With `--json` it is not: standard output is JSON alone.
"""

from __future__ import annotations

import json
import sys
from typing import IO

import click

from slipway.errors import Document
from slipway.text import plain


class Output:
    """The two output streams of a command."""

    def __init__(self) -> None:
        self.is_json = False

    @property
    def progress_stream(self) -> IO[str]:
        """The stream that progress is written to."""
        return sys.stderr if self.is_json else sys.stdout

    def show(self, document: Document | list[Document], text: str) -> None:
        """Print the document as one line of JSON with `--json`, the text otherwise."""
        click.echo(json.dumps(document) if self.is_json else plain(text))

    def write(self, document: Document, text: str) -> None:
        """Print a part of a longer text, which has its own line ends."""
        click.echo(json.dumps(document) if self.is_json else plain(text), nl=self.is_json)

    def warn(self, text: str) -> None:
        click.echo(plain(text), err=True)
