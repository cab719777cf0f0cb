"""How does gunicorn's master log?  As the rest of the API does: text in a terminal, one JSON object a line elsewhere.

`LOG_FORMAT` is heeded where it is in the environment: the master reads no file of settings.
"""

from __future__ import annotations

import json
import logging
import os
import sys
from datetime import UTC, datetime
from typing import Any

from gunicorn.glogging import Logger


class JsonLine(logging.Formatter):
    """An event with the fields that every line of ours has."""

    def format(self, record: logging.LogRecord) -> str:
        at = datetime.fromtimestamp(record.created, UTC).isoformat(timespec="microseconds")
        line = {
            "event": record.getMessage(),
            "level": record.levelname.lower(),
            "logger": record.name,
            "pid": record.process,
            "timestamp": at.replace("+00:00", "Z"),
        }
        if record.exc_info:
            line["traceback"] = self.formatException(record.exc_info)
        return json.dumps(line)


class Lines(Logger):  # type: ignore[misc] # gunicorn ships no types
    """gunicorn's own, in that form; an access log, which nobody needs beside ours, stays as it is."""

    def setup(self, cfg: Any) -> None:
        super().setup(cfg)
        if not _is_text():
            for handler in filter(_is_gunicorns, self.error_log.handlers):
                handler.setFormatter(JsonLine())


def _is_gunicorns(handler: logging.Handler) -> bool:
    """Say whether it writes where ERRORLOG says; others were asked for, with a form of their own."""
    return getattr(handler, "_gunicorn", False) and isinstance(handler, logging.StreamHandler)


def _is_text() -> bool:
    wanted = os.environ.get("LOG_FORMAT") or "auto"
    return wanted == "text" or (wanted == "auto" and sys.stderr.isatty())
