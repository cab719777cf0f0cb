"""docker-compose.yml: pinned images, isolated and limited services, health checks, and no secret in the file."""

from __future__ import annotations

import json
import re
import runpy
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr
from support.checkout import ROOT
from support.composition import load
from support.settings import NAMES, NEWER

from common.config import settings
from common.config.settings import FlowerSettings, Settings, WorkerSettings
from common.workflows import WORKFLOWS
from harbour import compose_env
from harbour.config import PORT_COUNT

FILE = load()
SERVICES: dict[str, dict[str, Any]] = FILE["services"]
OURS = {name for name, said in SERVICES.items() if said["image"].startswith("slipway:")}
KINDS = {"migrate": Settings, "api": Settings, "worker": WorkerSettings, "flower": FlowerSettings}
UNUSED = {"migrate": {"redis_password", "metrics_token"}}  # it is the API's program, and only migrates
ONE_SHOT = {"migrate", "demo"}
GENERATED = {
    "mysql_root_password",
    "db_password",
    "redis_password",
    "secret_keys",
    "metrics_token",
    "flower_basic_auth",
}
SECRET_WORDS = re.compile(r"PASSWORD|PWD|TOKEN|SECRET|KEYS?$|AUTH$")

every_service = pytest.mark.parametrize("name", sorted(SERVICES))
every_program_of_ours = pytest.mark.parametrize("name", sorted(OURS))
every_long_running_service = pytest.mark.parametrize("name", sorted(SERVICES.keys() - ONE_SHOT))


def test_it_is_a_compose_file() -> None:
    checked = subprocess.run(
        (sys.executable, "-m", "check_jsonschema", "--builtin-schema", "vendor.compose-spec", "docker-compose.yml"),
        cwd=ROOT, capture_output=True, text=True, check=False,
    )  # fmt: skip

    assert checked.returncode == 0, checked.stdout


def test_the_services_are_these() -> None:
    assert set(SERVICES) == {"mysql", "redis", "migrate", "api", "worker", "flower", "harbour", "demo"}
    assert {name for name, said in SERVICES.items() if "profiles" in said} == {"harbour", "demo"}


@every_service
def test_an_image_has_an_exact_version(name: str) -> None:
    image, _, version = SERVICES[name]["image"].partition(":")
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]

    assert re.match(r"\d+\.\d+\.\d+(-\w+)?$", version)
    assert version == project["version"] or not image.startswith("slipway")


@every_service
def test_a_service_is_shut_in(name: str) -> None:
    said = SERVICES[name]

    assert said["read_only"] is True
    assert said["init"] is True
    assert said["cap_drop"] == ["ALL"]
    assert "cap_add" not in said
    assert said["security_opt"] == ["no-new-privileges:true"]
    assert re.fullmatch(r"[1-9]\d*:[1-9]\d*", said["user"])
    assert all("size=" in place for place in said["tmpfs"])


@every_service
def test_a_service_takes_no_more_than_its_share(name: str) -> None:
    said = SERVICES[name]

    assert said["deploy"]["resources"]["limits"].keys() == {"cpus", "memory", "pids"}
    assert said["logging"]["options"].keys() == {"max-size", "max-file"}


@every_long_running_service
def test_a_service_that_runs_on_is_checked_restarted_and_given_time_to_end(name: str) -> None:
    said = SERVICES[name]

    assert said["restart"] == "unless-stopped"
    assert said["healthcheck"].keys() == {"test", "interval", "timeout", "retries", "start_period", "start_interval"}
    assert said["stop_grace_period"].endswith("s")


@pytest.mark.parametrize("name", sorted(ONE_SHOT))
def test_what_runs_once_is_not_started_again(name: str) -> None:
    assert SERVICES[name]["restart"] == "no"
    assert "healthcheck" not in SERVICES[name]


def test_a_worker_may_end_the_longest_step_and_the_api_its_requests() -> None:
    longest_s = max(step.limit_s for flow in WORKFLOWS.values() for step in flow.steps)
    gunicorn = runpy.run_path(str(ROOT / "gunicorn.conf.py"))

    assert float(SERVICES["worker"]["stop_grace_period"][:-1]) > longest_s
    assert float(SERVICES["api"]["stop_grace_period"][:-1]) > gunicorn["graceful_timeout"]


def test_only_this_machine_reaches_what_is_published() -> None:
    published = {name: said["ports"] for name, said in SERVICES.items() if "ports" in said}

    assert published.keys() == {"api", "flower", "harbour"}
    assert all(port.startswith("127.0.0.1:") for ports in published.values() for port in ports)


def test_the_databases_have_no_way_out_and_what_is_published_none_to_the_upstreams() -> None:
    networks = {name: set(said["networks"]) for name, said in SERVICES.items()}

    assert FILE["networks"]["data"] == {"internal": True}
    assert networks["mysql"] == networks["redis"] == networks["migrate"] == {"data"}
    assert networks["api"] == networks["flower"] == {"data", "front"}
    assert networks["worker"] == {"data", "upstreams"}
    assert networks["harbour"] == {"upstreams"}


def test_nothing_starts_before_what_it_needs() -> None:
    needs = {name: said.get("depends_on", {}) for name, said in SERVICES.items()}
    migrated = {"condition": "service_completed_successfully"}

    assert needs["migrate"] == {"mysql": {"condition": "service_healthy"}}
    assert all(needs[name]["migrate"] == migrated for name in ("api", "worker"))
    assert all(needs[name]["redis"] == {"condition": "service_healthy"} for name in ("worker", "flower"))


def test_the_stand_ins_stop_after_the_workers_and_need_not_be_there() -> None:
    """Compose stops what others depend on last."""
    needs = SERVICES["worker"]["depends_on"]["harbour"]

    assert needs == {"condition": "service_started", "required": False}
    assert "harbour" not in SERVICES["api"]["depends_on"]


@pytest.mark.parametrize("name", sorted(OURS - ONE_SHOT | {"harbour"}))
def test_a_health_check_costs_little_and_has_time_on_a_busy_host(name: str) -> None:
    """Without site-packages and the environment, Python starts in a third of the time."""
    check = SERVICES[name]["healthcheck"]

    assert check["test"][:4] == ["CMD", "python", "-S", "-E"]
    assert float(check["interval"][:-1]) >= 15
    assert float(check["timeout"][:-1]) >= 10


def test_a_look_starts_nothing_and_migrates_nothing() -> None:
    """`docker compose run` starts what a service depends on, and so the migration, unless it is told not to."""
    files = [ROOT / name for name in ("README.md", "docker-compose.yml", "CONTRIBUTING.md", *_documents())]
    runs = [
        run for file in files for run in re.findall(r"docker compose run [^`'\n]*", file.read_text(encoding="utf-8"))
    ]

    assert len(runs) > 5
    assert [run for run in runs if "--no-deps" not in run and not run.endswith("migrate")] == []


def _documents() -> list[str]:
    return [str(file.relative_to(ROOT)) for file in sorted((ROOT / "docs").rglob("*.md"))]


@every_service
def test_no_secret_is_in_an_environment_or_a_command(name: str) -> None:
    said = SERVICES[name]
    names = {each for each in said.get("environment", {}) if SECRET_WORDS.search(each.removesuffix("_FILE"))}

    assert all(each.endswith("_FILE") for each in names)
    assert not re.search(r"://[^/\s]*:[^/\s]*@", json.dumps(said))


def test_no_setting_of_the_stand_ins_is_a_secret() -> None:
    names = [line.partition("=")[0] for line in _lines("compose/harbour.env")]

    assert not [name for name in names if SECRET_WORDS.search(name)]
    assert {name.lower() for name in names} <= {*NAMES, "compose_profiles"}


def test_the_settings_of_the_stand_ins_are_current() -> None:
    assert (ROOT / "compose/harbour.env").read_text(encoding="utf-8") == compose_env.text(), "type: make docs"


def test_the_ports_of_all_stand_ins_are_published() -> None:
    first, last = compose_env.FIRST_PORT, compose_env.FIRST_PORT + PORT_COUNT - 1

    assert SERVICES["harbour"]["ports"] == [f"127.0.0.1:{first}-{last}:{first}-{last}"]
    assert SERVICES["harbour"]["command"][-2:] == ["--port-base", str(first)]


def test_secrets_are_files_that_git_ignores_and_the_installation_page_describes() -> None:
    installation = (ROOT / "docs/installation.md").read_text(encoding="utf-8")
    files = {name: said["file"] for name, said in FILE["secrets"].items()}

    assert files == {name: f"secrets/{name}" for name in files}
    assert {secret for said in SERVICES.values() for secret in said.get("secrets", ())} == set(files)
    assert "secrets/" in _lines(".gitignore")
    assert all(f"`{name}`" in installation for name in files)


@every_program_of_ours
def test_a_process_is_handed_the_secrets_that_it_needs_and_no_other(name: str) -> None:
    read = {secret for secret in FILE["secrets"] if NEWER.get(secret, secret) in KINDS[name].model_fields}

    assert set(SERVICES[name]["secrets"]) == read - UNUSED.get(name, set())


@every_program_of_ours
def test_a_process_has_all_its_settings(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for key in NAMES:
        monkeypatch.delenv(key.upper(), raising=False)
    made = _make_secrets(tmp_path, "harbour")
    for secret in made.iterdir():
        if secret.name not in SERVICES[name]["secrets"]:
            secret.unlink()
    monkeypatch.chdir(tmp_path)
    (tmp_path / ".env").write_text((ROOT / "compose/harbour.env").read_text(encoding="utf-8"), encoding="utf-8")
    for key, value in SERVICES[name]["environment"].items():
        monkeypatch.setenv(key, value)
    monkeypatch.setenv("SECRETS_DIR", str(made))

    config = settings.load(KINDS[name])

    read = {key: value.get_secret_value() for key, value in config if isinstance(value, SecretStr)}
    for secret in made.iterdir():
        text = secret.read_text()
        if secret.name == "secret_keys":
            assert isinstance(config, Settings)
            assert [key.get_secret_value() for key in config.secret_keys] == [text]
        else:
            assert read[NEWER.get(secret.name, secret.name)] == text
    assert "db_url" not in read or read["db_url"] == f"mysql+pymysql://slipway:{read['db_password']}@mysql/slipway"
    assert name == "migrate" or read["redis_url"] == f"redis://:{read['redis_password']}@redis:6379/0"


def test_secrets_are_made_once_each_its_own_for_nobody_else_on_this_machine(tmp_path: Path) -> None:
    made = _make_secrets(tmp_path, "harbour")
    texts = {file.name: file.read_text() for file in made.iterdir()}

    assert _make_secrets(tmp_path, "harbour") == made
    assert {file.name: file.read_text() for file in made.iterdir()} == texts
    assert texts.keys() == FILE["secrets"].keys()
    assert len(set(texts.values())) == len(texts)
    assert all(re.fullmatch(r"(operator:)?[\w-]{43}", text) for text in texts.values())
    assert made.stat().st_mode & 0o777 == 0o700


def test_tokens_of_real_upstreams_are_not_made_up_and_not_written_over(tmp_path: Path) -> None:
    made = _make_secrets(tmp_path)
    empty = {file.name for file in made.iterdir() if not file.read_text()}
    (made / "argo_token").write_text("issued by Argo CD\n")

    _make_secrets(tmp_path, "harbour")

    assert empty == FILE["secrets"].keys() - GENERATED
    assert (made / "argo_token").read_text() == "issued by Argo CD\n"


def _make_secrets(place: Path, *arguments: str) -> Path:
    """Run a copy of the script where it can do no harm."""
    script = place / "compose/make-secrets.sh"
    script.parent.mkdir(exist_ok=True)
    script.write_bytes((ROOT / "compose/make-secrets.sh").read_bytes())
    (place / "docker-compose.yml").write_bytes((ROOT / "docker-compose.yml").read_bytes())
    subprocess.run(("sh", script, *arguments), check=True, capture_output=True)
    return place / "secrets"


def _lines(file: str) -> list[str]:
    lines = (ROOT / file).read_text(encoding="utf-8").splitlines()
    return [line for line in lines if line and not line.startswith("#")]
