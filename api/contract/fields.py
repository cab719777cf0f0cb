"""Published schemas of the fields: the rules of `validation.py`, as far as JSON Schema can express them.

Values that depend on the installation come from its catalog (`x-one-of`, `x-none-of`: see `api/openapi/build.py`).
"""

from __future__ import annotations

from collections.abc import Iterable
from re import Pattern
from typing import Annotated, Any

from pydantic import Field

from api.contract import validation

NAME: dict[str, Any] = {"pattern": "^[a-z][a-z0-9]*(?:-[a-z0-9]+)*$", "minLength": 3, "maxLength": 32}
EMAIL_PATTERN = (
    r"^[A-Za-z0-9][A-Za-z0-9._%+-]{0,63}@(?:[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?\.)+[A-Za-z]{2,63}$"
)
K_VARIANTS = r"[kK\u212a]"  # the last one is the kelvin sign, whose lower case is a k


def _anchored(pattern: Pattern[str]) -> str:
    return f"^(?:{pattern.pattern.replace(validation.SURROGATES, '')})$"


def _in_any_case(words: Iterable[str]) -> str:
    """Return a pattern that ignores case: patterns in JSON Schema have no flags."""
    cased = {letter: f"[{letter.lower()}{letter.upper()}]" for word in words for letter in word} | {"k": K_VARIANTS}
    return "|".join("".join(cased[letter] for letter in word) for word in sorted(words))


def _field(schema: dict[str, Any], description: str) -> Any:
    return Field(json_schema_extra=schema, description=description)


PRINTABLE_PATTERN = _anchored(validation.PRINTABLE)
NewLogin = Annotated[str, _field({**NAME, "x-none-of": "logins"}, f"The login on every system. {validation.NAME_RULE}")]
NewName = Annotated[str, _field(NAME, validation.NAME_RULE)]
NewAppName = Annotated[
    str,
    _field(
        {
            **NAME,
            "x-none-of": "apps",
            "allOf": [
                {"not": {"pattern": _anchored(own)}}
                for own in (validation.KUBERNETES_RESERVED, validation.GITLAB_RESERVED)
            ],
        },
        f"The name of the repository, pipeline, application and namespace. {validation.NAME_RULE}",
    ),
]
Email = Annotated[
    str,
    _field(
        {"pattern": EMAIL_PATTERN, "maxLength": validation.EMAIL_CHARACTERS},
        "An ASCII e-mail address. Upper and lower case are equal.",
    ),
]
PersonName = Annotated[
    str,
    Field(min_length=1, max_length=100),
    _field(
        {
            "pattern": _anchored(validation.PERSON_NAME),
            "not": {"pattern": f"^(?:{_in_any_case(validation.JENKINS_RESERVED_NAMES)})$"},
        },
        "The full name, in any script. Printable characters except < and >, no space at either end.",
    ),
]
NewPassword = Annotated[
    str,
    Field(repr=False),
    _field(
        {
            "format": "password",
            "minLength": validation.PASSWORD_CHARACTERS,
            "maxLength": validation.PASSWORD_BYTES,
            "pattern": _anchored(validation.PRINTABLE),
            "not": {"pattern": _in_any_case(validation.GITLAB_WORDS)},
            "writeOnly": True,
        },
        f"At most {validation.PASSWORD_BYTES} bytes in UTF-8. Must not be a common password or contain parts of the "
        "person's ID, name or e-mail address.",
    ),
]
Description = Annotated[
    str,
    Field(max_length=500),
    _field(
        {"pattern": _anchored(validation.TEXT)},
        "Free text; line breaks and tabs are the only control characters allowed.",
    ),
]
JoinedTeam = Annotated[
    str, _field({"x-one-of": "teams"}, "A team that is open to everyone, or the team of the invitation.")
]
InviteCode = Annotated[
    str | None,
    Field(
        repr=False, pattern=r"^[A-Za-z0-9_-]{1,64}$", description="The invitation code, for a team that is not open."
    ),
]
TypeName = Annotated[str, _field({"x-one-of": "types"}, "A type from the catalog.")]
ExistingId = Annotated[str, _field({"pattern": _anchored(validation.ID)}, "An ID from an earlier response.")]
ImageTag = Annotated[str | None, Field(pattern=r"^[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}$")]
Revision = Annotated[str | None, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._/-]{0,199}$")]
