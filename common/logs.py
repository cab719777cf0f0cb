"""How does a process of ours log?  One line an event: text in a terminal, JSON elsewhere."""

from __future__ import annotations

import logging
import sys

import structlog

# Celery tells each task twice in its own words; the runner tells it once in ours.
QUIET = ("alembic", "urllib3", "kombu", "amqp", "werkzeug", "celery.app.trace", "celery.worker.strategy")


def configure(log_format: str) -> None:
    """Send every log of this process to standard error, in one form; `extra` fields become fields."""
    is_text = log_format == "text" or (log_format == "auto" and sys.stderr.isatty())
    shared: list[structlog.typing.Processor] = [
        structlog.stdlib.add_log_level,
        structlog.stdlib.ExtraAdder(),
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.format_exc_info,
    ]
    render: structlog.typing.Processor = (
        structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty()) if is_text else structlog.processors.JSONRenderer()
    )
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared,
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, render],
        )
    )
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(logging.INFO)
    for name in QUIET:
        logging.getLogger(name).setLevel(logging.WARNING)
