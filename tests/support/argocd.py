"""What do the tests of Argo CD share: a clock that they turn, and a chart in git that they can change."""

from __future__ import annotations

import functools
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

DEPLOYMENT = """\
apiVersion: apps/v1
kind: Deployment
metadata:
  name: {{ .Release.Name }}
spec:
  replicas: {{ .Values.replicas }}
  selector:
    matchLabels: {app: {{ .Release.Name }}}
  template:
    spec:
      containers:
        - name: app
{{- with .Values.image }}{{ if and .repository .tag }}
          image: "{{ .repository }}:{{ .tag }}"
{{- end }}{{ end }}
"""
SERVICE = """\
apiVersion: v1
kind: Service
metadata:
  name: {{ .Release.Name }}
spec:
  selector: {app: {{ .Release.Name }}}
"""
AUTHOR = ("-c", "user.name=t", "-c", "user.email=t@example.org")
VALUES = """\
replicas: 1
image:
  repository: registry.example/shop  # a comment, and a blank line in the block

  tag: "{tag}"
other:
  tag: no
"""


class Clock:
    """A clock that only moves when it is told to."""

    def __init__(self) -> None:
        self.at = 1_800_000_000.0

    def __call__(self) -> float:
        return self.at


class _Quiet(SimpleHTTPRequestHandler):
    def log_message(self, *_args: object) -> None:
        """Keep quiet."""


@dataclass
class Chart:
    """A public repository with a chart at its root."""

    url: str
    work: Path
    bare: Path

    def commit(self, values: str, *, branch: str = "main") -> str:
        """Commit these values on a branch and return the commit."""
        (self.work / "values.yaml").write_text(values)
        self._git("checkout", "-q", "-B", branch)
        self._git("add", ".")
        self._git("commit", "-q", "--allow-empty", "-m", "values")
        self.push(branch)
        return self._git("rev-parse", "HEAD")

    def tag(self, name: str) -> None:
        self._git("tag", "-a", name, "-m", name)
        self.push(name)

    def push(self, ref: str) -> None:
        self._git("push", "-q", "-f", str(self.bare), ref)
        subprocess.run(["git", "update-server-info"], cwd=self.bare, check=True)

    def _git(self, *arguments: str) -> str:
        done = subprocess.run(["git", *AUTHOR, *arguments], cwd=self.work, check=True, capture_output=True, text=True)
        return done.stdout.strip()


@contextmanager
def served_chart(root: Path) -> Iterator[Chart]:
    """Serve a chart as plain files, on a free port, until the block ends."""
    work, bare = root / "work", root / "chart.git"
    (work / "templates").mkdir(parents=True)
    (work / "templates" / "deployment.yaml").write_text(DEPLOYMENT)
    (work / "templates" / "service.yaml").write_text(SERVICE)
    (work / "Chart.yaml").write_text("apiVersion: v2\nname: shop\nversion: 0.1.0\n")
    subprocess.run(["git", "init", "-q", "-b", "main", str(work)], check=True)
    subprocess.run(["git", "init", "-q", "-b", "main", "--bare", str(bare)], check=True)
    server = ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(_Quiet, directory=str(root)))
    thread = threading.Thread(target=server.serve_forever, args=(0.05,))
    thread.start()
    try:
        chart = Chart(f"http://127.0.0.1:{server.server_port}/chart.git", work, bare)
        chart.commit(VALUES.format(tag="1.0"))
        yield chart
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
