"""An address that an upstream names is used only on a host of our settings."""

from __future__ import annotations

import pytest

from common.config.urls import is_on_host

HTTPS, HTTP = "https://gitlab.example.com/git", "http://gitlab:8080"


@pytest.mark.parametrize(
    ("url", "base"),
    [
        ("https://gitlab.example.com/dev/app.git", HTTPS),
        ("https://GitLab.example.com:443/dev/app.git", HTTPS),
        ("http://gitlab:8080/dev/app.git", HTTP),
        ("https://gitlab:8080/dev/app.git", HTTP),
        ("https://gitlab/dev/app.git", "http://gitlab"),
    ],
)
def test_our_host_is_known(url: str, base: str) -> None:
    assert is_on_host(url, base)


@pytest.mark.parametrize(
    "url",
    [
        "",
        "/dev/app.git",
        "//gitlab.example.com/dev",
        "javascript:alert(1)",
        "javascript://gitlab.example.com/%0aalert(1)",
        "data:text/html,x",
        "http://gitlab.example.com/dev/app.git",
        "https://gitlab.example.com:8443/dev/app.git",
        "https://gitlab.example.com.evil.example/",
        "https://evil.example/gitlab.example.com",
        "https://ada:secret@gitlab.example.com/dev",
        "https://gitlab.example.com@evil.example/",
        "https://evil.example\\@gitlab.example.com/",
        "https://gitlab.example.com/<svg>",
        "https://gitlab.example.com/\u202e",
        "https://gitlab.example.com/\ud800",
        "https://[::1",
        "https://gitlab.example.com:port/",
        "https://gitlab.example.com/" + "x" * 2_000,
    ],
)
def test_anything_else_is_not(url: str) -> None:
    assert not is_on_host(url, HTTPS)
