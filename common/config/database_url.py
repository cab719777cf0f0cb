"""The address of the database: checked when the settings are read, and never quoted, as it contains a password.

A driver takes any argument of an address and complains when it connects, or does not: PyMySQL takes the text `false`
for true. So the arguments are listed here.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from urllib.parse import parse_qsl

from pydantic import SecretStr, ValidationInfo
from sqlalchemy import URL, make_url
from sqlalchemy.exc import ArgumentError

DRIVERS = ("mysql+pymysql", "mariadb+pymysql", "sqlite", "sqlite+pysqlite")
HIGHEST_PORT = 65_535
OF_OTHER_DRIVERS = ("ssl", "ssl_mode", "ssl-mode", "sslmode", "sslMode", "useSSL", "tls")


def _is_file(text: str) -> bool:
    return Path(text).is_file()


def _is_true(text: str) -> bool:
    return text == "true"


def _is_flag(text: str) -> bool:
    return text in ("true", "false")


# Source: PyMySQL, `pymysql.connections.Connection`. Time limits and `init_command` are ours: common/database/engine.py.
ARGUMENTS: Mapping[str, tuple[str, Callable[[str], bool]]] = {
    "charset": ("utf8mb4", lambda text: text == "utf8mb4"),
    "unix_socket": ("a path", bool),
    "ssl_ca": ("a file that exists", _is_file),
    "ssl_cert": ("a file that exists", _is_file),
    "ssl_key": ("a file that exists", _is_file),
    "ssl_check_hostname": ("true or false", _is_flag),
    "ssl_verify_cert": ("true, or left out", _is_true),
    "ssl_verify_identity": ("true, or left out", _is_true),
    "ssl_disabled": ("true, or left out", _is_true),
}


def checked(value: SecretStr, info: ValidationInfo) -> SecretStr:
    """Return the address, with the password of the field `db_password` if it has none. Raises ValueError."""
    try:
        url = make_url(value.get_secret_value())
    except (ArgumentError, ValueError):
        raise ValueError("is not an address") from None
    if url.drivername not in DRIVERS:
        raise ValueError("must begin with mysql+pymysql://, mariadb+pymysql:// or sqlite:///")
    if url.database in (None, "", ":memory:"):
        raise ValueError("must name a database")
    if url.port is not None and not 0 < url.port <= HIGHEST_PORT:
        raise ValueError(f"must have a port of 1 to {HIGHEST_PORT}, or none")
    _require_known_arguments(url, value.get_secret_value())
    password: SecretStr | None = info.data.get("db_password")
    if password is None or url.username is None or url.password is not None:
        return value
    return SecretStr(url.set(password=password.get_secret_value()).render_as_string(hide_password=False))


def _require_known_arguments(url: URL, text: str) -> None:
    _, mark, query = text.partition("?")
    if url.get_backend_name() == "sqlite":
        if mark:
            raise ValueError("must end with the file: no ? behind it")
        return
    for name, argument in parse_qsl(query, keep_blank_values=True):
        if name in OF_OTHER_DRIVERS:
            raise ValueError(f"has {name}=, which the driver does not know: for TLS write ssl_ca=/path/to/bundle.pem")
        if name not in ARGUMENTS:  # not shown: behind a ? that should have been %3F it is a part of the password
            known = ", ".join(ARGUMENTS)
            raise ValueError(f"has an argument that is none of {known}; a ? in a password is written %3F")
        wanted, is_good = ARGUMENTS[name]
        if not is_good(argument):
            raise ValueError(f"must have {wanted} for {name}=")
