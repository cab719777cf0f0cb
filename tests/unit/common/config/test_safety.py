"""Settings that would work and are unsafe are refused at start by name, each unless its own switch accepts it."""

from __future__ import annotations

import os
import secrets
import ssl
from collections.abc import Callable, Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import certifi
import pymysql
import pytest
from sqlalchemy import create_engine, make_url
from support.settings import NAMES

from common.config import exposed_files, safety, settings
from common.config.settings import CommonSettings, FlowerSettings, Settings, SettingsError, WorkerSettings

Load = Callable[..., Any]
Kind = type[CommonSettings]
KEY = secrets.token_urlsafe(32)
BUNDLE = certifi.where()
SAFE = {
    "DB_URL": f"mysql+pymysql://slipway:sea-worthy-hull@db.example.com/slipway?ssl_ca={BUNDLE}",
    "REDIS_URL": "rediss://:deep-water-port@redis.example.com:6379/0",
    "SECRET_KEYS": KEY,
    "METRICS_TOKEN": secrets.token_urlsafe(32),
    "GITLAB_URL": "https://gitlab.example.com",
    "JENKINS_URL": "https://jenkins.example.com",
    "ARGO_URL": "https://argo.example.com",
    "KIBANA_URL": "https://elastic.example.com:9200",
    "GITLAB_EXT_URL": "https://gitlab.example.com",
    "GITLAB_TOKEN": "glpat-Xq3_v7Lm2ZkT",
    "JENKINS_AUTH_ID": "provisioner",
    "JENKINS_AUTH_TOKEN": "11d0c8e5b7f2a94631",
    "ARGO_TOKEN": "eyJhbGciOiJIUzI1NiJ9.made.up",
    "KIBANA_USER": "keeper",
    "KIBANA_PWD": "four winds, one anchor",
    "CONTAINER_REPOSITORY_IMAGE_NAME": "registry.example.com/apps",
    "FLOWER_BASIC_AUTH": "operator:nine-knots-by-night",
}
WEBHOOKS = {
    "WEBHOOK_URLS": "https://ops.example.com/slipway?key=canary",
    "WEBHOOK_SECRET": secrets.token_urlsafe(32),
    "NOTIFY_EVENTS": "job.failed,upstream.down",
}
DATABASE = "mysql+pymysql://u:sea-worthy-hull@db.example.com/s"
BROKER = "rediss://:deep-water-port@redis.example.com/0"
VERIFIED = f"ssl_ca={BUNDLE}&ssl_check_hostname=true"
UNVERIFIED = (
    "ssl_verify_cert=true",
    "ssl_verify_identity=true",
    "ssl_check_hostname=true",
    f"ssl_ca={BUNDLE}&ssl_check_hostname=false",
    f"ssl_ca={BUNDLE}&ssl_verify_cert=true",
    f"ssl_ca={BUNDLE}&ssl_verify_identity=true",
)
NO_LIMIT = dict.fromkeys(map(str.upper, safety.LIMITS), "0")
MAIL = {
    "SIGNUP_CONFIRMATION": "true",
    "SMTP_HOST": "mail.example.com",
    "SMTP_FROM": "slipway@example.com",
    "SLIPWAY_EXT_URL": "https://slipway.example.com",
}
SENTINELS = {"REDIS_SENTINEL_MASTER": "mymaster"}


@pytest.fixture
def load(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Load:
    """Return a function that reads settings that are safe but for what it is given."""
    monkeypatch.chdir(tmp_path)
    for name in NAMES:
        monkeypatch.delenv(name.upper(), raising=False)

    def load_with(kind: Kind, changes: Mapping[str, str]) -> CommonSettings:
        for name, value in {**SAFE, **changes}.items():
            monkeypatch.setenv(name, value)
        return settings.load(kind)

    return load_with


def _problems(load: Load, kind: Kind, changes: Mapping[str, str]) -> list[str]:
    with pytest.raises(SettingsError) as refused:
        load(kind, changes)
    return refused.value.problems


@pytest.mark.parametrize("kind", [FlowerSettings, Settings, WorkerSettings])
def test_settings_of_a_careful_operator_are_taken(load: Load, kind: Kind) -> None:
    assert load(kind, MAIL)


def test_a_mail_server_of_this_machine_needs_no_tls(load: Load) -> None:
    assert load(WorkerSettings, {**MAIL, "SMTP_HOST": "127.0.0.1", "SMTP_TLS": "none"})


@pytest.mark.parametrize(
    ("name", "changes", "switch"),
    [
        ("GITLAB_URL", {"GITLAB_URL": "http://gitlab.example.com"}, "ALLOW_PLAIN_UPSTREAMS"),
        ("JENKINS_URL", {"JENKINS_URL": "http://jenkins.example.com"}, "ALLOW_PLAIN_UPSTREAMS"),
        ("ARGOCD_URL", {"ARGO_URL": "http://10.0.0.7"}, "ALLOW_PLAIN_UPSTREAMS"),
        ("ELASTICSEARCH_URL", {"KIBANA_URL": "http://elastic:9200"}, "ALLOW_PLAIN_UPSTREAMS"),
        ("REDIS_URL", {"REDIS_URL": "redis://:deep-water-port@redis.example.com/0"}, "ALLOW_PLAIN_BROKER"),
        ("REDIS_URL", {"REDIS_URL": "rediss://:deep-water-port@redis/0?ssl_cert_reqs=none"}, "ALLOW_PLAIN_BROKER"),
        ("REDIS_URL", {"REDIS_URL": "rediss://:deep-water-port@redis/0?ssl_cert_reqs=CERT_NONE"}, "ALLOW_PLAIN_BROKER"),
        ("REDIS_URL", {"REDIS_URL": f"{BROKER}?ssl_check_hostname=false"}, "ALLOW_PLAIN_BROKER"),
        ("REDIS_URL", {"REDIS_URL": f"{BROKER}?ssl_check_hostname=False"}, "ALLOW_PLAIN_BROKER"),
        (
            "REDIS_URL",
            {"REDIS_URL": "redis://127.0.0.1/0;redis://:deep-water-port@b.example.com/0"},
            "ALLOW_PLAIN_BROKER",
        ),
        ("REDIS_URL", {**SENTINELS, "REDIS_URL": "sentinel://:deep-water-port@s.example.com/0"}, "ALLOW_PLAIN_BROKER"),
        ("DB_URL", {"DB_URL": "mysql+pymysql://u:sea-worthy-hull@db.example.com/s"}, "ALLOW_PLAIN_DATABASE"),
        (
            "DB_URL",
            {"DB_URL": f"mysql+pymysql://u:sea-worthy-hull@db.example.com/s?ssl_ca={BUNDLE}&ssl_disabled=true"},
            "ALLOW_PLAIN_DATABASE",
        ),
        *(("DB_URL", {"DB_URL": f"{DATABASE}?{query}"}, "ALLOW_PLAIN_DATABASE") for query in UNVERIFIED),
        ("COOKIE_SECURE", {"COOKIE_SECURE": "false"}, "ALLOW_INSECURE_COOKIE"),
        (
            "COOKIE_SECURE",
            {"COOKIE_SECURE": "false", "GITLAB_EXT_URL": "", "TRUSTED_HOSTS": "slipway.example.com"},
            "ALLOW_INSECURE_COOKIE",
        ),
        (
            "COOKIE_SECURE",
            {"COOKIE_SECURE": "false", "GITLAB_EXT_URL": "", "CORS_ORIGINS": "https://portal.example.com"},
            "ALLOW_INSECURE_COOKIE",
        ),
        ("LOGIN_FAILURES_PER_ACCOUNT_AND_ADDRESS", NO_LIMIT, "ALLOW_UNLIMITED_ATTEMPTS"),
        ("SMTP_TLS", {**MAIL, "SMTP_TLS": "none"}, "ALLOW_PLAIN_MAIL"),
        ("SLIPWAY_EXT_URL", {**MAIL, "SLIPWAY_EXT_URL": "http://slipway.example.com"}, "ALLOW_PLAIN_MAIL"),
        (
            "OTEL_EXPORTER_OTLP_ENDPOINT",
            {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://collector:4318"},
            "ALLOW_PLAIN_TRACES",
        ),
        ("WEBHOOK_URLS", {**WEBHOOKS, "WEBHOOK_URLS": "https://a.example.com, http://b/x"}, "ALLOW_PLAIN_WEBHOOKS"),
        ("HEARTBEAT_URL", {"HEARTBEAT_URL": "http://monitor.example.com/ping"}, "ALLOW_PLAIN_WEBHOOKS"),
    ],
)
def test_a_risk_is_refused_unless_its_own_switch_accepts_it(
    load: Load, name: str, changes: Mapping[str, str], switch: str
) -> None:
    (problem,) = _problems(load, WorkerSettings, changes)

    assert problem.startswith(name)
    assert problem.endswith(f"or set {switch}=true to accept it")
    config = load(WorkerSettings, {**changes, switch: "true"})
    assert [risk.setting.partition(" ")[0] for risk in safety.accepted(config)] == [name]


@pytest.mark.parametrize(
    ("name", "changes"),
    [
        ("SECRET_KEYS", {"SECRET_KEYS": "a" * 32}),
        ("SECRET_KEYS", {"SECRET_KEYS": f"{KEY},{'ab' * 16}"}),
        ("SECRET_KEYS", {"SECRET_KEYS": "change-me-change-me-change-me-change-me"}),
        ("SECRET_KEYS", {"SECRET_KEYS": "0123456789abcdef0123456789abcdef"}),
        ("SECRET_KEYS", {"SECRET_KEYS": "fedcba98765432fedcba98765432fedcba98765432"}),
        ("SECRET_KEYS", {"SECRET_KEYS": "This-Is_An-Example Key For Documents"}),
        ("METRICS_TOKEN", {"METRICS_TOKEN": "m" * 16}),
        ("METRICS_TOKEN", {"METRICS_TOKEN": "replace-me-please"}),
        ("GITLAB_TOKEN", {"GITLAB_TOKEN": "glpat-xxxxxxxxxxxxxxxxxxxx"}),
        ("GITLAB_TOKEN", {"GITLAB_TOKEN": "YOUR_TOKEN"}),
        ("JENKINS_AUTH_TOKEN", {"JENKINS_AUTH_TOKEN": "placeholder"}),
        ("ARGOCD_TOKEN", {"ARGO_TOKEN": "changeme"}),
        ("ARGOCD_TOKEN", {"ARGO_TOKEN": "Bearer change-me"}),
        ("ELASTICSEARCH_PASSWORD", {"KIBANA_PWD": "changeme"}),
        ("ELASTICSEARCH_PASSWORD", {"KIBANA_PWD": "password"}),
        ("REDIS_URL", {"REDIS_URL": "rediss://:changeme@redis.example.com/0"}),
        ("REDIS_URL", {"REDIS_URL": "rediss://redis.example.com:6379/0"}),
        ("DB_URL", {"DB_URL": f"mysql+pymysql://root@db.example.com/s?ssl_ca={BUNDLE}"}),
        ("DB_URL", {"DB_URL": f"mysql+pymysql://root:root@db.example.com/s?ssl_ca={BUNDLE}"}),
        ("METRICS_TOKEN", {"METRICS_TOKEN": KEY}),
        ("GITLAB_READ_TOKEN", {"GITLAB_READ_TOKEN": SAFE["GITLAB_TOKEN"], "GITLAB_READ_USER": "cloner"}),
        ("REDIS_URL", {"REDIS_URL": "rediss://:sea-worthy-hull@redis.example.com/0"}),
        ("WEBHOOK_SECRET", {**WEBHOOKS, "WEBHOOK_SECRET": "ab" * 16}),
        ("WEBHOOK_SECRET", {**WEBHOOKS, "WEBHOOK_SECRET": ""}),
        ("NOTIFY_EVENTS", {**WEBHOOKS, "NOTIFY_EVENTS": ""}),
        ("WEBHOOK_URLS", {**WEBHOOKS, "WEBHOOK_URLS": ""}),
    ],
)
def test_a_secret_that_protects_nothing_is_refused_and_no_switch_accepts_it(
    load: Load, name: str, changes: Mapping[str, str]
) -> None:
    (problem,) = _problems(load, WorkerSettings, changes)

    assert name in problem
    assert "ALLOW_" not in problem
    assert not [value for value in changes.values() if value and value in problem]


@pytest.mark.parametrize(
    "logins",
    ["admin:admin", "operator:short", "a:nine-knots-by-night,b:password1234", "operator:aaaaaaaaaaaaaaaa",
     "operator:operator2026", "operator:changeme-changeme"],
)  # fmt: skip
def test_a_weak_password_of_flower_is_refused(load: Load, logins: str) -> None:
    (problem,) = _problems(load, FlowerSettings, {"FLOWER_BASIC_AUTH": logins})

    assert problem.startswith("FLOWER_BASIC_AUTH: ")
    assert logins.partition(":")[2] not in problem


@pytest.mark.parametrize(
    "changes",
    [
        {"REDIS_URL": "redis://127.0.0.1:6379/0"},
        {"REDIS_URL": "redis://:deep-water-port@localhost:6379/0"},
        {"REDIS_URL": f"rediss://redis.example.com/0?ssl_certfile={BUNDLE}"},
        {"DB_URL": "sqlite:////tmp/slipway.db"},
        {"DB_URL": "mysql+pymysql://root@127.0.0.1/slipway"},
        {"DB_URL": "mysql+pymysql://root@localhost/slipway?unix_socket=/run/mysqld/mysqld.sock"},
        {"DB_URL": f"{DATABASE}?{VERIFIED}"},
        {"REDIS_URL": f"{BROKER}?ssl_check_hostname=true"},
        {"GITLAB_URL": "http://127.0.0.1:18080", "JENKINS_URL": "http://[::1]:18081"},
        {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://localhost:4318"},
        {"COOKIE_SECURE": "false", "GITLAB_EXT_URL": "", "CORS_ORIGINS": "http://localhost:3000"},
        {**NO_LIMIT, "SIGNUPS_PER_NAME": "5"},
        {"REDIS_SENTINEL_PASSWORD": "deep-water-port", **SENTINELS,
         "REDIS_URL": "sentinels://:deep-water-port@s.example.com/0"},
        {"DB_PASSWORD": "sea-worthy-hull", "DB_URL": f"mysql+pymysql://slipway@db.example.com/s?ssl_ca={BUNDLE}"},
    ],
)  # fmt: skip
def test_what_stays_on_this_machine_or_is_protected_otherwise_is_taken(load: Load, changes: Mapping[str, str]) -> None:
    assert load(WorkerSettings, changes)


@pytest.mark.parametrize(("query", "is_verified"), [(VERIFIED, True), *((query, False) for query in UNVERIFIED)])
def test_the_driver_verifies_certificate_and_name_with_what_is_taken_alone(query: str, is_verified: bool) -> None:
    url = make_url(f"{DATABASE}?{query}")
    args, options = create_engine(url).dialect.create_connect_args(url)

    context = pymysql.Connection(*args, **{**options, "defer_connect": True}).ctx

    assert (context.check_hostname and context.verify_mode == ssl.CERT_REQUIRED) is is_verified


def test_every_risk_is_reported_at_once(load: Load) -> None:
    changes = {"GITLAB_URL": "http://gitlab", "REDIS_URL": "redis://redis", "DB_URL": "mysql+pymysql://root@db/s",
               "COOKIE_SECURE": "false", "ARGO_TOKEN": "changeme", **NO_LIMIT}  # fmt: skip

    assert len(_problems(load, WorkerSettings, changes)) == 8


@pytest.mark.parametrize("place", [".env", "var/embedded.env", "secrets/gitlab_token", "catalog.toml", "ca.pem"])
def test_a_file_that_anybody_may_write_is_refused(
    load: Load, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, place: str
) -> None:
    file = tmp_path / place
    file.parent.mkdir(exist_ok=True)
    (tmp_path / "secrets").mkdir(exist_ok=True)
    file.write_bytes(Path(BUNDLE).read_bytes() if place == "ca.pem" else b"")
    file.chmod(0o666)
    changes = {
        "SECRETS_DIR": "secrets",
        **({"CATALOG_FILE": place} if place == "catalog.toml" else {}),
        **({"CA_FILE": place} if place == "ca.pem" else {}),
    }

    (problem,) = _problems(load, WorkerSettings, changes)

    assert f"every user of this machine may write it: chmod o-w {place}" in problem
    assert load(WorkerSettings, {**changes, "ALLOW_WRITABLE_FILES": "true"})
    monkeypatch.delenv("ALLOW_WRITABLE_FILES")
    file.chmod(0o664)
    assert load(WorkerSettings, changes)


def test_on_a_read_only_mount_nobody_writes_a_file_whatever_its_mode(
    load: Load, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = tmp_path / "secrets"
    place.mkdir()
    (place / "gitlab_token").touch()
    for path in (place, place / "gitlab_token"):
        path.chmod(0o777)  # as Docker on Windows mounts it
    monkeypatch.setattr(os, "statvfs", lambda _path: SimpleNamespace(f_flag=os.ST_RDONLY))

    assert load(WorkerSettings, {"SECRETS_DIR": str(place)})


def test_a_directory_of_secrets_in_which_anybody_may_put_files_is_refused(load: Load, tmp_path: Path) -> None:
    place = tmp_path / "secrets"
    place.mkdir()
    place.chmod(0o777)

    (problem,) = _problems(load, WorkerSettings, {"SECRETS_DIR": str(place)})

    assert problem.startswith("SECRETS_DIR: ")
    place.chmod(0o1777)  # as Kubernetes mounts it
    assert load(WorkerSettings, {"SECRETS_DIR": str(place)})


def test_secrets_that_others_can_read_are_known(load: Load, tmp_path: Path) -> None:
    place = tmp_path / "secrets"
    place.mkdir()
    for name, mode in {"gitlab_token": 0o644, "argo_token": 0o600, "unrelated": 0o644}.items():
        (place / name).write_text("glpat-Xq3_v7Lm2ZkU")
        (place / name).chmod(mode)
    config = load(WorkerSettings, {"SECRETS_DIR": str(place)})

    assert [os.path.relpath(file, tmp_path) for file in exposed_files.readable_by_others(config)] == [
        "secrets/gitlab_token"
    ]
    place.chmod(0o700)
    assert exposed_files.readable_by_others(config) == []
