"""Lines of the log are JSON with the ids of the work they were written in, and show no secret, whoever writes them."""

from __future__ import annotations

import json
import logging
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from structlog.contextvars import bound_contextvars
from support.api import settings

from common.config.settings import WorkerSettings
from common.telemetry import logs

Lines = Callable[[], list[dict[str, Any]]]
PASSWORD = 'pass"wörd\\with/all'  # JSON writes it otherwise
DB_URL = "mysql+pymysql://slipway:hunter-two@db/slipway"
LIBRARY = "celery.worker.consumer"


@pytest.fixture(autouse=True)
def _as_it_was() -> Iterator[None]:
    """Leave logging as it is found."""
    names = (None, *logs.OURS, *logs.QUIET)
    levels = {name: logging.getLogger(name).level for name in names}
    handlers = logging.getLogger().handlers[:]
    yield
    logging.getLogger().handlers[:] = handlers
    for name, level in levels.items():
        logging.getLogger(name).setLevel(level)


def _configure(**changes: Any) -> None:
    logs.configure(
        settings(DB_URL, WorkerSettings, **{"log_format": "json", "elasticsearch_password": PASSWORD, **changes})
    )


@pytest.fixture
def lines(capsys: pytest.CaptureFixture[str]) -> Lines:
    """Return a function that takes the lines written so far."""
    return lambda: [json.loads(line) for line in capsys.readouterr().err.splitlines()]


def _crash(text: str) -> None:
    secret = {"name": "a variable"}
    try:
        _ = secret["the cause"]
    except KeyError as error:
        raise ValueError(text) from error


def test_lines_of_ours_and_of_libraries_have_the_ids_of_the_work_around_them(lines: Lines) -> None:
    _configure()

    with bound_contextvars(job_id="j", step="s"):
        logging.getLogger("worker.steps").info("ours")
        logging.getLogger(LIBRARY).info("of %s", "a library")
    logging.getLogger("worker.steps").info("after it")

    ours, theirs, after = lines()
    assert (ours["event"], ours["job_id"], ours["step"]) == ("ours", "j", "s")
    assert (theirs["event"], theirs["job_id"], theirs["step"]) == ("of a library", "j", "s")
    assert not {"job_id", "step"} & set(after)


def test_a_line_says_who_wrote_it_when_and_how_much_it_matters(lines: Lines) -> None:
    _configure()

    logging.getLogger("worker.clock").warning("late", extra={"by_s": 3})

    (line,) = lines()
    assert (line["logger"], line["level"], line["by_s"]) == ("worker.clock", "warning", 3)
    assert line["pid"] > 0
    assert line["timestamp"].endswith("Z")
    assert list(line)[:3] == ["timestamp", "level", "event"]


def test_what_a_call_says_itself_wins_over_what_is_bound_around_it(lines: Lines) -> None:
    _configure()

    with bound_contextvars(job_id="around"):
        logging.getLogger("worker.clock").info("sent", extra={"job_id": "another"})

    assert lines()[0]["job_id"] == "another"


def test_an_exception_is_fields_with_its_causes_and_without_any_variable(lines: Lines) -> None:
    _configure()

    try:
        _crash("a text")
    except ValueError:
        logging.getLogger("api").exception("crashed")

    (line,) = lines()
    assert [(each["exc_type"], each["exc_value"]) for each in line["exception"]] == [
        ("ValueError", "a text"),
        ("KeyError", "'the cause'"),
    ]
    assert [frame["name"] for frame in line["exception"][1]["frames"]] == ["_crash"]
    assert "a variable" not in json.dumps(line)


@pytest.mark.parametrize(
    "written",
    ["canary-gitlab-token", "hunter-two", DB_URL, PASSWORD, "a key of thirty-two characters or more"],
    ids=["a token", "the password in an address", "the address", "what JSON escapes", "a key"],
)
@pytest.mark.parametrize("log_format", ["json", "text"])
def test_a_secret_setting_is_shown_by_no_line(
    capsys: pytest.CaptureFixture[str], written: str, log_format: str
) -> None:
    _configure(log_format=log_format)

    logging.getLogger(LIBRARY).info("it is %s.", written, extra={"sent": written})
    try:
        _crash(f"refused: {written}")
    except ValueError:
        logging.getLogger("worker").exception("crashed")

    written_lines = capsys.readouterr().err
    assert "it is ***." in written_lines
    assert written not in written_lines
    assert json.dumps(written)[1:-1] not in written_lines


def test_each_part_of_a_list_of_secrets_is_shown_by_no_line(lines: Lines) -> None:
    addresses, keys = (
        ("https://a.example.com/t0ken-a", "https://b.example.com/t0ken-b"),
        ("k" * 32, "whsec_" + "Q" * 32),
    )
    _configure(webhook_urls=", ".join(addresses), webhook_secret=",".join(keys), notify_events="job.failed")

    for text in (*addresses, *keys, "Q" * 32):
        logging.getLogger(LIBRARY).warning("it said %s here", text)

    assert {line["event"] for line in lines()} == {"it said *** here"}


def test_what_is_too_short_to_be_a_secret_blots_out_no_words(lines: Lines) -> None:
    _configure(elasticsearch_password="worker")

    logging.getLogger("worker.clock").info("a worker ticks")

    assert lines()[0]["event"] == "a worker ticks"


def test_debug_is_told_of_our_own_code_and_never_of_libraries(lines: Lines) -> None:
    _configure(log_level="debug")

    logging.getLogger("worker.telemetry").debug("a call")
    logging.getLogger("urllib3.connectionpool").debug('"GET /?private_token=canary HTTP/1.1" 200')
    logging.getLogger(LIBRARY).debug("a body")

    assert [line["event"] for line in lines()] == ["a call"]


def test_what_the_server_writes_by_itself_becomes_a_line_like_any_other(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    server, file = logging.getLogger("gunicorn.error"), logging.FileHandler(tmp_path / "configured.log")
    server.propagate = False
    for handler in (logging.StreamHandler(sys.stderr), file):
        server.addHandler(handler)

    _configure()
    server.error("it broke")
    server.removeHandler(file)
    file.close()

    (line,) = capsys.readouterr().err.splitlines()
    assert json.loads(line)["event"] == "it broke"
    assert (tmp_path / "configured.log").read_text() == "it broke\n"


def test_a_level_above_info_is_that_of_all(lines: Lines) -> None:
    _configure(log_level="warning")

    for name in ("api", LIBRARY):
        logging.getLogger(name).info("unheard")
        logging.getLogger(name).warning("heard")

    assert [line["event"] for line in lines()] == ["heard", "heard"]
