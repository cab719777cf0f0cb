"""Settings come from files of their own as well: one each, nothing of them is shown, the environment wins."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from support.api import ENVIRONMENT
from support.settings import NAMES

from common.config import settings
from common.config.settings import SettingsError, WorkerSettings

GOOD = {
    **ENVIRONMENT,
    "DB_URL": "mysql+pymysql://slipway@localhost/slipway",
    "REDIS_URL": "redis://localhost:6379/0",
    "ALLOW_PLAIN_BROKER": "true",
    "ALLOW_PLAIN_DATABASE": "true",
}
NEW_KEY, OLD_KEY = "n-9Qv2Xz7Lk4Wm1Rt8Yb5Hc3Jd6Gf0Ps", "o-4Tz8Bn1Kw6Vq3Xm7Rc2Ly9Hd5Jf0Gs"


@pytest.fixture
def secrets(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """A directory of secrets, empty, in a world where everything else is set."""
    monkeypatch.chdir(tmp_path)  # no .env here
    for name in NAMES:
        monkeypatch.delenv(name.upper(), raising=False)
    place = tmp_path / "secrets"
    place.mkdir()
    for name, value in {**GOOD, "SECRETS_DIR": str(place)}.items():
        monkeypatch.setenv(name, value)
    return place


@pytest.fixture
def no_token(monkeypatch: pytest.MonkeyPatch, secrets: Path) -> Path:
    """The same, where GITLAB_TOKEN is in no environment."""
    monkeypatch.delenv("GITLAB_TOKEN")
    return secrets


@pytest.mark.parametrize("around", ["{}", "{}\n", " {}\r\n\n"])
def test_a_setting_is_read_from_its_file_without_what_is_around_it(no_token: Path, around: str) -> None:
    (no_token / "gitlab_token").write_text(around.format("canary"))

    assert settings.load(WorkerSettings).gitlab_token.get_secret_value() == "canary"


def test_a_byte_order_mark_is_not_part_of_a_setting(no_token: Path) -> None:
    (no_token / "gitlab_token").write_bytes(b"\xef\xbb\xbfcanary\r\n")

    assert settings.load(WorkerSettings).gitlab_token.get_secret_value() == "canary"


@pytest.mark.parametrize("text", ["canary\nother", "canary\u200b", "canary\u00e9", "c\x00anary"])
def test_a_token_that_no_header_can_hold_is_refused_at_start_and_not_shown(no_token: Path, text: str) -> None:
    (no_token / "gitlab_token").write_text(text, encoding="utf-8")

    with pytest.raises(SettingsError) as refused:
        settings.load(WorkerSettings)

    (problem,) = refused.value.problems
    assert problem.startswith("GITLAB_TOKEN: holds a line break or another character that no header can carry")
    assert "canary" not in problem


def test_the_environment_wins_over_a_file(secrets: Path) -> None:
    (secrets / "gitlab_token").write_text("of the file")

    assert settings.load(WorkerSettings).gitlab_token.get_secret_value() == ENVIRONMENT["GITLAB_TOKEN"]


def test_a_setting_that_is_left_empty_in_env_comes_from_its_file(no_token: Path) -> None:
    Path(".env").write_text("GITLAB_TOKEN=\n")
    (no_token / "gitlab_token").write_text("canary")

    assert settings.load(WorkerSettings).gitlab_token.get_secret_value() == "canary"


def test_keys_in_a_file_are_separated_by_commas_as_elsewhere(secrets: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SECRET_KEYS")
    (secrets / "secret_keys").write_text(f"{NEW_KEY},{OLD_KEY}\n")

    assert [key.get_secret_value() for key in settings.load(WorkerSettings).secret_keys] == [
        NEW_KEY,
        OLD_KEY,
    ]


def test_an_empty_file_counts_as_not_set(no_token: Path) -> None:
    (no_token / "gitlab_token").write_text("\n")

    with pytest.raises(SettingsError) as refused:
        settings.load(WorkerSettings)

    assert [problem.partition(":")[0] for problem in refused.value.problems] == ["GITLAB_TOKEN is not set"]


def test_files_that_cannot_be_read_are_named_all_at_once_and_not_shown(
    secrets: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("GITLAB_TOKEN", "ARGO_TOKEN", "KIBANA_PWD", "SECRET_KEYS"):
        monkeypatch.delenv(name)
    (secrets / "gitlab_token").mkdir()
    (secrets / "argo_token").write_bytes(b"canary\xff")
    (secrets / "kibana_pwd").symlink_to("kibana_pwd")
    (secrets / "secret_keys").write_text("canary-too-short")

    with pytest.raises(SettingsError) as refused:
        settings.load(WorkerSettings)

    listed = "\n".join(sorted(refused.value.problems))
    assert listed == (
        "ARGOCD_TOKEN (or ARGO_TOKEN): its file in SECRETS_DIR cannot be read: it is not UTF-8\n"
        f"ELASTICSEARCH_PASSWORD (or KIBANA_PWD): its file in SECRETS_DIR cannot be read: {os.strerror(40)}\n"
        "GITLAB_TOKEN: its file in SECRETS_DIR cannot be read: Is a directory\n"
        "SECRET_KEYS: needs at least one key, each of 32 characters or more"
    )
    assert "canary" not in str(refused.value)


@pytest.mark.parametrize("place", ["nowhere", "file"])
def test_a_directory_that_is_none_is_a_problem(
    monkeypatch: pytest.MonkeyPatch, secrets: Path, tmp_path: Path, place: str
) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("SECRETS_DIR", str(tmp_path / place))

    with pytest.raises(SettingsError) as refused:
        settings.load(WorkerSettings)

    assert secrets.is_dir()
    assert refused.value.problems == ["SECRETS_DIR: is not a directory"]


@pytest.mark.parametrize("password", ["dry-dock", "p@ss:w/rd?#%;'\""])
def test_passwords_are_put_into_addresses_that_have_none(secrets: Path, password: str) -> None:
    from kombu.utils.url import parse_url
    from sqlalchemy import make_url

    (secrets / "db_password").write_text(password)
    (secrets / "redis_password").write_text(f"{password}2")

    config = settings.load(WorkerSettings)

    assert make_url(config.db_url.get_secret_value()).password == password
    assert parse_url(config.redis_url.get_secret_value())["password"] == f"{password}2"
    assert password not in repr(config)


@pytest.mark.parametrize(
    ("given", "made"),
    [
        ("redis://redis:6379/0", "redis://:canary@redis:6379/0"),
        ("rediss://slipway@redis/0?ssl_cert_reqs=required", "rediss://slipway:canary@redis/0?ssl_cert_reqs=required"),
        ("redis://:own@redis/0", "redis://:own@redis/0"),
        ("redis://a:6379/0;redis://:own@b/0", "redis://:canary@a:6379/0;redis://:own@b/0"),
    ],
)
def test_an_address_keeps_a_password_of_its_own(
    monkeypatch: pytest.MonkeyPatch, secrets: Path, given: str, made: str
) -> None:
    monkeypatch.setenv("REDIS_URL", given)
    (secrets / "redis_password").write_text("canary")

    assert settings.load(WorkerSettings).redis_url.get_secret_value() == made


@pytest.mark.parametrize(
    "address",
    ["sqlite:////tmp/slipway.db", "mysql+pymysql://slipway:own@db/slipway", "mysql+pymysql://localhost/slipway"],
)
def test_a_database_that_takes_none_gets_none(monkeypatch: pytest.MonkeyPatch, secrets: Path, address: str) -> None:
    monkeypatch.setenv("DB_URL", address)
    (secrets / "db_password").write_text("canary")

    assert settings.load(WorkerSettings).db_url.get_secret_value() == address


def test_a_broker_that_is_no_address_is_named_and_not_shown(monkeypatch: pytest.MonkeyPatch, secrets: Path) -> None:
    monkeypatch.setenv("REDIS_URL", "redis://[canary")
    (secrets / "redis_password").write_text("secret")

    with pytest.raises(SettingsError) as refused:
        settings.load(WorkerSettings)

    assert refused.value.problems == ["REDIS_URL: is not an address: in a password, write # as %23, / as %2F, [ as %5B"]


@pytest.mark.parametrize("name", ["argocd_token", "argo_token"])
def test_a_renamed_setting_is_read_from_a_file_of_either_name(
    secrets: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.delenv("ARGO_TOKEN")
    (secrets / name).write_text("canary\n")

    assert settings.load(WorkerSettings).argocd_token.get_secret_value() == "canary"


def test_files_of_both_names_that_differ_are_a_problem_that_names_both(
    secrets: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("ARGO_TOKEN")
    for name in ("argocd_token", "argo_token"):
        (secrets / name).write_text(f"canary of {name}")

    with pytest.raises(SettingsError) as refused:
        settings.load(WorkerSettings)

    assert refused.value.problems == [
        "ARGOCD_TOKEN (or ARGO_TOKEN): ARGO_TOKEN has another value: remove one of the two"
    ]
