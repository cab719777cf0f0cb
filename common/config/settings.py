"""Settings: their names, types and descriptions, and the report of what is wrong with them.

Read once from the environment, then from `.env`, then from the file of the embedded stack, then from secret files;
typed and frozen. Each process reads those it needs and no other secret. All problems are reported together, by name and
without values. No secret has a default here.
"""

from __future__ import annotations

import re
from ipaddress import IPv4Network, IPv6Network, ip_network
from os import PathLike
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar, cast
from urllib.parse import urlsplit

from pydantic import Field, SecretStr, ValidationError, ValidationInfo, field_validator
from pydantic_settings import (
    BaseSettings,
    DotEnvSettingsSource,
    EnvSettingsSource,
    NoDecode,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
)

from common.config import safety
from common.config.certificates import require_certificates
from common.config.renamed import Ambiguous, WithFormerNames, shown
from common.config.secret_files import USUAL_DIRECTORY, SecretFiles, Unreadable
from common.config.urls import BrokerUrl, DatabaseUrl, HttpUrl, Origin, require_web_address
from common.config.weak_secrets import is_signing_key
from common.states import NotificationKind

EMBEDDED_ENV = Path("var/embedded.env")
ENV_FILES = (EMBEDDED_ENV, Path(".env"))
OF_AN_INTERFACE = re.compile(r"/api(/v\d+|/json|/graphql)?$")
KIBANA_PORT = 5601
DOMAIN = re.compile(r"(?:[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?\.)+[a-z]{2,63}", re.IGNORECASE)
ADDRESS = re.compile(r"[A-Za-z0-9._%+-]{1,64}@(?:[A-Za-z0-9-]{1,63}\.)*[A-Za-z0-9-]{1,63}")
LOGIN = re.compile(r"[^:,]+:[^,]+")  # as HTTP's basic authentication has it

AT_ONCE = "Steps that run on {} at once, over all workers: fewer than their threads, or a slow upstream holds them all"
RATE = "Calls per second to {}, over all workers: at least half the number of steps. 0: unlimited"
PROXY = "HTTP proxy through which workers reach {}, without a password: http://proxy:3128. Unset: none"
CA_FILE = "CA bundle for {} alone. Unset: CA_FILE"


class SettingsError(Exception):
    """Some settings are missing or wrong; `problems` names each with its remedy, never its value."""

    def __init__(self, problems: list[str]) -> None:
        self.problems = problems
        listed = "\n".join(f"  {problem}" for problem in problems)
        super().__init__(
            f"Invalid configuration:\n{listed}\n"
            "See .env.example for each. For a stack that needs no setting at all, run `make up`."
        )


class CommonSettings(BaseSettings):
    """Settings of every process."""

    model_config = SettingsConfigDict(
        frozen=True,
        extra="ignore",
        env_ignore_empty=True,
        hide_input_in_errors=True,
        str_strip_whitespace=True,  # a token from a file ends with a line break, which no header may contain
        env_file=ENV_FILES,
    )

    secrets_dir: Path = Field(
        USUAL_DIRECTORY,
        description="Directory of files that hold one setting each, named in lower case: secrets/gitlab_token",
    )
    redis_password: SecretStr | None = Field(None, description="Password for REDIS_URL, if the address contains none")
    redis_sentinel_master: str | None = Field(
        None, description="Name of the master that the sentinels in REDIS_URL watch: mymaster"
    )
    redis_sentinel_password: SecretStr | None = Field(
        None, description="Password of the sentinels themselves. Unset: they ask for none"
    )
    redis_ca_file: Path | None = Field(
        None, description="CA bundle for a broker with TLS. Unset: those that the system trusts"
    )
    redis_url: BrokerUrl = Field(
        description="The broker's address: redis://:password@host:6379/0, with TLS rediss://. Of sentinels, each: "
        "sentinel://:password@host:26379/0;sentinel://host:26379, with TLS sentinels://"
    )
    allow_plain_broker: bool = Field(
        False, description="Accept a broker on another machine without TLS, or whose certificate is not verified"
    )
    allow_writable_files: bool = Field(
        False, description="Accept files of settings that every user may write, as all are on a Windows drive under WSL"
    )
    log_format: str = Field("auto", pattern="^(auto|json|text)$", description="json, text, or auto: text in a terminal")
    log_level: str = Field(
        "info",
        pattern="^(debug|info|warning|error)$",
        description="debug, info, warning or error; debug logs each call to an upstream",
    )

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,  # noqa: ARG003 - theirs warns, and reads empty files
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        given = cast("DotEnvSettingsSource", dotenv_settings).env_file or ()
        files = [given] if isinstance(given, str | PathLike) else [*given][::-1]  # the last one wins
        sources = [
            cast("EnvSettingsSource", env_settings),
            *(DotEnvSettingsSource(settings_cls, env_file=file) for file in files),
        ]
        named = (WithFormerNames(settings_cls, source) for source in sources)
        return init_settings, *named, SecretFiles(settings_cls)

    @field_validator("*", mode="before")
    @classmethod
    def _readable(cls, value: Any) -> Any:
        if isinstance(value, Unreadable):
            raise ValueError(f"its file in SECRETS_DIR cannot be read: {value.why}")  # noqa: TRY004 - as pydantic wants
        if isinstance(value, Ambiguous):
            raise ValueError(f"{value.former.upper()} has another value: remove one of the two")  # noqa: TRY004
        return value

    @field_validator("redis_ca_file")
    @classmethod
    def _trusts_somebody(cls, file: Path | None) -> Path | None:
        if file:
            require_certificates(file)
        return file

    @field_validator("secrets_dir")
    @classmethod
    def _there(cls, directory: Path) -> Path:
        if directory != USUAL_DIRECTORY and not directory.is_dir():  # the usual one need not be there
            raise ValueError("is not a directory")
        return directory


class FlowerSettings(CommonSettings):
    """Settings of Flower: no key and no other token, because it only shows what passes through the broker."""

    flower_basic_auth: SecretStr | None = Field(
        None, description="Logins for Flower: USER:PASSWORD, comma-separated. Unset: Flower does not start"
    )
    flower_address: str = Field("127.0.0.1", description="Address on which Flower listens: 0.0.0.0 in a container")
    flower_port: int = Field(5555, ge=1, le=65_535, description="Port of Flower")

    @field_validator("flower_basic_auth")
    @classmethod
    def _each_with_its_password(cls, logins: SecretStr | None) -> SecretStr | None:
        if logins and not all(map(LOGIN.fullmatch, logins.get_secret_value().split(","))):
            raise ValueError("must be USER:PASSWORD, several separated by commas")
        return logins


class Settings(CommonSettings):
    """Settings of the API, and of workers too: no token of an upstream, because the API calls none."""

    db_password: SecretStr | None = Field(None, description="Password for DB_URL, if the address contains none")
    db_url: DatabaseUrl = Field(
        description="SQLAlchemy address: mysql+pymysql://user:password@host/name or sqlite:///file"
    )
    allow_plain_database: bool = Field(
        False, description="Accept a database on another machine without TLS, or whose certificate is not verified"
    )
    db_seconds_per_request: float = Field(
        2.5,
        ge=0.5,
        le=60,
        description="Seconds that the database work of one API request may take before it is answered with 503. "
        "MySQL and MariaDB only",
    )
    secret_keys: Annotated[tuple[SecretStr, ...], NoDecode] = Field(
        description="Keys that encrypt the secrets of jobs, newest first, comma-separated, 32 characters or more each"
    )

    gitlab_url: HttpUrl = Field(description="GitLab as the workers reach it")
    gitlab_ext_url: HttpUrl | None = Field(
        None, description="GitLab as it names itself to users: for links, and for its repositories' addresses"
    )
    gitlab_credential: str = Field("gitlab", description="Id of the Jenkins credential with which pipelines clone")
    gitlab_read_user: str | None = Field(None, description="User of GITLAB_READ_TOKEN; nobody can sign up as that")

    jenkins_url: HttpUrl = Field(description="Jenkins as the workers reach it")
    jenkins_ext_url: HttpUrl | None = Field(None, description="Jenkins as users reach it, for links")
    jenkins_auth_id: str | None = Field(None, description="An administrator's login on Jenkins")

    argocd_url: HttpUrl = Field(description="Argo CD as the workers reach it")
    argocd_ext_url: HttpUrl | None = Field(None, description="Argo CD as users reach it, for links")

    elasticsearch_url: HttpUrl = Field(description="Elasticsearch, where Kibana's users live, as the workers reach it")
    kibana_ext_url: HttpUrl | None = Field(None, description="Kibana as users reach it, for links")
    elasticsearch_user: str | None = Field(None, description="A user with the cluster privilege manage_security")

    dev_cluster_name: str = Field("dev-cluster", description="Argo CD's name for the cluster of team dev")
    ops_cluster_name: str = Field("ops-cluster", description="Argo CD's name for the cluster of team ops")
    container_repository_image_name: str = Field(
        description="Prefix of image names; an app's image is this, a slash, and the app's name"
    )
    registry_credential: str = Field(
        "", description="Id of the Jenkins credential that logs in to the registry. Empty: the agents are logged in"
    )
    catalog_file: Path | None = Field(None, description="TOML file of teams and types. Unset: the bundled one")
    ca_file: Path | None = Field(None, description="CA bundle for all upstreams. Unset: certifi's")

    allow_plain_upstreams: bool = Field(
        False, description="Accept http:// addresses of upstreams on other machines: tokens and passwords in clear text"
    )
    allow_plain_traces: bool = Field(
        False, description="Accept an http:// address of a collector of traces on another machine"
    )
    allow_plain_mail: bool = Field(
        False,
        description="Accept a mail server on another machine without TLS, and links in mails that begin with http://",
    )
    allow_plain_webhooks: bool = Field(
        False, description="Accept http:// addresses of other machines in WEBHOOK_URLS and HEARTBEAT_URL"
    )
    allow_insecure_cookie: bool = Field(
        False, description="Accept COOKIE_SECURE=false although people come from other machines: sessions in clear text"
    )
    allow_unlimited_attempts: bool = Field(
        False, description="Accept that no limit at all is set on log-ins and sign-ups"
    )

    cookie_secure: bool = Field(True, description="Send the session cookie over HTTPS only")
    trusted_hosts: Annotated[tuple[str, ...], NoDecode] = Field(
        (),
        description="Host names that the API answers to, comma-separated; include 127.0.0.1 if a health check uses it. "
        "Unset: any",
    )
    cors_origins: Annotated[tuple[Origin, ...], NoDecode] = Field(
        (), description="Origins whose pages may call the API, comma-separated: https://portal.example.com. Unset: none"
    )
    proxy_count: int = Field(
        0,
        ge=0,
        le=8,
        description="Number of proxies in front that add to X-Forwarded-For, and set or remove X-Forwarded-Prefix. "
        "0: ignore both, as anyone can send them",
    )
    login_failures_per_account_and_address: int = Field(
        10, ge=0, description="Wrong passwords for one account from one address in 15 minutes. 0: unlimited"
    )
    login_failures_per_account: int = Field(
        100, ge=0, description="Wrong passwords for one account in an hour, from any address. 0: unlimited"
    )
    login_failures_per_address: int = Field(
        200, ge=0, description="Wrong passwords from one address in 15 minutes, for any account. 0: unlimited"
    )
    signups_per_address: int = Field(60, ge=0, description="Sign-ups from one address in an hour. 0: unlimited")
    signups_per_name: int = Field(
        10, ge=0, description="Sign-ups in an hour for one id, and for one e-mail address. 0: unlimited"
    )
    signup_email_domains: Annotated[tuple[str, ...], NoDecode] = Field(
        (),
        description="Domains whose e-mail addresses may sign up, comma-separated: example.com. A domain does not stand "
        "for those below it. Unset: any",
    )
    signup_confirmation: bool = Field(
        False,
        description="Mail each new person a link to confirm the e-mail address; nothing is made before. The workers "
        "send it: SMTP_HOST",
    )
    signup_approval: bool = Field(
        False, description="Let each sign-up wait until an administrator approves or rejects it. Nothing is made before"
    )
    signup_approval_days: int = Field(
        7, ge=1, le=90, description="Days after which a sign-up that no administrator has answered is cancelled"
    )
    signup_bundled_teams_open: bool = Field(
        False,
        description="Anybody may join the teams of the bundled catalog. Otherwise people need invitations, unless your "
        "own catalog opens a team (CATALOG_FILE)",
    )
    retention_days: int = Field(
        0,
        ge=0,
        le=36_500,
        description="Days after which finished jobs are deleted that nothing needs. 0: never",
    )
    audit_retention_days: int = Field(
        0,
        ge=0,
        le=36_500,
        description="Days after which entries of the audit are deleted. 0: never",
    )
    gitlab_concurrency: int = Field(12, ge=1, le=256, description=AT_ONCE.format("GitLab"))
    jenkins_concurrency: int = Field(12, ge=1, le=256, description=AT_ONCE.format("Jenkins"))
    argocd_concurrency: int = Field(12, ge=1, le=256, description=AT_ONCE.format("Argo CD"))
    elasticsearch_concurrency: int = Field(12, ge=1, le=256, description=AT_ONCE.format("Elasticsearch"))
    gitlab_calls_per_second: float = Field(
        6, ge=0, le=1000, description=RATE.format("GitLab") + ". GitLab allows 400 a minute of one kind by default"
    )
    jenkins_calls_per_second: float = Field(0, ge=0, le=1000, description=RATE.format("Jenkins"))
    argocd_calls_per_second: float = Field(0, ge=0, le=1000, description=RATE.format("Argo CD"))
    elasticsearch_calls_per_second: float = Field(0, ge=0, le=1000, description=RATE.format("Elasticsearch"))
    outage_after: int = Field(
        3,
        ge=0,
        le=100,
        description="Steps in a row without an answer before a probe decides if the upstream is down. 0: never",
    )
    notify_events: Annotated[tuple[NotificationKind, ...], NoDecode] = Field(
        (),
        description="What WEBHOOK_URLS are notified of, comma-separated: job.succeeded, job.failed, job.cancelled, "
        "upstream.down, upstream.up, upstream.refused, upstream.accepted. Unset: nothing",
    )
    metrics_token: SecretStr | None = Field(
        None, description="Bearer token that Prometheus sends to the API and the workers. Unset: no metrics"
    )
    worker_metrics_address: str = Field(
        "127.0.0.1", description="Address on which a worker's metrics listen: 0.0.0.0 in a container"
    )
    worker_metrics_port: int = Field(
        0,
        ge=0,
        le=65_525,
        description="Port of a worker's metrics; if it is in use, the next free one of ten. 0: no worker metrics",
    )
    otel_exporter_otlp_endpoint: HttpUrl | None = Field(
        None,
        description="OpenTelemetry collector for traces, OTLP over HTTP: http://collector:4318. Unset: none",
    )
    trace_upstreams: bool = Field(False, description="Send upstreams the header traceparent with each call of a trace")
    flower_ext_url: HttpUrl | None = Field(
        None, description="Flower as operators reach it: jobs link to it for administrators. Unset: no links"
    )

    @property
    def service_accounts(self) -> frozenset[str]:
        """The logins of Slipway's own accounts on the upstreams, in lower case, as far as this process knows them."""
        own = (self.gitlab_read_user, self.jenkins_auth_id, self.elasticsearch_user)
        return frozenset(login.lower() for login in own if login)

    @field_validator("signup_email_domains")
    @classmethod
    def _are_domains(cls, domains: tuple[str, ...]) -> tuple[str, ...]:
        if wrong := [domain for domain in domains if not DOMAIN.fullmatch(domain)]:
            raise ValueError(f"has {len(wrong)} that are no domains: write them as example.com")
        return tuple(domain.lower() for domain in domains)

    @field_validator(
        "secret_keys", "trusted_hosts", "cors_origins", "signup_email_domains", "notify_events", mode="before"
    )
    @classmethod
    def _split(cls, value: Any) -> Any:
        if isinstance(value, str):
            return tuple(part.strip() for part in value.split(",") if part.strip())
        return value

    @field_validator(
        "gitlab_calls_per_second",
        "jenkins_calls_per_second",
        "argocd_calls_per_second",
        "elasticsearch_calls_per_second",
    )
    @classmethod
    def _paced_in_time(cls, per_second: float, info: ValidationInfo) -> float:
        """Bound how long a running step waits in its thread for its next call: the others' calls come first."""
        name = str(info.field_name).replace("calls_per_second", "concurrency")
        if 0 < per_second < info.data.get(name, 0) / 2:
            raise ValueError(f"must be 0, or at least half of {name.upper()}: its steps would wait for each other")
        return per_second

    @field_validator("gitlab_url", "gitlab_ext_url", "jenkins_url", "jenkins_ext_url", "argocd_url", "argocd_ext_url")
    @classmethod
    def _of_the_server_itself(cls, url: str | None) -> str | None:
        """Refuse the address of an interface, as other tools want it: every call to it would be answered with 404."""
        if url is not None and (interface := OF_AN_INTERFACE.search(urlsplit(url).path)):
            raise ValueError(f"must be the address of the server itself: leave out {interface[0]}")
        return url

    @field_validator("elasticsearch_url")
    @classmethod
    def _not_of_kibana(cls, url: str) -> str:
        if urlsplit(url).port == KIBANA_PORT:
            raise ValueError(f"is Elasticsearch's address, usually with port 9200; {KIBANA_PORT} is Kibana's")
        return url

    @field_validator("metrics_token")
    @classmethod
    def _hard_to_guess(cls, token: SecretStr | None) -> SecretStr | None:
        if token is not None and len(token.get_secret_value()) < 16:
            raise ValueError("needs 16 characters or more")
        return token

    @field_validator("worker_metrics_port")
    @classmethod
    def _with_the_token(cls, port: int, info: ValidationInfo) -> int:
        if port and info.data.get("metrics_token", ...) is None:
            raise ValueError("needs METRICS_TOKEN beside it")
        return port

    @field_validator("secret_keys")
    @classmethod
    def _long_enough(cls, keys: tuple[SecretStr, ...]) -> tuple[SecretStr, ...]:
        if not keys or any(len(key.get_secret_value()) < 32 for key in keys):
            raise ValueError("needs at least one key, each of 32 characters or more")
        return keys


class WorkerSettings(Settings):
    """Settings of workers: the above, and how to log in to the upstreams."""

    gitlab_token: SecretStr = Field(description="An administrator's token with the scope `api`")
    gitlab_skip_confirmation: bool = Field(
        False,
        description="Let GitLab take the addresses of new accounts for confirmed: only where others vouch for them. "
        "Otherwise GitLab mails each person a link",
    )
    gitlab_read_token: SecretStr | None = Field(
        None,
        description="A token that may only read repositories: Argo CD clones with it. Unset: Argo CD's own templates",
    )
    jenkins_auth_id: str = Field(description="An administrator's login on Jenkins; nobody can sign up as that")
    jenkins_auth_token: SecretStr = Field(description="That login's API token (not its password)")
    argocd_token: SecretStr = Field(description="Argo CD API token, with or without the word Bearer")
    elasticsearch_user: str = Field(
        description="A user with the cluster privilege manage_security; nobody can sign up as that"
    )
    elasticsearch_password: SecretStr = Field(description="That user's password")

    gitlab_proxy: HttpUrl | None = Field(None, description=PROXY.format("GitLab"))
    gitlab_ca_file: Path | None = Field(None, description=CA_FILE.format("GitLab"))
    jenkins_proxy: HttpUrl | None = Field(None, description=PROXY.format("Jenkins"))
    jenkins_ca_file: Path | None = Field(None, description=CA_FILE.format("Jenkins"))
    argocd_proxy: HttpUrl | None = Field(None, description=PROXY.format("Argo CD"))
    argocd_ca_file: Path | None = Field(None, description=CA_FILE.format("Argo CD"))
    elasticsearch_proxy: HttpUrl | None = Field(None, description=PROXY.format("Elasticsearch"))
    elasticsearch_ca_file: Path | None = Field(None, description=CA_FILE.format("Elasticsearch"))

    smtp_host: str | None = Field(
        None, validate_default=True, description="Server that takes our mails. Unset: none are sent"
    )
    smtp_tls: Literal["starttls", "implicit", "none"] = Field(
        "starttls", description="TLS to that server: starttls, implicit (from the first byte), or none"
    )
    smtp_port: int | None = Field(
        None, ge=1, le=65_535, description="Its port. Unset: 587, with implicit TLS 465, without TLS 25"
    )
    smtp_user: str | None = Field(None, description="Login on that server. Unset: it asks for none")
    smtp_password: SecretStr | None = Field(None, description="That login's password")
    smtp_ca_file: Path | None = Field(None, description="CA bundle for that server. Unset: those the system trusts")
    smtp_from: str | None = Field(
        None, validate_default=True, description="Address from which our mails come: slipway@example.com"
    )
    slipway_ext_url: HttpUrl | None = Field(
        None, validate_default=True, description="Slipway's API as people reach it, for links in mails"
    )
    webhook_urls: SecretStr | None = Field(
        None,
        description="Addresses that get each notification by POST, comma-separated: https://ops.example.com/slipway. "
        "Unset: none",
    )
    webhook_secret: SecretStr | None = Field(
        None,
        description="Keys of the signature of notifications, newest first, comma-separated: whsec_ and base64, or 32 "
        "characters or more",
    )
    webhook_networks: Annotated[tuple[IPv4Network | IPv6Network, ...], NoDecode] = Field(
        (),
        description="Networks of this machine or link-local ones that WEBHOOK_URLS and HEARTBEAT_URL may lead to, "
        "comma-separated: 127.0.0.0/8. Unset: none",
    )
    webhook_ca_file: Path | None = Field(
        None, description="CA bundle for WEBHOOK_URLS and HEARTBEAT_URL. Unset: certifi's"
    )
    heartbeat_url: SecretStr | None = Field(
        None,
        description="Address that gets a GET each minute while workers work, such as that of a dead man's switch. "
        "Unset: none",
    )

    worker_concurrency: int = Field(16, ge=1, le=256, description="Steps that one worker process runs at once")

    @property
    def webhook_targets(self) -> tuple[str, ...]:
        """The addresses of WEBHOOK_URLS."""
        return _listed(self.webhook_urls)

    @property
    def webhook_keys(self) -> tuple[str, ...]:
        """The keys of WEBHOOK_SECRET, newest first."""
        return _listed(self.webhook_secret)

    @field_validator("webhook_networks", mode="before")
    @classmethod
    def _networks(cls, value: Any) -> Any:
        try:
            return tuple(ip_network(part) if isinstance(part, str) else part for part in cls._split(value))
        except ValueError:
            raise ValueError("must be networks: 127.0.0.0/8,fe80::/10") from None

    @field_validator("webhook_urls", "heartbeat_url")
    @classmethod
    def _addresses(cls, urls: SecretStr | None) -> SecretStr | None:
        for url in _listed(urls):
            require_web_address(url)
        return urls

    @field_validator("webhook_secret")
    @classmethod
    def _long_keys(cls, secret: SecretStr | None) -> SecretStr | None:
        if not all(map(is_signing_key, _listed(secret))):
            raise ValueError("needs whsec_ and the base64 of 24 bytes or more, or 32 characters or more")
        return secret

    @field_validator("smtp_host", "smtp_from", "slipway_ext_url")
    @classmethod
    def _for_confirmations(cls, value: str | None, info: ValidationInfo) -> str | None:
        if value is None and info.data.get("signup_confirmation"):
            raise ValueError("is needed where SIGNUP_CONFIRMATION is set")
        return value

    @field_validator("smtp_from")
    @classmethod
    def _is_address(cls, address: str | None) -> str | None:
        if address is not None and not ADDRESS.fullmatch(address):
            raise ValueError("must be an e-mail address alone: slipway@example.com")
        return address

    @field_validator("smtp_password")
    @classmethod
    def _with_its_login(cls, password: SecretStr | None, info: ValidationInfo) -> SecretStr | None:
        if password is not None and not info.data.get("smtp_user"):
            raise ValueError("needs SMTP_USER beside it")
        return password

    @field_validator(
        "smtp_ca_file",
        "ca_file",
        "gitlab_ca_file",
        "jenkins_ca_file",
        "argocd_ca_file",
        "elasticsearch_ca_file",
        "webhook_ca_file",
        mode="after",
    )
    @classmethod
    def _with_certificates(cls, file: Path | None) -> Path | None:
        if file is not None:
            require_certificates(file)
        return file

    @field_validator(
        "gitlab_token", "gitlab_read_token", "jenkins_auth_token", "argocd_token", "elasticsearch_password"
    )
    @classmethod
    def _in_one_line(cls, secret: SecretStr | None, info: ValidationInfo) -> SecretStr | None:
        """Refuse what no header can hold: else every call fails, with nothing that leads to the setting."""
        text = secret.get_secret_value() if secret else ""
        if not text.isprintable() or not (text.isascii() or info.field_name == "elasticsearch_password"):
            raise ValueError("holds a line break or another character that no header can carry: write it again")
        return secret

    @field_validator("gitlab_read_token")
    @classmethod
    def _with_its_user(cls, token: SecretStr | None, info: ValidationInfo) -> SecretStr | None:
        if token is not None and not info.data.get("gitlab_read_user"):
            raise ValueError("needs GITLAB_READ_USER beside it")
        return token


def _listed(setting: SecretStr | None) -> tuple[str, ...]:
    """Return the parts of a comma-separated secret."""
    text = setting.get_secret_value() if setting else ""
    return tuple(part.strip() for part in text.split(",") if part.strip())


Read = TypeVar("Read", bound=CommonSettings)


def load(kind: type[Read]) -> Read:
    """Read the settings of this kind.

    Raises SettingsError with everything that is missing or wrong; if nothing is, with everything that is unsafe.
    """
    try:
        config = kind()
    except UnicodeDecodeError:  # of a source: PowerShell, for one, writes UTF-16
        files = [file for file in map(Path, ENV_FILES) if not _is_utf8(file)]
        raise SettingsError([f"{file} is not UTF-8: save it as UTF-8" for file in files]) from None
    except ValidationError as error:
        raise SettingsError([_problem(kind, detail) for detail in error.errors()]) from None
    if risks := safety.refused(config):
        raise SettingsError([str(risk) for risk in risks])
    return config


def _is_utf8(file: Path) -> bool:
    try:
        if file.is_file():
            file.read_text(encoding="utf-8")
    except UnicodeDecodeError:
        return False
    return True


def _problem(kind: type[CommonSettings], detail: Any) -> str:
    first, *rest = map(str, detail["loc"])
    name = ".".join([shown(first), *rest])
    field = kind.model_fields.get(first)
    if detail["type"] == "missing":
        return f"{name} is not set: {field.description if field else ''}"
    return f"{name}: {detail['msg'].removeprefix('Value error, ')}"
