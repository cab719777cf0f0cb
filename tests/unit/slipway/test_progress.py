"""A job is shown in a table that redraws itself, or by a line a change; nothing that others wrote moves the cursor."""

from __future__ import annotations

from io import StringIO

import pytest
from support.stand_in import job_of

from slipway.progress import Progress, table
from slipway.text import columns, plain, time_left


class Terminal(StringIO):
    """A terminal of 80 columns."""

    def isatty(self) -> bool:
        return True


def _long_lane() -> list[dict[str, object]]:
    steps = [{"name": f"a_step_with_a_name_{number}", "state": "pending", "reason": None} for number in range(8)]
    return [{"name": "source", "steps": steps}]


def test_elsewhere_each_change_of_a_step_is_one_line() -> None:
    stream = StringIO()
    progress = Progress("Build of shop", stream)

    for job in (job_of("queued"), job_of("running"), job_of("running"), job_of("succeeded")):
        progress.show(job)

    assert [line.split() for line in stream.getvalue().splitlines()] == [
        [],
        ["Build", "of", "shop"],
        ["✓", "build", "start_build", "succeeded"],
        ["▸", "build", "await_result", "running"],
        ["✓", "build", "await_result", "succeeded"],
    ]


def test_in_a_terminal_the_table_is_drawn_over_itself() -> None:
    stream = Terminal()
    progress = Progress("Build of shop", stream)

    progress.show(job_of("running"))
    progress.show(job_of("succeeded"))

    assert stream.getvalue().count("\x1b[2A") == 1  # two lines up: one lane, one sum
    assert stream.getvalue().endswith("\x1b[2K  succeeded, 2 of 2 steps done\n\x1b[J")


def test_a_long_lane_is_broken_where_a_step_ends_and_no_line_is_wider_than_the_terminal() -> None:
    lines = table(job_of("queued", lanes=_long_lane()), width=80)

    assert len(lines) == 5
    assert max(map(len, lines)) <= 80
    assert sum(line.count("a_step_with_a_name_") for line in lines) == 8


def test_the_time_that_is_left_is_shown_where_the_job_has_it() -> None:
    progress = {"done": 1, "total": 2, "remaining": {"p50_s": 12.4, "p90_s": 30.0}}
    stream = StringIO()

    Progress("Build", stream).show(job_of("running", progress=progress))

    assert table(job_of("running", progress=progress))[-1].endswith("running, 1 of 2 steps done, about 12 s left")
    assert stream.getvalue().endswith("running, about 12 s left\n")


@pytest.mark.parametrize(
    ("remaining", "text"),
    [
        (None, ""),
        ({}, ""),
        ({"p50_s": 0.0}, "about 1 s left"),
        ({"p50_s": 99.4}, "about 99 s left"),
        ({"p50_s": 100.0}, "about 2 min left"),
        ({"p50_s": 3600.0}, "about 60 min left"),
    ],
)
def test_a_time_is_said_in_round_numbers(remaining: dict[str, float] | None, text: str) -> None:
    assert time_left(remaining) == text


def test_what_a_job_waits_for_is_one_line() -> None:
    waiting = [{"upstream": "gitlab", "reason": "copying\nthe template " + "x" * 100}]

    *_, last = table(job_of("running", waiting_on=waiting), width=60)

    assert last.startswith("  waiting on gitlab: copying the template xxx")
    assert len(last) == 60


def test_where_nothing_is_drawn_over_a_reason_is_told_whole() -> None:
    waiting = [{"upstream": "gitlab", "reason": "x" * 100}]

    *_, last = table(job_of("running", waiting_on=waiting))

    assert last == f"  waiting on gitlab: {'x' * 100}"


def test_a_step_state_of_a_newer_server_is_shown_as_it_is() -> None:
    lanes = [{"name": "build", "steps": [{"name": "start_build", "state": "pondering", "reason": None}]}]
    stream = StringIO()

    Progress("Build", stream).show(job_of("running", lanes=lanes))

    assert "? build    start_build            pondering" in stream.getvalue()


def test_what_others_wrote_does_not_move_the_cursor() -> None:
    lanes = [{"name": "build", "steps": [{"name": "start_build", "state": "failed", "reason": "\x1b[2J\x07\x9bowned"}]}]
    stream = StringIO()

    Progress("\x1b]0;title\x07", stream).show(job_of("running", lanes=lanes))

    assert not set("\x1b\x07\x9b") & set(stream.getvalue())


def test_plain_text_keeps_its_lines_and_loses_its_colours() -> None:
    assert plain("\x1b[1;31mred\x1b[0m\tand\r\nnext") == "red\tand\nnext"
    assert plain("100%\rdone\x00") == "100%�done�"


def test_columns_are_aligned_and_nothing_is_said_in_words() -> None:
    assert columns([("a", None, "x"), ("bbb", 7, "")]) == "a       x\nbbb  7"
    assert columns([], nothing="There is no app.") == "There is no app."
