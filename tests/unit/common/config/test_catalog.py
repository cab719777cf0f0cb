"""A catalog that is wrong is refused with the place that is wrong, never with a traceback."""

from __future__ import annotations

from pathlib import Path

import pytest
from support import api

from common.config import catalog
from common.config.settings import SettingsError


def _load(tmp_path: Path, content: bytes) -> catalog.Catalog:
    file = tmp_path / "catalog.toml"
    file.write_bytes(content)
    return catalog.load(api.settings("sqlite:///unused.db", catalog_file=file))


@pytest.mark.parametrize(
    "content",
    [
        b"teams = 3",
        b'teams.dev = "x"',
        b"teams = [",
        b"\xff\xfe",
        b'[teams.dev]\ntitle = "D"',
        b'[types.Flask]\nsource_template = "a"',
        b"nonsense = 1\n[teams]\n[types]",
    ],
)
def test_a_wrong_catalog_is_a_wrong_setting(tmp_path: Path, content: bytes) -> None:
    with pytest.raises(SettingsError) as raised:
        _load(tmp_path, content)

    assert all(problem.startswith("CATALOG_FILE") for problem in raised.value.problems)


def test_a_missing_catalog_is_a_wrong_setting(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="CATALOG_FILE cannot be read"):
        catalog.load(api.settings("sqlite:///unused.db", catalog_file=tmp_path / "none.toml"))


def test_the_bundled_catalog_takes_its_clusters_from_the_settings() -> None:
    loaded = catalog.load(api.settings("sqlite:///unused.db", dev_cluster_name="blue", ops_cluster_name="green"))

    assert {team.id: team.cluster for team in loaded.teams.values()} == {"dev": "blue", "ops": "green"}
    assert set(loaded.types) == {"Spring", "Django", "Flask"}
