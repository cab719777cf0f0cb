"""Logs of gunicorn's master, as in the rest of the API: text in a terminal, one JSON object a line elsewhere.

`LOG_FORMAT` counts only in the environment: the master reads no settings file.
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
    """Formats an event with the fields of all our log lines."""

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
    """gunicorn's logger with that format; its access log, which is off by default, does not change."""

    def setup(self, cfg: Any) -> None:
        super().setup(cfg)
        if not _is_text():
            for handler in filter(_is_gunicorns, self.error_log.handlers):
                handler.setFormatter(JsonLine())


def _is_gunicorns(handler: logging.Handler) -> bool:
    """Return whether gunicorn created the handler for ERRORLOG; others have a format of their own."""
    return getattr(handler, "_gunicorn", False) and isinstance(handler, logging.StreamHandler)


def _is_text() -> bool:
    wanted = os.environ.get("LOG_FORMAT") or "auto"
    return wanted == "text" or (wanted == "auto" and sys.stderr.isatty())
