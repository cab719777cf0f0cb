"""Chromium, driven through chromedriver's own HTTP interface (W3C WebDriver)."""

from __future__ import annotations

import contextlib
import shutil
import subprocess
import time
from pathlib import Path
from typing import Any

import requests

from support.services import free_port

CHROMIUM, DRIVER = shutil.which("chromium"), shutil.which("chromedriver")
IS_INSTALLED = bool(CHROMIUM and DRIVER)
INSTALL = "Chromium is not installed. On Debian, as root: apt-get install chromium chromium-driver"
STARTS_WITHIN_S = 30.0


class Browser:
    """One window of a new profile."""

    def __init__(self, profile: Path) -> None:
        port = free_port()
        self._driver = subprocess.Popen(
            (str(DRIVER), f"--port={port}"), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        self._url = f"http://127.0.0.1:{port}"
        self._await_driver()
        options = {
            "binary": CHROMIUM,
            "args": [
                "--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run",
                f"--user-data-dir={profile}",
            ],
        }  # fmt: skip
        wanted = {"browserName": "chrome", "goog:chromeOptions": options, "timeouts": {"script": 20_000}}
        session = self._call("POST", "/session", {"capabilities": {"alwaysMatch": wanted}})
        self._url += f"/session/{session['sessionId']}"

    def open(self, url: str) -> None:
        """Open a page as if its address was typed, and wait until it is loaded."""
        self._call("POST", "/url", {"url": url})

    def run(self, script: str, *arguments: Any) -> Any:
        """Run a script in the page, as the body of an asynchronous function; returns what it returns."""
        call = f"(async function () {{ {script} }}).apply(null, [...arguments].slice(0, -1))"
        body = f"const done = arguments[arguments.length - 1]; {call}.then(done, (error) => done(String(error)))"
        return self._call("POST", "/execute/async", {"script": body, "args": list(arguments)})

    def cookie(self, name: str) -> str:
        """Return the value of a cookie of this page's host, also of one that scripts cannot read; "" without one."""
        return next((each["value"] for each in self._call("GET", "/cookie") if each["name"] == name), "")

    def close(self) -> None:
        with contextlib.suppress(requests.RequestException):
            requests.delete(self._url, timeout=10)
        self._driver.terminate()
        self._driver.wait(10)

    def _await_driver(self) -> None:
        until_s = time.monotonic() + STARTS_WITHIN_S
        while True:
            try:
                requests.get(f"{self._url}/status", timeout=5)
            except requests.ConnectionError:
                assert time.monotonic() < until_s, "chromedriver does not come up"
                time.sleep(0.05)
            else:
                return

    def _call(self, method: str, path: str, body: dict[str, Any] | None = None) -> Any:
        answer = requests.request(method, self._url + path, json=body, timeout=60).json()["value"]
        assert not (isinstance(answer, dict) and "error" in answer), answer
        return answer
