"""What we ship and start may be used and passed on as we do it: every licence is one of a list."""

from __future__ import annotations

import re
from importlib.metadata import PackageNotFoundError, metadata

import pytest
from support.images import ROOT

ALLOWED = {
    "0BSD",
    "3-Clause BSD License",
    "Apache Software License",
    "Apache-2.0",
    "BSD License",
    "BSD-2-Clause",
    "BSD-3-Clause",
    "ISC License (ISCL)",
    "MIT",
    "MIT License",
    "MIT-0",
    "Mozilla Public License 2.0 (MPL 2.0)",  # certifi: a list of certificates, shipped unchanged
    "PSF-2.0",
    "Python Software Foundation License",
}
PLATFORMS = {"async-timeout", "tzdata"}  # needed on other systems and Pythons than those of the tests
PINNED = sorted(
    {
        name
        for file in ("requirements.txt", "requirements-embedded.txt")
        for name in re.findall(r"^([a-z0-9.-]+)==", (ROOT / file).read_text(encoding="utf-8"), re.MULTILINE)
    }
)


def _licences(package: str) -> set[str]:
    """Return the parts of its licence, however its metadata says it: an expression, classifiers, or free text."""
    found = metadata(package)
    if expression := found.get("License-Expression"):
        return set(re.split(r" (?:AND|OR) ", expression.strip("()")))
    classifiers = [each.rpartition(" :: ")[2] for each in found.get_all("Classifier", []) if each.startswith("License")]
    return set(classifiers) or {(found.get("License") or "none").splitlines()[0]}


@pytest.mark.parametrize("package", PINNED)
def test_its_licence_is_one_that_we_may_use(package: str) -> None:
    try:
        licences = _licences(package)
    except PackageNotFoundError:
        assert package in PLATFORMS
    else:
        assert licences - ALLOWED == set()
