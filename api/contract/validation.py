"""Validation rules for names, e-mail addresses and passwords: only values that every upstream accepts.

A value that one upstream refuses would fail a job half-way. Names are the intersection of GitLab paths, Jenkins ids,
Elasticsearch users and Kubernetes labels: lower-case ASCII, so that no similar character, trailing space or different
case can imitate somebody else's name.
"""

from __future__ import annotations

import re
from functools import cache
from importlib import resources

from api.contract.problems import FieldError
from common.config import namespaces
from common.config.catalog import Catalog

# The published patterns are equal (api/contract/fields.py); here, each must match the whole text.
NAME = re.compile(r"(?=.{3,32}\Z)[a-z][a-z0-9]*(?:-[a-z0-9]+)*")
NAME_RULE = (
    "Use 3 to 32 lower-case letters (a-z), digits or single hyphens. Start with a letter; end with a letter or digit."
)
TEAM = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
ID = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")
EMAIL = re.compile(r"[a-z0-9][a-z0-9._%+-]{0,63}@(?:[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?\.)+[a-z]{2,63}", re.IGNORECASE)
EMAIL_CHARACTERS = 254
GITLAB_RESERVED = re.compile(r".*-(?:deleted|deletion-scheduled)-[0-9]+")
RENAMED = "gone-"  # begins the login of an account whose name was released
KUBERNETES_RESERVED = re.compile(r"kube-.*")
CLUSTER_NAMESPACES = re.compile(r"(?:kube|openshift)-.*")
RESERVED_RULE = "This name is reserved. Choose another name."
SURROGATES = r"\ud800-\udfff"  # JSON text contains none, and not every regular expression engine allows them
# Control characters, whitespace other than the space, and characters that are invisible or change text direction.
INVISIBLE = (
    r"\x00-\x1f\x7f-\xa0\xad\u0600-\u0605\u061c\u06dd\u070f\u0890\u0891\u08e2\u1680\u180e\u2000-\u200f\u2028-\u202f"
    rf"\u205f-\u206f\u3000{SURROGATES}\ue000-\uf8ff\ufeff\ufff0-\uffff"
    "\U000e0000-\U0010ffff"
)
PRINTABLE = re.compile(f"[^ {INVISIBLE}](?:[^{INVISIBLE}]*[^ {INVISIBLE}])?")  # no space at either end
PERSON_NAME = re.compile(f"[^ <>{INVISIBLE}](?:[^<>{INVISIBLE}]*[^ <>{INVISIBLE}])?")
TEXT = re.compile(r"[^\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f]*")
PASSWORD_CHARACTERS = 12
PASSWORD_BYTES = 72  # bcrypt, which Jenkins uses, takes no more
MIN_PART_CHARACTERS = 4  # GitLab refuses parts of this length and longer
GITLAB_WORDS = ("gitlab", "devops")
JENKINS_RESERVED_NAMES = frozenset({"anonymous", "system", "unknown"})  # refused as full names as well


def login_problems(login: str, catalog: Catalog, own: frozenset[str] = frozenset()) -> list[FieldError]:
    """Check a login, which shares a namespace with groups on GitLab and with built-in users on Elasticsearch.

    `own` are the logins of Slipway's own accounts: reserved, too, but not published.
    """
    if not NAME.fullmatch(login):
        return [FieldError(field="id", code="invalid", message=NAME_RULE)]
    if login in reserved_logins(catalog) or login in own or login.startswith(RENAMED):
        return [FieldError(field="id", code="reserved", message=RESERVED_RULE)]
    return []


def reserved_logins(catalog: Catalog) -> frozenset[str]:
    """Return the names that upstreams reserve, the groups of this catalog, and what it reserves itself."""
    groups = {team.gitlab_group.partition("/")[0].lower() for team in catalog.teams.values()}
    templates = {kind.source_template.partition("/")[0].lower() for kind in catalog.types.values()}
    return _words("reserved_logins.txt") | groups | templates | catalog.reserved.logins


def reserved_apps(catalog: Catalog) -> frozenset[str]:
    return _words("reserved_apps.txt") | catalog.reserved.apps


def person_problems(
    *, login: str, email: str, name: str, password: str, catalog: Catalog, own: frozenset[str] = frozenset()
) -> list[FieldError]:
    """Return every problem of a new person's data."""
    return [
        *login_problems(login, catalog, own),
        *email_problems(email),
        *person_name_problems(name),
        *password_problems(password, login=login, email=email, name=name),
    ]


def app_name_problems(name: str, catalog: Catalog) -> list[FieldError]:
    """Check an app's name, which names a repository, a pipeline and an application."""
    if not NAME.fullmatch(name):
        return [FieldError(field="name", code="invalid", message=NAME_RULE)]
    if name in reserved_apps(catalog) or KUBERNETES_RESERVED.fullmatch(name) or GITLAB_RESERVED.fullmatch(name):
        return [FieldError(field="name", code="reserved", message=RESERVED_RULE)]
    return []


def namespace_problems(namespace: str, catalog: Catalog) -> list[FieldError]:
    """Check the namespace that an app's name leads to: it must not be one that a cluster or an add-on has."""
    surplus = len(namespace) - namespaces.MAX_CHARACTERS
    if surplus > 0:
        message = f"Your team's apps run in namespaces such as {namespace}: use a name that is {surplus} shorter."
        return [FieldError(field="name", code="too_long", message=message)]
    reserved = _words("reserved_namespaces.txt") | reserved_apps(catalog)
    if namespace in reserved or CLUSTER_NAMESPACES.fullmatch(namespace):
        message = f"The app would run in the namespace {namespace}, which is reserved. Choose another name."
        return [FieldError(field="name", code="reserved", message=message)]
    return []


def project_name_problems(name: str) -> list[FieldError]:
    return [] if NAME.fullmatch(name) else [FieldError(field="name", code="invalid", message=NAME_RULE)]


def email_problems(email: str) -> list[FieldError]:
    if len(email) <= EMAIL_CHARACTERS and email.isascii() and EMAIL.fullmatch(email):
        return []
    return [FieldError(field="email", code="invalid", message="Enter an e-mail address such as ada@example.com.")]


def person_name_problems(name: str) -> list[FieldError]:
    if name.lower() in JENKINS_RESERVED_NAMES:
        return [FieldError(field="name", code="reserved", message="This name is reserved. Enter your own name.")]
    if PERSON_NAME.fullmatch(name):
        return []
    message = "Use printable characters except < and >, with no space at either end."
    return [FieldError(field="name", code="invalid", message=message)]


def description_problems(description: str) -> list[FieldError]:
    """Allow text in any script, with line breaks and tabs but no other control characters."""
    if not TEXT.fullmatch(description):
        return [FieldError(field="description", code="invalid", message="Remove the control characters.")]
    return []


def password_problems(password: str, *, login: str, email: str, name: str) -> list[FieldError]:
    """Check a password against the rules of all upstreams; every violation is reported together."""
    problems = []
    if len(password) < PASSWORD_CHARACTERS:
        problems.append(("too_short", f"Use at least {PASSWORD_CHARACTERS} characters."))
    if len(password.encode("utf-8", "surrogatepass")) > PASSWORD_BYTES:
        problems.append(("too_long", f"Use at most {PASSWORD_BYTES} bytes in UTF-8."))
    if not PRINTABLE.fullmatch(password):
        problems.append(("invalid", "Use printable characters, with no space at either end."))
    if _is_common(password):
        problems.append(("too_common", "This password is too common. Choose another password."))
    if word := next((word for word in GITLAB_WORDS if word in password.lower()), None):
        problems.append(("too_common", f"Remove {word!r}: GitLab refuses passwords that contain it."))
    if part := _personal_part(password.lower(), login, email, name):
        problems.append(("contains_own_data", f"Remove {part!r}: it is part of your ID, name or e-mail address."))
    return [FieldError(field="password", code=code, message=message) for code, message in problems]


def _is_common(password: str) -> bool:
    folded = password.lower()
    repeats = any(folded == (folded[:size] * len(folded))[: len(folded)] for size in (1, 2, 3, 4))
    return repeats or folded in _words("weak_passwords.txt")


def _personal_part(folded: str, login: str, email: str, name: str) -> str | None:
    wholes = [whole.lower() for whole in (login, email, *email.split("@"), name)]
    parts = [part for whole in wholes for part in re.split(r"[\W_]+", whole)]
    return next((part for part in (*wholes, *parts) if len(part) >= MIN_PART_CHARACTERS and part in folded), None)


@cache
def _words(file: str) -> frozenset[str]:
    text = resources.files(__package__).joinpath(file).read_text(encoding="utf-8")
    return frozenset(line.strip() for line in text.splitlines() if line.strip() and not line.startswith("#"))
