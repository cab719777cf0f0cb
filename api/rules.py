"""Which names and passwords do we take?  Only those that every upstream takes, so that no job fails half-way.

Names are the intersection of GitLab's paths, Jenkins' ids, Elasticsearch's users and Kubernetes' labels: ASCII and
lower case, so that no look-alike, no trailing blank and no other case can pass for somebody else.
"""

from __future__ import annotations

import re
import unicodedata
from functools import cache
from importlib import resources

from api.problems import FieldError
from common.catalog import Catalog

NAME = re.compile(r"[a-z](?:[a-z0-9]|-(?=[a-z0-9])){1,30}[a-z0-9]")
NAME_RULE = (
    "Use 3 to 32 lower-case letters a-z, digits and single hyphens; start with a letter, end with a letter or a digit."
)
ID = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")
EMAIL = re.compile(r"[a-z0-9][a-z0-9._%+-]{0,63}@(?:[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?\.)+[a-z]{2,63}")
PASSWORD_CHARACTERS = 12
PASSWORD_BYTES = 72  # Jenkins' bcrypt takes no more
PART_CHARACTERS = 4  # GitLab looks for parts of this length and longer
GITLAB_WORDS = ("gitlab", "devops")
JENKINS_OWN_NAMES = frozenset({"anonymous", "system", "unknown"})  # refused as a full name, too


def login_problems(login: str, catalog: Catalog) -> list[FieldError]:
    """A login shares GitLab's name space with groups, and Elasticsearch's with built-in users."""
    if not NAME.fullmatch(login):
        return [FieldError(field="id", code="invalid", message=NAME_RULE)]
    groups = {team.gitlab_group.partition("/")[0].lower() for team in catalog.teams.values()}
    templates = {kind.source_template.partition("/")[0].lower() for kind in catalog.types.values()}
    if login in _words("reserved_logins.txt") | groups | templates:
        return [FieldError(field="id", code="reserved", message="This name is reserved. Choose another one.")]
    return []


def app_name_problems(name: str) -> list[FieldError]:
    """An app's name becomes a repository, a pipeline, an application and a Kubernetes namespace."""
    if not NAME.fullmatch(name):
        return [FieldError(field="name", code="invalid", message=NAME_RULE)]
    is_gitlabs_own = re.search(r"-(deleted|deletion-scheduled)-\d+$", name)
    if name in _words("reserved_apps.txt") or name.startswith("kube-") or is_gitlabs_own:
        return [FieldError(field="name", code="reserved", message="This name is reserved. Choose another one.")]
    return []


def project_name_problems(name: str) -> list[FieldError]:
    return [] if NAME.fullmatch(name) else [FieldError(field="name", code="invalid", message=NAME_RULE)]


def email_problems(email: str) -> list[FieldError]:
    if len(email) <= 254 and email.isascii() and EMAIL.fullmatch(email.lower()):
        return []
    return [FieldError(field="email", code="invalid", message="Use an e-mail address such as ada@example.com.")]


def person_name_problems(name: str) -> list[FieldError]:
    if name.lower() in JENKINS_OWN_NAMES:
        return [FieldError(field="name", code="reserved", message="This name is reserved. Use your own.")]
    if name == name.strip() and name.isprintable() and not set(name) & set("<>"):
        return []
    message = "Use printable characters without < and >, with no blank at either end."
    return [FieldError(field="name", code="invalid", message=message)]


def description_problems(description: str) -> list[FieldError]:
    """Any text in any script, over several lines; no other control characters."""
    if any(unicodedata.category(character) == "Cc" and character not in "\r\n\t" for character in description):
        return [FieldError(field="description", code="invalid", message="Leave out control characters.")]
    return []


def password_problems(password: str, *, login: str, email: str, name: str) -> list[FieldError]:
    """Every rule of every upstream at once; all that is wrong is said together."""
    problems = []
    if len(password) < PASSWORD_CHARACTERS:
        problems.append(("too_short", f"Use at least {PASSWORD_CHARACTERS} characters."))
    if len(password.encode("utf-8", "surrogatepass")) > PASSWORD_BYTES:
        problems.append(("too_long", f"Use at most {PASSWORD_BYTES} bytes in UTF-8."))
    if not password.isprintable() or password != password.strip():
        problems.append(("invalid", "Use printable characters, with no blank at either end."))
    if _is_common(password):
        problems.append(("too_common", "This password is among those that are tried first. Choose another one."))
    if word := next((word for word in GITLAB_WORDS if word in password.lower()), None):
        problems.append(("too_common", f"Leave out {word!r}: GitLab takes no password with it."))
    if part := _own_part(password.lower(), login, email, name):
        problems.append(("contains_own_data", f"Leave out {part!r}: it comes from your id, name or e-mail address."))
    return [FieldError(field="password", code=code, message=message) for code, message in problems]


def _is_common(password: str) -> bool:
    folded = password.lower()
    repeats = any(folded == (folded[:size] * len(folded))[: len(folded)] for size in (1, 2, 3, 4))
    return repeats or folded in _words("weak_passwords.txt")


def _own_part(folded: str, login: str, email: str, name: str) -> str | None:
    wholes = [whole.lower() for whole in (login, email, name) if whole]
    parts = [part for whole in wholes for part in re.split(r"[\W_]+", whole) if len(part) >= PART_CHARACTERS]
    return next((part for part in [*wholes, *parts] if part in folded), None)


@cache
def _words(file: str) -> frozenset[str]:
    text = resources.files("api").joinpath(file).read_text(encoding="utf-8")
    return frozenset(line.strip() for line in text.splitlines() if line.strip() and not line.startswith("#"))
