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


TEAM = """
[teams.{0}]
title = "T"
gitlab_group = "g"
jenkins_folder = "f"
jenkins_role = "r"
kibana_role = "k"
argocd_project = "p"
cluster = "c"
{1}
"""


def _teams(tmp_path: Path, **namespaces: str) -> catalog.Catalog:
    lines = {team: f"namespace = '{text}'" if text else "" for team, text in namespaces.items()}
    return _load(tmp_path, ("".join(TEAM.format(*each) for each in lines.items()) + "[types]").encode())


def test_a_new_app_runs_in_a_namespace_of_its_teams(tmp_path: Path) -> None:
    loaded = _teams(tmp_path, dev="", ops="of-{team}-{app}-x")
    dev, ops = loaded.teams.values()

    assert (dev.namespace_of("shop"), ops.namespace_of("shop")) == ("dev-shop", "of-ops-shop-x")
    assert (dev.namespace_glob, ops.namespace_glob) == ("dev-*", "of-ops-*-x")
    assert (dev.sample_namespace, ops.sample_namespace) == ("dev-any-app", "of-ops-any-app-x")
    assert loaded.namespace_of("left", "shop") == "left-shop"


def test_two_teams_that_could_give_the_same_namespace_are_refused_with_an_example(tmp_path: Path) -> None:
    with pytest.raises(SettingsError) as raised:
        _teams(tmp_path, dev="", ops="{app}", qa="")

    (problem,) = raised.value.problems
    assert problem.startswith("CATALOG_FILE: the teams dev and ops could both have an app in the namespace dev-a")


def test_a_pattern_that_cannot_work_is_refused_by_the_teams_name(tmp_path: Path) -> None:
    with pytest.raises(SettingsError) as raised:
        _teams(tmp_path, dev="{team}")

    assert raised.value.problems == [
        "CATALOG_FILE: teams.dev: namespace must contain {app} once: every app has a namespace of its own"
    ]
