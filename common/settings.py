"""Which settings are there, what are they for, and which of them are wrong?

Read once from the environment, then from `.env`, then from what the embedded stack wrote; typed and frozen.
All problems are reported together, by name and without values. No secret has a default here.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any
from urllib.parse import urlsplit

from pydantic import AfterValidator, Field, SecretStr, ValidationError, ValidationInfo, field_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict
from sqlalchemy import make_url
from sqlalchemy.exc import ArgumentError

EMBEDDED_ENV = Path("var/embedded.env")
DATABASES = ("mysql+pymysql", "mariadb+pymysql", "sqlite", "sqlite+pysqlite")
BROKERS = ("redis://", "rediss://", "sentinel://")


class SettingsError(Exception):
    """Some settings are missing or wrong; `problems` names each with its remedy, never its value."""

    def __init__(self, problems: list[str]) -> None:
        self.problems = problems
        listed = "\n".join(f"  {problem}" for problem in problems)
        super().__init__(
            f"The settings do not hold together:\n{listed}\n"
            "See .env.example for each. For a stack that needs no setting at all, run `make up`."
        )


def _http_url(value: str) -> str:
    """The messages are ours: those of urlsplit quote the value."""
    try:
        parts = urlsplit(value)
        _port = parts.port  # looked at only when it is asked for
    except ValueError:
        raise ValueError("is not an address") from None
    if parts.scheme not in ("http", "https") or not parts.hostname or any(map(str.isspace, value)):
        raise ValueError("must be http:// or https:// and a host")
    if "@" in parts.netloc:
        raise ValueError("must not carry a user or a password")
    if parts.query or parts.fragment:
        raise ValueError("must end with the host or a path: no ? and no #")
    return value.rstrip("/")


def _database_url(value: SecretStr) -> SecretStr:
    try:
        url = make_url(value.get_secret_value())
    except (ArgumentError, ValueError):
        raise ValueError("is not an address") from None
    if url.drivername not in DATABASES:
        raise ValueError("must begin with mysql+pymysql://, mariadb+pymysql:// or sqlite:///")
    if url.database in (None, "", ":memory:"):
        raise ValueError("must name a database")
    return value


def _broker_url(value: SecretStr) -> SecretStr:
    if not value.get_secret_value().startswith(BROKERS):
        raise ValueError(f"must begin with {' or '.join(BROKERS)}")
    return value


def _origin(value: str) -> str:
    """Browsers compare letter by letter what they would send: anything else would silently never match."""
    parts = urlsplit(_http_url(value))
    usual_port = {"http": 80, "https": 443}[parts.scheme]
    port = f":{parts.port}" if parts.port not in (None, usual_port) else ""
    host = f"[{parts.hostname}]" if ":" in str(parts.hostname) else parts.hostname
    if value != f"{parts.scheme}://{host}{port}" or not value.isascii() or "*" in value:
        raise ValueError("must be as browsers send it: scheme://host, lower case, :port only if unusual, no path, no *")
    return value


HttpUrl = Annotated[str, AfterValidator(_http_url)]
Origin = Annotated[str, AfterValidator(_origin)]


class Settings(BaseSettings):
    """Everything that differs between two installations."""

    model_config = SettingsConfigDict(
        frozen=True,
        extra="ignore",
        env_ignore_empty=True,
        hide_input_in_errors=True,
        str_strip_whitespace=True,  # a token out of a file ends with a line break, which no header may hold
        env_file=(EMBEDDED_ENV, ".env"),
    )

    db_url: Annotated[SecretStr, AfterValidator(_database_url)] = Field(
        description="SQLAlchemy address: mysql+pymysql://user:password@host/name or sqlite:///file"
    )
    redis_url: Annotated[SecretStr, AfterValidator(_broker_url)] = Field(
        description="The broker's address: redis://:password@host:6379/0"
    )
    secret_keys: Annotated[tuple[SecretStr, ...], NoDecode] = Field(
        description="Keys that seal what jobs must keep secret, newest first, comma-separated, 32+ characters each"
    )

    gitlab_url: HttpUrl = Field(description="GitLab as the workers reach it")
    gitlab_token: SecretStr = Field(description="An administrator's token with the scope `api`")
    gitlab_ext_url: HttpUrl | None = Field(None, description="GitLab as users reach it, for links")
    gitlab_read_user: str | None = Field(None, description="User of the token below")
    gitlab_read_token: SecretStr | None = Field(
        None,
        description="A token that may only read repositories: Argo CD clones with it. Unset: Argo CD's own templates",
    )
    gitlab_credential: str = Field("gitlab", description="Id of the Jenkins credential with which pipelines clone")

    jenkins_url: HttpUrl = Field(description="Jenkins as the workers reach it")
    jenkins_auth_id: str = Field(description="An administrator's login on Jenkins")
    jenkins_auth_token: SecretStr = Field(description="That login's API token (not its password)")
    jenkins_ext_url: HttpUrl | None = Field(None, description="Jenkins as users reach it, for links")

    argo_url: HttpUrl = Field(description="Argo CD as the workers reach it")
    argo_token: SecretStr = Field(description="Argo CD API token, with or without the word Bearer")
    argo_ext_url: HttpUrl | None = Field(None, description="Argo CD as users reach it, for links")

    kibana_url: HttpUrl = Field(description="Elasticsearch, where Kibana's users live, as the workers reach it")
    kibana_user: str = Field(description="A user with the cluster privilege manage_security")
    kibana_pwd: SecretStr = Field(description="That user's password")
    kibana_ext_url: HttpUrl | None = Field(None, description="Kibana as users reach it, for links")

    dev_cluster_name: str = Field("dev-cluster", description="Argo CD's name of the cluster of team dev")
    ops_cluster_name: str = Field("ops-cluster", description="Argo CD's name of the cluster of team ops")
    container_repository_image_name: str = Field(
        description="Prefix of image names; an app's image is this, a slash, and the app's name"
    )
    catalog_file: Path | None = Field(None, description="TOML file of teams and types. Unset: the bundled one")
    ca_file: Path | None = Field(None, description="CA bundle for all upstreams. Unset: certifi's")

    cookie_secure: bool = Field(True, description="Send the session cookie over HTTPS only")
    trusted_hosts: Annotated[tuple[str, ...], NoDecode] = Field(
        (),
        description="Host names that the API answers to, comma-separated: with 127.0.0.1 where a health check asks it "
        "so. Unset: any",
    )
    cors_origins: Annotated[tuple[Origin, ...], NoDecode] = Field(
        (), description="Origins whose pages may call the API, comma-separated: https://portal.example.com. Unset: none"
    )
    proxy_count: int = Field(
        0,
        ge=0,
        le=8,
        description="Proxies in front that add to X-Forwarded-For. 0: it is ignored, as anyone can send it",
    )
    login_failures_per_account_and_address: int = Field(
        10, ge=0, description="Wrong passwords for one account from one address in 15 minutes. 0: unlimited"
    )
    login_failures_per_account: int = Field(
        100, ge=0, description="Wrong passwords for one account in an hour, wherever they come from. 0: unlimited"
    )
    login_failures_per_address: int = Field(
        200, ge=0, description="Wrong passwords from one address in 15 minutes, whatever the account. 0: unlimited"
    )
    signups_per_address: int = Field(60, ge=0, description="Sign-ups from one address in an hour. 0: unlimited")
    signups_per_name: int = Field(
        10, ge=0, description="Sign-ups in an hour for one id, and for one e-mail address. 0: unlimited"
    )
    worker_concurrency: int = Field(16, ge=1, le=256, description="Steps that one worker process runs at once")
    log_format: str = Field("auto", pattern="^(auto|json|text)$", description="json, text, or auto: text in a terminal")

    @field_validator("secret_keys", "trusted_hosts", "cors_origins", mode="before")
    @classmethod
    def _split(cls, value: Any) -> Any:
        if isinstance(value, str):
            return tuple(part.strip() for part in value.split(",") if part.strip())
        return value

    @field_validator("gitlab_read_token")
    @classmethod
    def _with_its_user(cls, token: SecretStr | None, info: ValidationInfo) -> SecretStr | None:
        if token is not None and not info.data.get("gitlab_read_user"):
            raise ValueError("needs GITLAB_READ_USER beside it")
        return token

    @field_validator("secret_keys")
    @classmethod
    def _long_enough(cls, keys: tuple[SecretStr, ...]) -> tuple[SecretStr, ...]:
        if not keys or any(len(key.get_secret_value()) < 32 for key in keys):
            raise ValueError("needs at least one key, each of 32 characters or more")
        return keys


def load() -> Settings:
    """Read the settings. Raises SettingsError with every problem at once."""
    try:
        return Settings()
    except ValidationError as error:
        raise SettingsError([_problem(detail) for detail in error.errors()]) from None


def _problem(detail: Any) -> str:
    name = ".".join(str(part) for part in detail["loc"]).upper()
    field = Settings.model_fields.get(str(detail["loc"][0]))
    if detail["type"] == "missing":
        return f"{name} is not set: {field.description if field else ''}"
    return f"{name}: {detail['msg'].removeprefix('Value error, ')}"
