"""No file of the repository holds a secret that looks like a real one.

The patterns are those of detect-secrets, over whole files at once: the tool itself goes line by line, and is too slow
for a check that everybody runs.
"""

from __future__ import annotations

import os
import re
import subprocess
from collections.abc import Iterator
from fnmatch import fnmatch
from pathlib import Path

import pytest
from detect_secrets.core.plugins.util import get_mapping_from_secret_type_to_class
from detect_secrets.plugins.base import RegexBasedDetector
from detect_secrets.plugins.basic_auth import BasicAuthDetector
from detect_secrets.plugins.cloudant import CloudantDetector
from detect_secrets.plugins.ibm_cloud_iam import IbmCloudIamDetector
from detect_secrets.plugins.ibm_cos_hmac import IbmCosHmacDetector
from detect_secrets.plugins.ip_public import IPPublicDetector
from detect_secrets.plugins.softlayer import SoftlayerDetector
from support.checkout import ROOT

LEFT_OUT = (IPPublicDetector, CloudantDetector, IbmCloudIamDetector, IbmCosHmacDetector, SoftlayerDetector)
"""No secrets; and services that nobody here uses, whose patterns take most of the time."""

# A password in an address counts if a generator may have made it: people make up short words for texts and tests.
GENERATED = re.compile(r"(?=.*[a-z])(?=.*[A-Z])(?=.*[0-9])[^{$%]{12,}")
MADE_UP = {
    "glpat-xxxxxxxxxxxxxxxxxxxx",
    "glpat-Xq3_v7Lm2ZkT",
    "glpat-Xq3_v7Lm2ZkU",
    "eyJhbGciOiJIUzI1NiJ9.made.up",
}  # each in one test
OWN = (".venv*", "var", "secrets", ".env", "__pycache__", ".*_cache", ".hypothesis", "build", "*.egg-info")
"""Whoever runs this made it, and git has none of it."""

DETECTORS = [
    kind()
    for kind in get_mapping_from_secret_type_to_class().values()
    if issubclass(kind, RegexBasedDetector) and kind not in LEFT_OUT
]


def _secrets_in(text: str) -> Iterator[str]:
    """Yield the type of each secret, never the secret: it would go on into the log of whoever runs this."""
    for made_up in MADE_UP:
        text = text.replace(made_up, "")
    for detector in DETECTORS:
        for pattern in detector.denylist:
            for match in pattern.finditer(text):
                if not isinstance(detector, BasicAuthDetector) or GENERATED.fullmatch(match[1]):
                    yield detector.secret_type


def _files(root: Path = ROOT) -> list[Path]:
    """Return what git has, also where the checkout is another user's; all files but our own ones where it has none."""
    if not (root / ".git").exists():
        return [*_walked(root)]
    command = ("git", "-c", "safe.directory=*", "ls-files", "-z")
    listed = subprocess.run(command, cwd=root, capture_output=True, text=True, check=True).stdout
    return [file for name in listed.split("\0") if name and (file := root / name).is_file()]


def _walked(root: Path) -> Iterator[Path]:
    for place, directories, names in os.walk(root):
        directories[:] = [name for name in directories if not any(fnmatch(name, own) for own in OWN)]
        yield from (Path(place, name) for name in names if not any(fnmatch(name, own) for own in OWN))


def test_no_file_holds_a_secret() -> None:
    files = _files()

    texts = {file: file.read_text(encoding="utf-8", errors="replace") for file in files}
    found = {str(file.relative_to(ROOT)): kinds for file, text in texts.items() if (kinds := [*_secrets_in(text)])}

    assert len(files) > 100
    assert found == {}


def test_a_release_without_git_is_searched_but_for_what_is_made_there(tmp_path: Path) -> None:
    for name in ("api/app.py", ".env.example", ".venv/lib.py", "var/embedded.env", ".env"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()

    assert {str(file.relative_to(tmp_path)) for file in _files(tmp_path)} == {"api/app.py", ".env.example"}


def test_a_checkout_of_another_user_is_searched(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GIT_TEST_ASSUME_DIFFERENT_OWNER", "1")

    assert len(_files()) > 100


@pytest.mark.parametrize(
    "parts",
    [
        ("-----BEGIN RSA PRIV", "ATE KEY-----"),
        ("AK", "IAIOSFODNN7EXAMPLE"),
        ("glp", "at-8sQ2xT7bN5kR9wYc4pL6"),
        ("gh", "p_8sQ2xT7bN5kR9wYc4pL6sD1fGaZe3hJ8vQm2"),
        ("https://user", ":8sQ2xT7bN5kR@git.example.com"),
        ("e", "yJhbGciOiJIUzI1NiJ9.WyJzdWIiXQ.8sQ2xT7bN5kR9wYc4pL6"),
    ],
    ids=["private key", "AWS", "GitLab", "GitHub", "password in an address", "JWT"],
)
def test_a_real_one_would_be_found(parts: tuple[str, str]) -> None:
    assert [*_secrets_in(f"first line\nTOKEN = '{''.join(parts)}'\n")]
