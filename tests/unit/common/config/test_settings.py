"""Settings are read once, all that is wrong is said at once, and no value is ever shown."""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import certifi
import pytest
from pymysql.connections import Connection
from sqlalchemy import make_url
from support.api import ENVIRONMENT
from support.checkout import ROOT
from support.settings import EVERY, NAMES

from common.config import catalog, settings
from common.config.database_url import ARGUMENTS
from common.config.renamed import FORMER_NAMES
from common.config.settings import CommonSettings, FlowerSettings, Settings, SettingsError, WorkerSettings
from common.config.upstreams import Route, route_to
from common.workflows import Upstream
from stack.embedded import LIMITS

Load = Callable[..., Any]
Kind = type[CommonSettings]
GOOD = {**ENVIRONMENT, "DB_URL": "sqlite:////tmp/slipway.db", "ALLOW_PLAIN_DATABASE": "true"}
NEW_KEY, OLD_KEY = "n-9Qv2Xz7Lk4Wm1Rt8Yb5Hc3Jd6Gf0Ps", "o-4Tz8Bn1Kw6Vq3Xm7Rc2Ly9Hd5Jf0Gs"
KINDS = (FlowerSettings, Settings, WorkerSettings)
SECRETS = {name for name, field in EVERY.items() if "Secret" in str(field.annotation)}
EXAMPLE = re.compile(r"^# (?P<text>[^\n]+)\n(?P<required># required\n)?(?:# )?(?P<name>[A-Z_]+)=(?P<value>.*)$", re.M)


@pytest.fixture
def load(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Load:
    """Return a function that reads settings out of nothing but what it is given."""
    monkeypatch.chdir(tmp_path)  # no .env here
    for name in NAMES:
        monkeypatch.delenv(name.upper(), raising=False)

    def load_from(kind: Kind = WorkerSettings, /, **environment: str) -> CommonSettings:
        for name, value in environment.items():
            monkeypatch.setenv(name, value)
        return settings.load(kind)

    return load_from


def _problems(load: Load, kind: Kind = WorkerSettings, /, **changes: str) -> list[str]:
    with pytest.raises(SettingsError) as refused:
        load(kind, **{**GOOD, **changes})
    return refused.value.problems


def test_a_whole_environment_is_read(load: Load) -> None:
    config = load(**GOOD, TRUSTED_HOSTS="slipway.example.com, localhost")

    assert config.gitlab_token.get_secret_value() == "canary-gitlab-token"
    assert config.trusted_hosts == ("slipway.example.com", "localhost")
    assert config.cookie_secure is False


@pytest.mark.parametrize("kind", KINDS)
def test_nothing_set_names_everything_that_is_required(load: Load, kind: Kind) -> None:
    with pytest.raises(SettingsError) as refused:
        load(kind)

    required = [name.upper() for name, field in kind.model_fields.items() if field.is_required()]
    assert [problem.split()[0] for problem in refused.value.problems] == required
    assert "make up" in str(refused.value)


def test_each_process_reads_the_secrets_it_needs_and_no_others() -> None:
    read = {kind: {name for name in kind.model_fields if name in SECRETS} for kind in KINDS}
    broker = {"redis_password", "redis_sentinel_password", "redis_url"}
    own = {"db_password", "db_url", "secret_keys", "metrics_token"}

    assert read[FlowerSettings] == {*broker, "flower_basic_auth"}
    assert read[Settings] == broker | own
    assert read[WorkerSettings] == SECRETS - {"flower_basic_auth"}


def test_all_problems_are_reported_at_once_by_name_and_without_values(load: Load) -> None:
    wrong = {
        "DB_URL": "postgresql://canary:canary@db/slipway",
        "REDIS_URL": "amqp://canary:canary@broker",
        "SECRET_KEYS": "canary-too-short",
        "GITLAB_URL": "https://canary:canary@gitlab.example.com",
        "JENKINS_URL": "canary",
        "ARGOCD_URL": "https://argo.example.com:canary",
        "WORKER_CONCURRENCY": "canary",
        "COOKIE_SECURE": "canary",
        "LOG_FORMAT": "canary",
    }

    problems = _problems(load, **wrong, ARGO_URL="", KIBANA_PWD="")

    assert {problem.split()[0].rstrip(":") for problem in problems} == {*wrong, "ELASTICSEARCH_PASSWORD"}
    assert "canary" not in " ".join(problems)


@pytest.mark.parametrize(
    "url",
    [
        "gitlab.example.com",
        "ftp://gitlab.example.com",
        "http://",
        "https:///path",
        "http://git lab",
        "http://[::1",
        "http://gitlab:99999",
        "http://gitlab/?a=b",
        "http://gitlab/#a",
        "http://user@gitlab",
    ],
)
def test_an_address_that_cannot_work_is_refused_at_start(load: Load, url: str) -> None:
    (problem,) = _problems(load, GITLAB_URL=url)

    assert problem.startswith("GITLAB_URL: ")


@pytest.mark.parametrize(
    "url",
    ["", "slipway.db", "sqlite://", "sqlite:///:memory:", "mysql://root@db/slipway", "mysql+pymysql://root@db", "mysql+pymysql://u:p@db:port/x",
     "mysql+pymysql://u:p@db:99999/x", "mysql+pymysql://u:p@db:0/x", "sqlite:////tmp/x.db?timeout=1"],
)  # fmt: skip
def test_a_database_that_cannot_work_is_refused_at_start(load: Load, url: str) -> None:
    (problem,) = _problems(load, DB_URL=url)

    assert problem.startswith("DB_URL")


@pytest.mark.parametrize(
    ("argument", "said"),
    [
        ("ssl_mode=REQUIRED", "ssl_ca="),
        ("sslMode=VERIFY_CA", "ssl_ca="),
        ("useSSL=true", "ssl_ca="),
        ("ssl=true", "ssl_ca="),
        ("ssl_ca=/nope/canary.pem", "a file that exists for ssl_ca="),
        ("ssl_ca=", "a file that exists for ssl_ca="),
        ("ssl_disabled=false", "true, or left out"),  # the driver takes any text for true
        ("ssl_verify_cert=false", "true, or left out"),
        ("ssl_check_hostname=no", "true or false"),
        ("charset=latin1", "utf8mb4"),
        ("charset=utf8mb4&charset=utf8", "utf8mb4"),
        ("connect_timeout=canary", "none of charset"),
        ("init_command=canary", "none of charset"),
        ("canary@db/slipway", "a ? in a password is written %3F"),
    ],
)
def test_an_argument_that_the_database_driver_misunderstands_is_refused_at_start(
    load: Load, argument: str, said: str
) -> None:
    (problem,) = _problems(load, DB_URL=f"mysql+pymysql://u:canary@db/slipway?{argument}")

    assert problem.startswith("DB_URL: ")
    assert said in problem
    assert "canary" not in problem


def test_every_argument_of_a_database_that_is_taken_can_be_connected_with(load: Load, tmp_path: Path) -> None:
    file = tmp_path / "ca.pem"
    file.write_text("of the driver's own check")
    texts = {"utf8mb4": "utf8mb4", "a file that exists": file, "a path": file}
    arguments = "&".join(f"{name}={texts.get(wanted, 'true')}" for name, (wanted, _) in ARGUMENTS.items())

    url = make_url(load(**{**GOOD, "DB_URL": f"mysql+pymysql://u:p@db/slipway?{arguments}"}).db_url.get_secret_value())

    _, given = url.get_dialect()().create_connect_args(url)
    assert set(given) <= set(inspect.signature(Connection.__init__).parameters)


@pytest.mark.parametrize("url", ["mysql+pymysql://u:p@db/slipway", "mariadb+pymysql://u:p@db/slipway?charset=utf8mb4"])
def test_databases_of_a_server_are_taken(load: Load, url: str) -> None:
    assert load(**{**GOOD, "DB_URL": url}).db_url.get_secret_value() == url


@pytest.mark.parametrize(
    ("name", "url", "said"),
    [
        ("GITLAB_URL", "https://gitlab.example.com/api/v4", "leave out /api/v4"),
        ("GITLAB_URL", "https://example.com/gitlab/api/v4/", "leave out /api/v4"),
        ("GITLAB_EXT_URL", "https://gitlab.example.com/api/graphql", "leave out /api/graphql"),
        ("ARGOCD_URL", "https://argocd.example.com/api/v1", "leave out /api/v1"),
        ("JENKINS_URL", "https://jenkins.example.com/api/json", "leave out /api/json"),
        ("KIBANA_URL", "https://kibana.example.com:5601", "5601 is Kibana's"),
    ],
)
def test_an_address_that_other_tools_want_is_refused_at_start(load: Load, name: str, url: str, said: str) -> None:
    environment = {key: value for key, value in GOOD.items() if key not in ("ARGO_URL", "ELASTICSEARCH_URL")}
    with pytest.raises(SettingsError) as refused:
        load(**{**environment, name: url})

    assert said in " ".join(refused.value.problems)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("encoding", ["utf-16", "latin-1"])
def test_a_file_of_settings_in_another_encoding_is_named(load: Load, kind: Kind, encoding: str) -> None:
    Path(".env").write_text("GITLAB_TOKEN=canary-ü\n", encoding=encoding)

    assert _problems(load, kind) == [".env is not UTF-8: save it as UTF-8"]


@pytest.mark.parametrize("keys", [",", "short", f"{NEW_KEY},short"])
def test_every_key_must_be_long(load: Load, keys: str) -> None:
    (problem,) = _problems(load, SECRET_KEYS=keys)

    assert problem.startswith("SECRET_KEYS: ")


def test_keys_are_separated_by_commas_newest_first(load: Load) -> None:
    config = load(**{**GOOD, "SECRET_KEYS": f"{NEW_KEY}, {OLD_KEY}"})

    assert [key.get_secret_value() for key in config.secret_keys] == [NEW_KEY, OLD_KEY]


def test_addresses_and_tokens_lose_what_a_file_puts_around_them(load: Load) -> None:
    config = load(**{**GOOD, "GITLAB_URL": " https://gitlab.example.com/base/ ", "GITLAB_TOKEN": "canary\n"})

    assert config.gitlab_url == "https://gitlab.example.com/base"
    assert config.gitlab_token.get_secret_value() == "canary"


def test_settings_show_no_secret(load: Load) -> None:
    shown = repr(load(**GOOD))

    assert "canary" not in shown
    assert ENVIRONMENT["SECRET_KEYS"] not in shown


def test_the_environment_wins_over_the_file_and_the_file_over_the_embedded_stack(load: Load, tmp_path: Path) -> None:
    (tmp_path / "var").mkdir()
    (tmp_path / "var/embedded.env").write_text("KIBANA_USER=embedded\nARGO_EXT_URL=https://embedded\n")
    (tmp_path / ".env").write_text("KIBANA_USER=file\nARGO_EXT_URL=https://file\nGITLAB_EXT_URL=https://file\n")

    config = load(**{**GOOD, "GITLAB_EXT_URL": "https://environment"})

    assert config.gitlab_ext_url == "https://environment"
    assert config.argocd_ext_url == "https://file"


@pytest.mark.parametrize("content", ["not toml =", "[teams.dev]\ntitle = 'Development'\n"])
def test_a_catalog_that_does_not_hold_together_is_a_problem_of_the_settings(
    load: Load, content: str, tmp_path: Path
) -> None:
    (tmp_path / "catalog.toml").write_text(content)

    with pytest.raises(SettingsError, match="CATALOG_FILE"):
        catalog.load(load(**GOOD, CATALOG_FILE="catalog.toml"))


def test_a_catalog_that_is_not_there_is_a_problem_of_the_settings(load: Load) -> None:
    with pytest.raises(SettingsError, match="CATALOG_FILE cannot be read"):
        catalog.load(load(**GOOD, CATALOG_FILE="nowhere.toml"))


@pytest.mark.parametrize("name", ["CA_FILE", "GITLAB_CA_FILE", "ARGO_CA_FILE", "KIBANA_CA_FILE", "JENKINS_CA_FILE"])
@pytest.mark.parametrize(
    ("content", "why"), [(None, "cannot be read: No such file"), (b"no certificate", "holds no certificate in PEM")]
)
def test_a_bundle_of_certificates_is_read_at_start(
    load: Load, tmp_path: Path, name: str, content: bytes | None, why: str
) -> None:
    file = tmp_path / "bundle.pem"
    if content is not None:
        file.write_bytes(content)

    (problem,) = _problems(load, **{name: str(file)})

    assert name in problem
    assert why in problem
    file.write_bytes(Path(certifi.where()).read_bytes())
    assert load(**GOOD, **{name: str(file)})


def test_an_upstream_has_its_own_proxy_and_bundle_or_the_one_for_all(load: Load, tmp_path: Path) -> None:
    own, for_all = tmp_path / "own.pem", tmp_path / "all.pem"
    for file in (own, for_all):
        file.write_bytes(Path(certifi.where()).read_bytes())

    loaded = load(**GOOD, CA_FILE=str(for_all), GITLAB_CA_FILE=str(own), JENKINS_PROXY="http://proxy:3128")

    assert route_to(loaded, Upstream.GITLAB) == Route(proxy=None, ca_file=str(own))
    assert route_to(loaded, Upstream.JENKINS) == Route(proxy="http://proxy:3128", ca_file=str(for_all))


@pytest.mark.parametrize("origin", ["https://portal.example.com", "http://localhost:3000", "http://[::1]:8080"])
def test_origins_are_taken_as_browsers_send_them(load: Load, origin: str) -> None:
    config = load(**GOOD, CORS_ORIGINS=f"{origin}, https://b.example.com")

    assert config.cors_origins == (origin, "https://b.example.com")


@pytest.mark.parametrize(
    "origin",
    ["*", "null", "portal.example.com", "https://*.example.com", "https://portal.example.com/", "https://a.example/b",
     "https://Portal.example.com", "https://a.example:443", "http://a.example:80", "https://a.example:",
     "ftp://a.example", "https://user@a.example", "https://a.example?b", "https://pörtal.example", "https://"],
)  # fmt: skip
def test_an_origin_that_no_browser_would_send_is_refused_at_start(load: Load, origin: str) -> None:
    (problem,) = _problems(load, CORS_ORIGINS=f"https://a.example.com,{origin}")

    assert problem.startswith("CORS_ORIGINS.1: ")


@pytest.mark.parametrize("name", ["LOGIN_FAILURES_PER_ACCOUNT", "SIGNUPS_PER_ADDRESS", "PROXY_COUNT"])
def test_a_number_below_nothing_is_refused_at_start(load: Load, name: str) -> None:
    (problem,) = _problems(load, **{name: "-1"})

    assert problem.startswith(f"{name}: ")


def test_the_embedded_stack_and_the_tests_lift_every_limit() -> None:
    limits = {name.upper() for name in EVERY if name.startswith(("login_failures", "signups"))}

    assert set(LIMITS) == limits
    assert {ENVIRONMENT[name] for name in limits} == {"0"}


@pytest.mark.parametrize("logins", ["operator", "operator:", ":password", "a:b,", "a:b,operator"])
def test_a_login_of_flower_without_its_password_is_refused_at_start(load: Load, logins: str) -> None:
    (problem,) = _problems(load, FlowerSettings, FLOWER_BASIC_AUTH=logins)

    assert problem.startswith("FLOWER_BASIC_AUTH: ")


def _example_name(name: str) -> str:
    """Return the name that the example shows: the former one, which every version reads."""
    return FORMER_NAMES.get(name, name).upper()


def _examples() -> list[dict[str, Any]]:
    text = (ROOT / ".env.example").read_text(encoding="utf-8")
    return [match.groupdict() for match in EXAMPLE.finditer(text)]


def test_the_example_names_every_setting_once() -> None:
    assert sorted(shown["name"] for shown in _examples()) == sorted(map(_example_name, EVERY))


@pytest.mark.parametrize("name", EVERY)
def test_the_example_says_of_each_setting_what_it_is(name: str) -> None:
    field, (shown,) = EVERY[name], [each for each in _examples() if each["name"] == _example_name(name)]
    default = "" if field.is_required() or field.default in (None, ()) else str(field.default)

    assert shown["text"] == field.description
    assert bool(shown["required"]) == field.is_required()
    assert shown["value"].lower() == default.lower()


def test_the_example_as_it_stands_sets_nothing(load: Load, tmp_path: Path) -> None:
    (tmp_path / ".env").write_text((ROOT / ".env.example").read_text(encoding="utf-8"), encoding="utf-8")

    with pytest.raises(SettingsError) as refused:
        load()

    assert len(refused.value.problems) == sum(field.is_required() for field in WorkerSettings.model_fields.values())


def test_a_read_token_without_its_user_is_named(load: Load) -> None:
    assert _problems(load, GITLAB_READ_TOKEN="made-up-token") == ["GITLAB_READ_TOKEN: needs GITLAB_READ_USER beside it"]


def test_confirmations_need_a_mail_server_a_sender_and_our_address(load: Load) -> None:
    problems = _problems(load, SIGNUP_CONFIRMATION="true")

    assert [problem.partition(":")[0] for problem in problems] == ["SMTP_HOST", "SMTP_FROM", "SLIPWAY_EXT_URL"]
    assert load(Settings, SIGNUP_CONFIRMATION="true"), "the API sends none"


@pytest.mark.parametrize("sender", ["Slipway <slipway@example.com>", "slipway", "a@b.example\r\nBcc: c@d.example"])
def test_a_sender_that_is_no_address_alone_is_refused(load: Load, sender: str) -> None:
    (problem,) = _problems(load, SMTP_FROM=sender)

    assert problem == "SMTP_FROM: must be an e-mail address alone: slipway@example.com"


def test_a_password_of_the_mail_server_without_its_login_is_named(load: Load) -> None:
    assert _problems(load, SMTP_PASSWORD="made-up-word") == ["SMTP_PASSWORD: needs SMTP_USER beside it"]


def test_a_token_of_the_metrics_that_can_be_guessed_is_refused(load: Load) -> None:
    assert _problems(load, METRICS_TOKEN="prometheus") == ["METRICS_TOKEN: needs 16 characters or more"]


def test_metrics_of_workers_without_a_token_are_refused(load: Load) -> None:
    problems = _problems(load, METRICS_TOKEN="", WORKER_METRICS_PORT="9100")

    assert problems == ["WORKER_METRICS_PORT: needs METRICS_TOKEN beside it"]


def _one_of(load: Load, kind: Kind = WorkerSettings, **given: str) -> Any:
    """Read the settings where those given here are set and their other names are not."""
    names = {name.upper() for pair in FORMER_NAMES.items() for name in pair} if given else set()
    return load(kind, **{name: value for name, value in GOOD.items() if name not in names}, **given)


NEW = {new.upper(): GOOD.get(former.upper(), "8") for new, former in FORMER_NAMES.items()}
NEW |= {"ARGOCD_EXT_URL": "https://argo.example.com"}
NEW |= {f"{name}_PROXY": "http://proxy:3128" for name in ("ARGOCD", "ELASTICSEARCH")}
NEW |= {f"{name}_CA_FILE": certifi.where() for name in ("ARGOCD", "ELASTICSEARCH")}
FORMER = {FORMER_NAMES[name.lower()].upper(): value for name, value in NEW.items()}


def test_a_renamed_setting_is_read_under_either_name_and_means_the_same(load: Load, monkeypatch: Any) -> None:
    by_former = _one_of(load, **FORMER)
    for name in FORMER:
        monkeypatch.delenv(name)

    assert _one_of(load, **NEW) == by_former
    assert by_former.elasticsearch_password.get_secret_value() == GOOD["KIBANA_PWD"]
    assert by_former.argocd_ext_url == "https://argo.example.com"


def test_both_names_with_one_value_are_no_problem(load: Load) -> None:
    assert _one_of(load, **NEW, **FORMER).argocd_concurrency == 8


@pytest.mark.parametrize("new", FORMER_NAMES)
def test_both_names_with_different_values_are_one_problem_that_names_both(load: Load, new: str) -> None:
    name, former = new.upper(), FORMER_NAMES[new].upper()

    (problem,) = _problems(load, **{name: "canary-one", former: "canary-two"})

    assert problem == f"{name} (or {former}): {former} has another value: remove one of the two"


def test_both_names_in_one_file_with_different_values_are_a_problem(load: Load, tmp_path: Path) -> None:
    (tmp_path / ".env").write_text("ARGO_EXT_URL=https://a.example\nARGOCD_EXT_URL=https://b.example\n")

    (problem,) = _problems(load)

    assert problem.startswith("ARGOCD_EXT_URL (or ARGO_EXT_URL): ")


@pytest.mark.parametrize(("stronger", "weaker"), [("ARGO", "ARGOCD"), ("ARGOCD", "ARGO")])
def test_the_order_of_sources_decides_whichever_name_each_uses(
    load: Load, tmp_path: Path, stronger: str, weaker: str
) -> None:
    (tmp_path / "var").mkdir()
    (tmp_path / "var/embedded.env").write_text(f"{weaker}_EXT_URL=https://embedded\n{weaker}_CONCURRENCY=3\n")
    (tmp_path / ".env").write_text(f"{stronger}_EXT_URL=https://file\n{weaker}_CONCURRENCY=4\n")

    config = load(**GOOD, **{f"{stronger}_CONCURRENCY": "5"})

    assert config.argocd_ext_url == "https://file"
    assert config.argocd_concurrency == 5


def test_a_renamed_setting_that_is_missing_is_named_by_both_names(load: Load) -> None:
    (problem,) = _problems(load, ARGO_TOKEN="")

    assert problem.startswith("ARGOCD_TOKEN (or ARGO_TOKEN) is not set: ")


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("WEBHOOK_URLS", "ops.example.com/slipway"),
        ("WEBHOOK_URLS", "https://user:canary@ops.example.com"),
        ("WEBHOOK_URLS", "https://ops.example.com,ftp://ops.example.com"),
        ("HEARTBEAT_URL", "https://monitor.example.com/a b"),
        ("WEBHOOK_SECRET", "short"),
        ("WEBHOOK_SECRET", "whsec_c2hvcnQ="),
        ("WEBHOOK_SECRET", "whsec_no base64 though it is as long as any key"),
        ("WEBHOOK_NETWORKS", "this machine"),
        ("NOTIFY_EVENTS", "job.failed,job.lost"),
    ],
)
def test_a_setting_of_notifications_that_cannot_work_is_refused(load: Load, name: str, value: str) -> None:
    with pytest.raises(SettingsError) as refused:
        load(**{**GOOD, name: value})

    (problem,) = refused.value.problems
    assert problem.startswith(name)
    assert "canary" not in problem


def test_targets_and_keys_of_notifications_are_separated_by_commas(load: Load) -> None:
    config = load(
        **GOOD,
        WEBHOOK_URLS="https://a.example.com/x?key=1, https://b.example.com",
        WEBHOOK_SECRET=f"whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw,{NEW_KEY[::-1]}",
        NOTIFY_EVENTS="job.failed, upstream.down",
        WEBHOOK_NETWORKS="127.0.0.0/8,fe80::/10",
    )

    assert config.webhook_targets == ("https://a.example.com/x?key=1", "https://b.example.com")
    assert config.webhook_keys == ("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", NEW_KEY[::-1])
    assert config.notify_events == ("job.failed", "upstream.down")
    assert [str(network) for network in config.webhook_networks] == ["127.0.0.0/8", "fe80::/10"]
