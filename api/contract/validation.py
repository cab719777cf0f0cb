"""Which names and passwords do we take?  Only those that every upstream takes, so that no job fails half-way.

Names are the intersection of GitLab's paths, Jenkins' ids, Elasticsearch's users and Kubernetes' labels: ASCII and
lower case, so that no look-alike, no trailing blank and no other case can pass for somebody else.
"""

from __future__ import annotations

import re
from functools import cache
from importlib import resources

from api.contract.problems import FieldError
from common.config.catalog import Catalog

# What is published of these patterns says the same (api/contract/fields.py); here they match from end to end.
NAME = re.compile(r"(?=.{3,32}\Z)[a-z][a-z0-9]*(?:-[a-z0-9]+)*")
NAME_RULE = (
    "Use 3 to 32 lower-case letters a-z, digits and single hyphens; start with a letter, end with a letter or a digit."
)
TEAM = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
ID = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")
EMAIL = re.compile(r"[a-z0-9][a-z0-9._%+-]{0,63}@(?:[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?\.)+[a-z]{2,63}", re.IGNORECASE)
EMAIL_CHARACTERS = 254
GITLAB_RESERVED = re.compile(r".*-(?:deleted|deletion-scheduled)-[0-9]+")
KUBERNETES_RESERVED = re.compile(r"kube-.*")
SURROGATES = r"\ud800-\udfff"  # of characters: JSON holds none, and not every engine takes them in a pattern
# Controls, blanks other than the space, and what shows as nothing or turns the writing around.
INVISIBLE = (
    r"\x00-\x1f\x7f-\xa0\xad\u0600-\u0605\u061c\u06dd\u070f\u0890\u0891\u08e2\u1680\u180e\u2000-\u200f\u2028-\u202f"
    rf"\u205f-\u206f\u3000{SURROGATES}\ue000-\uf8ff\ufeff\ufff0-\uffff"
    "\U000e0000-\U0010ffff"
)
PRINTABLE = re.compile(f"[^ {INVISIBLE}](?:[^{INVISIBLE}]*[^ {INVISIBLE}])?")  # with no blank at either end
PERSON_NAME = re.compile(f"[^ <>{INVISIBLE}](?:[^<>{INVISIBLE}]*[^ <>{INVISIBLE}])?")
TEXT = re.compile(r"[^\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f]*")
PASSWORD_CHARACTERS = 12
PASSWORD_BYTES = 72  # Jenkins' bcrypt takes no more
MIN_PART_CHARACTERS = 4  # GitLab looks for parts of this length and longer
GITLAB_WORDS = ("gitlab", "devops")
JENKINS_RESERVED_NAMES = frozenset({"anonymous", "system", "unknown"})  # refused as a full name, too


def login_problems(login: str, catalog: Catalog) -> list[FieldError]:
    """A login shares GitLab's name space with groups, and Elasticsearch's with built-in users."""
    if not NAME.fullmatch(login):
        return [FieldError(field="id", code="invalid", message=NAME_RULE)]
    if login in reserved_logins(catalog):
        return [FieldError(field="id", code="reserved", message="This name is reserved. Choose another one.")]
    return []


def reserved_logins(catalog: Catalog) -> frozenset[str]:
    """Return the upstreams' own names, and the groups of this catalog."""
    groups = {team.gitlab_group.partition("/")[0].lower() for team in catalog.teams.values()}
    templates = {kind.source_template.partition("/")[0].lower() for kind in catalog.types.values()}
    return _words("reserved_logins.txt") | groups | templates


def reserved_apps() -> frozenset[str]:
    return _words("reserved_apps.txt")


def person_problems(*, login: str, email: str, name: str, password: str, catalog: Catalog) -> list[FieldError]:
    """Return all that is wrong with a new person."""
    return [
        *login_problems(login, catalog),
        *email_problems(email),
        *person_name_problems(name),
        *password_problems(password, login=login, email=email, name=name),
    ]


def app_name_problems(name: str) -> list[FieldError]:
    """An app's name becomes a repository, a pipeline, an application and a Kubernetes namespace."""
    if not NAME.fullmatch(name):
        return [FieldError(field="name", code="invalid", message=NAME_RULE)]
    if name in reserved_apps() or KUBERNETES_RESERVED.fullmatch(name) or GITLAB_RESERVED.fullmatch(name):
        return [FieldError(field="name", code="reserved", message="This name is reserved. Choose another one.")]
    return []


def project_name_problems(name: str) -> list[FieldError]:
    return [] if NAME.fullmatch(name) else [FieldError(field="name", code="invalid", message=NAME_RULE)]


def email_problems(email: str) -> list[FieldError]:
    if len(email) <= EMAIL_CHARACTERS and email.isascii() and EMAIL.fullmatch(email):
        return []
    return [FieldError(field="email", code="invalid", message="Use an e-mail address such as ada@example.com.")]


def person_name_problems(name: str) -> list[FieldError]:
    if name.lower() in JENKINS_RESERVED_NAMES:
        return [FieldError(field="name", code="reserved", message="This name is reserved. Use your own.")]
    if PERSON_NAME.fullmatch(name):
        return []
    message = "Use printable characters without < and >, with no blank at either end."
    return [FieldError(field="name", code="invalid", message=message)]


def description_problems(description: str) -> list[FieldError]:
    """Any text in any script, over several lines; no other control characters."""
    if not TEXT.fullmatch(description):
        return [FieldError(field="description", code="invalid", message="Leave out control characters.")]
    return []


def password_problems(password: str, *, login: str, email: str, name: str) -> list[FieldError]:
    """Every rule of every upstream at once; all that is wrong is said together."""
    problems = []
    if len(password) < PASSWORD_CHARACTERS:
        problems.append(("too_short", f"Use at least {PASSWORD_CHARACTERS} characters."))
    if len(password.encode("utf-8", "surrogatepass")) > PASSWORD_BYTES:
        problems.append(("too_long", f"Use at most {PASSWORD_BYTES} bytes in UTF-8."))
    if not PRINTABLE.fullmatch(password):
        problems.append(("invalid", "Use printable characters, with no blank at either end."))
    if _is_common(password):
        problems.append(("too_common", "This password is among those that are tried first. Choose another one."))
    if word := next((word for word in GITLAB_WORDS if word in password.lower()), None):
        problems.append(("too_common", f"Leave out {word!r}: GitLab takes no password with it."))
    if part := _personal_part(password.lower(), login, email, name):
        problems.append(("contains_own_data", f"Leave out {part!r}: it comes from your id, name or e-mail address."))
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
