"""A git server that serves repositories as plain files to whoever has the password, and fails as it is told to."""

from __future__ import annotations

import base64
import subprocess
import tempfile
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

USER = "reader"
AUTHOR = ("-c", "user.name=t", "-c", "user.email=t@example.org")


@dataclass
class GitServer:
    """Repositories by path. `password` is the reader's, `status` and `delay_s` are of every answer from now on.

    `answers` are statuses and texts of single repositories, whatever the credentials. Paths under `/public` are open.
    """

    root: Path
    url: str = ""
    password: str = "first-password"
    status: int = 0
    delay_s: float = 0.0
    answers: dict[str, tuple[int, str]] = field(default_factory=dict)

    def add(self, name: str, files: Mapping[str, str] | None) -> str:
        """Make a repository, with one commit of these files or, without any, empty; return its URL."""
        bare = self.root / f"{name}.git"
        subprocess.run(["git", "init", "-q", "-b", "main", "--bare", str(bare)], check=True)
        if files is not None:
            self.commit(name, files)
        subprocess.run(["git", "update-server-info"], cwd=bare, check=True)
        return self.url_of(name)

    def commit(self, name: str, files: Mapping[str, str]) -> None:
        """Make these files the whole of a repository's `main`."""
        bare = self.root / f"{name}.git"
        with tempfile.TemporaryDirectory() as work:
            for path, text in {".keep": "", **files}.items():
                (Path(work) / path).parent.mkdir(parents=True, exist_ok=True)
                (Path(work) / path).write_text(text)
            inside = ("git", *AUTHOR, f"--git-dir={bare}", f"--work-tree={work}")
            subprocess.run([*inside, "add", "--all", "."], check=True)
            subprocess.run([*inside, "commit", "-q", "--allow-empty", "-m", "files"], check=True)
        subprocess.run(["git", "update-server-info"], cwd=bare, check=True)

    def url_of(self, name: str) -> str:
        return f"{self.url}/{name}.git"

    def refusal(self, path: str, authorization: str) -> tuple[int, str] | None:
        """Return the status and the text with which a request is refused, None when it is served."""
        time.sleep(self.delay_s)
        if self.status:
            return self.status, "broken"
        own = next((answer for name, answer in self.answers.items() if path.startswith(f"/{name}.git")), None)
        if own is not None:
            return own
        expected = base64.b64encode(f"{USER}:{self.password}".encode()).decode()
        if not path.startswith("/public/") and authorization != f"Basic {expected}":
            return 401, "HTTP Basic: Access denied."
        if not (self.root / path.lstrip("/").partition(".git")[0]).with_suffix(".git").is_dir():
            return 404, "The project you were looking for could not be found."
        return None


@contextmanager
def served(root: Path) -> Iterator[GitServer]:
    """Serve an empty git server on a free port until the block ends."""
    root.mkdir(parents=True, exist_ok=True)
    git = GitServer(root)

    class Handler(SimpleHTTPRequestHandler):
        def __init__(self, *args: object, **kwargs: object) -> None:
            super().__init__(*args, directory=str(root), **kwargs)  # type: ignore[arg-type] # as they came

        def do_GET(self) -> None:
            refused = git.refusal(self.path, self.headers.get("Authorization", ""))
            if refused is None:
                super().do_GET()
                return
            status, text = refused
            self.send_response(status)
            if status == 401:
                self.send_header("WWW-Authenticate", 'Basic realm="git"')
            self.send_header("Content-Type", "text/plain")
            self.send_header("Content-Length", str(len(text)))
            self.end_headers()
            self.wfile.write(text.encode())

        def log_message(self, *_args: object) -> None:
            """Write nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.handle_error = lambda *_args: None  # type: ignore[method-assign] # git hangs up when it gives up
    thread = threading.Thread(target=server.serve_forever, args=(0.05,))
    thread.start()
    git.url = f"http://127.0.0.1:{server.server_port}"
    try:
        yield git
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
