"""What has been told since a test began?  Numbers, by how much they grew; lines, with what is bound around them."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any

from prometheus_client import CollectorRegistry, Metric
from structlog.contextvars import get_contextvars

Labels = tuple[str, ...]
Samples = dict[
    tuple[str, ...], float
]  # by their name and the values of their labels, in the order of the labels' names


def samples_of(families: Iterable[Metric]) -> Samples:
    """Return what a registry collects, or what a page of metrics says."""
    samples = (sample for family in families for sample in family.samples)
    return {(each.name, *(value for _, value in sorted(each.labels.items()))): each.value for each in samples}


class Numbers:
    """The samples of a registry; `grown` compares them with what they were when it was made."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._registry = registry
        self._before = samples_of(registry.collect())

    def grown(self, sample: str) -> dict[Labels, float]:
        """Return by how much the series of this name have grown, by the values of their labels, if they have."""
        now = samples_of(self._registry.collect())
        grown = {key[1:]: value - self._before.get(key, 0.0) for key, value in now.items() if key[0] == sample}
        return {labels: by for labels, by in grown.items() if by}


@contextmanager
def heard(level: int = logging.DEBUG) -> Iterator[list[dict[str, Any]]]:
    """Yield a list that gets the lines logged inside, with the fields bound around them; of libraries from info on."""
    lines: list[dict[str, Any]] = []

    class Ear(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            lines.append({**get_contextvars(), **vars(record), "event": record.getMessage()})

    root, ear = logging.getLogger(), Ear()
    loggers = [logging.getLogger(name) for name in ("", "api", "common", "worker")]
    levels = [logger.level for logger in loggers]
    root.addHandler(ear)
    for logger in loggers:
        logger.setLevel(max(level, logging.INFO) if logger is root else level)
    try:
        yield lines
    finally:
        root.removeHandler(ear)
        for logger, was in zip(loggers, levels, strict=True):
            logger.setLevel(was)
