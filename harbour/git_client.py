"""Environment of a git that reads and writes a repository over HTTP, as a stand-in uses it on another one.

The login is in the environment: every process of the machine can read arguments, and URLs appear in logs.
"""

from __future__ import annotations

import os
from base64 import b64encode


def environment(username: str = "", password: str = "") -> dict[str, str]:
    """Return the environment: nobody's configuration, HTTP only, no questions, and the login if there is one."""
    settings = {"credential.helper": ""}
    if username or password:
        settings["http.extraHeader"] = f"Authorization: Basic {b64encode(f'{username}:{password}'.encode()).decode()}"
    keys = {f"GIT_CONFIG_KEY_{number}": key for number, key in enumerate(settings)}
    values = {f"GIT_CONFIG_VALUE_{number}": value for number, value in enumerate(settings.values())}
    return {
        "PATH": os.environ.get("PATH", os.defpath),
        "LC_ALL": "C",
        "GIT_ALLOW_PROTOCOL": "http:https",
        "GIT_CONFIG_GLOBAL": os.devnull,
        "GIT_CONFIG_NOSYSTEM": "1",
        "GIT_TERMINAL_PROMPT": "0",
        "GIT_CONFIG_COUNT": str(len(settings)),
        **keys,
        **values,
    }
