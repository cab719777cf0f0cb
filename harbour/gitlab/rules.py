"""GitLab's rules for names and passwords."""

from __future__ import annotations

import re


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


SLUG = re.compile(r"[a-zA-Z0-9]+([_.-][a-zA-Z0-9]+)*")
PROJECT_NAME = re.compile(r"[\w\u00a9-\U0001f9ff][\w\u00a9-\U0001f9ff.+\- ]*")
EMAIL = re.compile(r"[^@\s]+@[^@\s]+")
RESERVED_PROJECTS = _words(
    "- badges blame blob builds commits create create_dir edit files find_file new preview raw refs tree update wikis"
)
RESERVED_TOP_LEVEL = _words(
    "- .well-known 404.html 422.html 500.html 502.html 503.html admin api apple-touch-icon.png assets dashboard "
    "deploy.html explore favicon.ico favicon.png files groups health_check help import jwt login oauth profile "
    "projects public robots.txt s search sitemap sitemap.xml sitemap.xml.gz slash-command-logo.png snippets "
    "unsubscribes uploads users v2"
)
WEAK_WORDS = ("gitlab", "devops")
WEAK_PASSWORDS = frozenset(("password", "12345678", "123456789", "qwertyuiop", "password1", "iloveyou"))
NAME_RULE = (
    "Name can contain only letters, digits, emoji, '_', '.', '+', dashes, or spaces. "
    "It must start with a letter, digit, emoji, or '_'."
)
PATH_RULE = (
    "Path must start and end with a letter or digit, contain only letters, digits, '_', '-', '.', "
    "not two of the last three in a row, and not end in '.git' or '.atom'"
)
PASSWORD_MIN, PASSWORD_MAX, SUBSTRINGS_UNCHECKED_FROM = 8, 128, 64


def is_slug(path: str) -> bool:
    """Return whether users, groups and projects may have this path, apart from reserved words."""
    return bool(SLUG.fullmatch(path)) and len(path) <= 255 and not path.lower().endswith((".git", ".atom"))


def project_problems(name: str, path: str) -> list[str]:
    """Return the error sentences for a project of this name and path."""
    problems = []
    if not PROJECT_NAME.fullmatch(name) or len(name) > 255:
        problems.append(NAME_RULE)
    if not is_slug(path):
        problems.append(PATH_RULE)
    if path.lower() in RESERVED_PROJECTS:
        problems.append(f"Path {path} is a reserved name")
    return problems


def username_problems(username: str) -> list[str]:
    if username.lower() in RESERVED_TOP_LEVEL:
        return ["is a reserved name"]
    return [] if is_slug(username) else ["can contain only letters, digits, '_', '-' and '.'"]


def password_problems(password: str, *, username: str, name: str, email: str) -> list[str]:
    if len(password) < PASSWORD_MIN:
        return [f"is too short (minimum is {PASSWORD_MIN} characters)"]
    if len(password) > PASSWORD_MAX:
        return [f"is too long (maximum is {PASSWORD_MAX} characters)"]
    if is_weak(password.lower(), username.lower(), name.lower(), email.lower()):
        return ["must not contain commonly used combinations of words and letters"]
    return []


def is_weak(password: str, *personal: str) -> bool:
    """Return whether a lower-cased password is well known or, below 64 characters, contains a word of its owner."""
    if password in WEAK_PASSWORDS:
        return True
    if len(password) >= SUBSTRINGS_UNCHECKED_FROM:
        return False
    wholes = [whole for text in personal for whole in (text, *text.split("@"))]
    parts = [part for text in personal for part in re.split(r"[\W_]+", text)]
    return any(len(word) >= 4 and word in password for word in (*WEAK_WORDS, *wholes, *parts))
