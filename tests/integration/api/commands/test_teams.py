"""A team is added to the catalog's file: checked, at its end, whole or not at all, with every comment where it was."""

from __future__ import annotations

import shutil
import stat
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path

import pytest
from support.api import Api, open_api
from support.commands import Operator
from support.world import Time

from api.commands import catalog_file
from api.commands.base import Refusal
from common.config import catalog
from common.config.catalog import CatalogTeam

Open = Callable[..., AbstractContextManager[Api]]
QA = ("teams", "add", "qa", "--title", 'Quality "A"', "--cluster", "qa-cluster")
BUNDLED = catalog.read(None)


@pytest.fixture
def db_url(migrated_sqlite: Path, tmp_path: Path) -> str:
    """It is about a file: one database is enough."""
    shutil.copy(migrated_sqlite, tmp_path / "slipway.db")
    return f"sqlite:///{tmp_path / 'slipway.db'}"


@pytest.fixture
def opened(db_url: str, time: Time) -> Open:
    return lambda **changes: open_api(db_url, time, **changes)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """A catalog of somebody's own, with a comment of theirs."""
    file = tmp_path / "catalog.toml"
    file.write_text(f"# ours\n{BUNDLED}", encoding="utf-8")
    file.chmod(0o640)
    return file


@pytest.fixture
def operator(opened: Open, file: Path) -> Iterator[Operator]:
    with opened(catalog_file=file) as api:
        yield Operator(api)


def _teams(opened: Open, file: Path) -> dict[str, CatalogTeam]:
    """Return the teams as a process reads them when it starts."""
    with opened(catalog_file=file) as api:
        return dict(api.service.catalog.teams)


def test_a_team_comes_to_the_end_and_the_rest_stays_as_it_was(operator: Operator, opened: Open, file: Path) -> None:
    before, text = _teams(opened, file), file.read_text(encoding="utf-8")

    done = operator.types(*QA, "--jenkins-folder", "quality/a", "--self-join")

    assert done.exit_code == 0, done.output
    assert "restart the API and the workers" in done.stdout
    assert "CATALOG_FILE" not in done.stdout
    assert file.read_text(encoding="utf-8").startswith(f"{text}\n[teams.qa]\n")
    assert _teams(opened, file) == before | {
        "qa": CatalogTeam(
            id="qa", title='Quality "A"', self_join=True, gitlab_group="qa", jenkins_folder="quality/a",
            jenkins_role="qa", kibana_role="qa", argocd_project="qa", cluster="qa-cluster",
        )
    }  # fmt: skip
    assert stat.S_IMODE(file.stat().st_mode) == 0o640


def test_the_bundled_catalog_is_copied_first(opened: Open, tmp_path: Path) -> None:
    copy = tmp_path / "own.toml"
    with opened() as api:
        operator = Operator(api)
        refused = operator.types(*QA)
        foretold = operator.types(*QA, "--copy-to", str(copy), "--dry-run")
        is_made = copy.exists()
        done = operator.types(*QA, "--copy-to", str(copy))
        again = operator.types(*QA, "--copy-to", str(copy))

    assert (refused.exit_code, foretold.exit_code, is_made, done.exit_code, again.exit_code) == (3, 0, False, 0, 3)
    assert "--copy-to FILE" in refused.stderr
    assert "[teams.qa]" in foretold.stdout
    assert f"set CATALOG_FILE={copy}" in done.stdout
    assert "already exists" in again.stderr
    assert copy.read_text(encoding="utf-8").startswith(BUNDLED)
    assert list(_teams(opened, copy)) == ["dev", "ops", "qa"]
    assert catalog.read(None) == BUNDLED


@pytest.mark.parametrize(
    ("words", "exit_code", "why"),
    [
        ((*QA[:2], "dev", *QA[3:]), 3, "The team dev already exists."),
        ((*QA[:2], "q/a", *QA[3:]), 2, "Use letters, digits"),
        ((*QA[:2], "", *QA[3:]), 2, "Use letters, digits"),
        ((*QA, "--gitlab-group", "a\nb"), 2, "Use printable characters"),
        ((*QA, "--namespace", "{team}"), 2, "must contain {app} once"),
        ((*QA, "--namespace", "{app}"), 3, "could both have an app in the namespace dev-"),
        ((*QA[:2], "dev-x", *QA[3:]), 3, "The teams dev and dev-x could both have an app in the namespace dev-x-"),
        ((*QA, "--copy-to", "elsewhere.toml"), 2, "Omit --copy-to"),
        (QA[:5], 2, "--cluster"),
    ],
)
def test_what_is_wrong_is_said_and_the_file_stays(
    operator: Operator, file: Path, words: tuple[str, ...], exit_code: int, why: str
) -> None:
    before = file.read_bytes()

    refused = operator.types(*words)

    assert (refused.exit_code, why in refused.stderr) == (exit_code, True), refused.stderr
    assert file.read_bytes() == before


def test_a_file_to_which_no_section_can_be_added_is_left_to_its_owner(operator: Operator, file: Path) -> None:
    file.write_text("teams = {}\ntypes = {}\n")

    refused = operator.types(*QA)

    assert refused.exit_code == 3
    assert "Add it by hand:\n\n[teams.qa]\n" in refused.stderr
    assert file.read_text() == "teams = {}\ntypes = {}\n"


def test_line_ends_and_a_missing_last_one_are_kept_as_they_are(operator: Operator, opened: Open, file: Path) -> None:
    text = BUNDLED.rstrip().replace("\n", "\r\n")
    file.write_bytes(text.encode())

    operator.types(*QA)

    written = file.read_bytes().decode()
    assert written.startswith(f"{text}\r\n\r\n[teams.qa]\r\n")
    assert written.count("\n") == written.count("\r\n")
    assert "qa" in _teams(opened, file)


def test_a_link_stays_a_link(operator: Operator, file: Path, tmp_path: Path) -> None:
    real = tmp_path / "real.toml"
    file.rename(real)
    file.symlink_to(real)

    operator.types(*QA)

    assert file.is_symlink()
    assert "[teams.qa]" in real.read_text(encoding="utf-8")


def test_a_team_can_have_a_pattern_of_its_own(operator: Operator, opened: Open, file: Path) -> None:
    done = operator.types(*QA, "--namespace", "of-{team}-{app}")

    assert done.exit_code == 0, done.output
    assert _teams(opened, file)["qa"].namespace_of("shop") == "of-qa-shop"


@pytest.mark.parametrize("team", ["a.b", "Q_A-1"])
def test_a_team_is_found_again_under_the_name_it_was_given(
    operator: Operator, opened: Open, file: Path, team: str
) -> None:
    operator.types("teams", "add", team, *QA[3:])

    assert team in _teams(opened, file)


def test_of_two_editors_at_once_one_is_refused_and_what_breaks_off_leaves_nothing(file: Path) -> None:
    before = file.read_bytes()

    def change() -> str:
        with pytest.raises(Refusal, match="Another command is editing"):
            catalog_file.edit(file, lambda: "mine")
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        catalog_file.edit(file, change)

    assert file.read_bytes() == before
    assert [each.name for each in file.parent.iterdir() if "catalog" in each.name] == [file.name]
    catalog_file.edit(file, lambda: "mine")
    assert file.read_text() == "mine"


def test_a_place_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    with pytest.raises(Refusal, match=r"Cannot replace .*nowhere/catalog.toml: No such file"):
        catalog_file.edit(tmp_path / "nowhere" / "catalog.toml", lambda: "mine")


def test_the_list_shows_teams_people_and_whose_team_has_left_the_catalog(
    operator: Operator, opened: Open, file: Path
) -> None:
    operator.types(*QA)
    with opened(catalog_file=file) as api:
        for login, team in (("grace", "dev"), ("linus", "ops")):
            api.sign_up(login, team=team)
    file.write_text(file.read_text(encoding="utf-8").replace("[teams.ops]", "[teams.tools]"), encoding="utf-8")
    file.write_text(file.read_text(encoding="utf-8").replace("# cluster: OPS", 'cluster = "tools" #'), encoding="utf-8")
    with opened(catalog_file=file) as api:
        listed, said = Operator(api).reads("teams", "list"), Operator(api).types("teams", "list").stdout

    assert [(each["id"], each["people"], each["in_catalog"]) for each in listed] == [
        ("dev", 1, True), ("tools", 0, True), ("qa", 0, True), ("ops", 1, False),
    ]  # fmt: skip
    assert listed[2]["places"]["jenkins_folder"] == "qa"
    assert "(not in the catalog)" in said
