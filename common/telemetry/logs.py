"""Logging of a process: one line an event, as text in a terminal and as JSON elsewhere.

What is bound around the work (`structlog.contextvars`) is on every line written in it, including those of libraries:
the request's id in the API; job, step, attempt and the id of the request that began the job in a worker.
"""

from __future__ import annotations

import logging
import os
import sys

import structlog
from structlog.tracebacks import ExceptionDictTransformer
from structlog.typing import EventDict, Processor

from common.config.settings import CommonSettings
from common.telemetry.redaction import Redaction

FIRST = ("timestamp", "level", "event")  # fields of a line
OURS = ("api", "common", "worker")
SERVER = ("gunicorn.error", "gunicorn.access")  # it writes to standard error by itself, and to files if configured so
# Celery logs each task twice in its own words; the runner logs it once in ours.
QUIET = ("alembic", "urllib3", "kombu", "amqp", "werkzeug", "celery.app.trace", "celery.worker.strategy")


def configure(config: CommonSettings) -> None:
    """Send every log of this process to standard error, in one form; `extra` fields become fields.

    LOG_LEVEL is that of our own lines. Libraries log at most at level info: their debug lines show what they send.
    """
    is_text = is_for_people(config)
    render: Processor = (
        structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty()) if is_text else structlog.processors.JSONRenderer()
    )
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=_fields(is_text=is_text),
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, render, Redaction(config)],
        )
    )
    level = logging.getLevelNamesMapping()[config.log_level.upper()]
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(max(level, logging.INFO))
    for name in OURS:
        logging.getLogger(name).setLevel(level)
    for name in SERVER:
        logger = logging.getLogger(name)
        logger.handlers[:] = [each for each in logger.handlers if isinstance(each, logging.FileHandler)]
        logger.propagate = True
    for name in QUIET:
        logging.getLogger(name).setLevel(logging.WARNING)
    logging.getLogger("opentelemetry").setLevel(logging.ERROR)  # a line for lost spans, not for each failed export


def is_for_people(config: CommonSettings) -> bool:
    """Say whether lines are text."""
    return config.log_format == "text" or (config.log_format == "auto" and sys.stderr.isatty())


def _fields(*, is_text: bool) -> list[Processor]:
    """Return what makes a line's fields, in this order: fields of the call itself win over those bound around it."""
    trace: Processor = (
        structlog.processors.format_exc_info
        if is_text
        else structlog.processors.ExceptionRenderer(ExceptionDictTransformer(show_locals=False))
    )
    return [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        _add_process,
        structlog.stdlib.ExtraAdder(),
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        trace,
        _time_first,
    ]


def _time_first(_logger: object, _method: str, line: EventDict) -> EventDict:
    """Put what people look for first, and ids behind it."""
    first = {name: line.pop(name) for name in FIRST if name in line}
    return {**first, **line}


def _add_process(_logger: object, _method: str, line: EventDict) -> EventDict:
    line["pid"] = os.getpid()
    return line
