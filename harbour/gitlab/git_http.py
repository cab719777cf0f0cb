"""Clone and push over HTTP, with GitLab's permissions.

The protocol itself is git's own `git http-backend`; this file decides who may use it, as GitLab does.
"""

from __future__ import annotations

import functools
import gzip
import hmac
import os
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

from werkzeug.wrappers import Request, Response

from harbour import passwords, repository
from harbour.gitlab.model import ADMIN, DEVELOPER, Branch, Project, User
from harbour.gitlab.state import GitLabBase

GIT_PATH = re.compile(r"/(?P<project>.+?)(?P<suffix>\.git)?(?P<service>/info/refs|/git-upload-pack|/git-receive-pack)")
REPORTER = 20
READ_ONLY = "Git push is not allowed because this GitLab instance is currently in (read-only) maintenance mode."
PROTECTED = "GitLab: You are not allowed to push code to protected branches on this project."


def is_git(path: str) -> bool:
    return GIT_PATH.fullmatch(path) is not None


def serve(gitlab: GitLabBase, request: Request) -> Response:
    """Answer one request of a git client: 401 without a valid login, 404 for what is not visible, 403 for the rest."""
    match = GIT_PATH.fullmatch(request.path)
    assert match is not None  # noqa: S101 - the caller checked `is_git`
    if not match["suffix"]:
        target = f"{gitlab.url}/{match['project']}.git{match['service']}?{request.query_string.decode()}"
        return Response(b"", 301, {"Location": target})
    asked = request.args.get("service") or match["service"].lstrip("/")
    with gitlab.lock:
        user = _user(gitlab, request)
        if user is None:
            challenge = {"WWW-Authenticate": 'Basic realm="GitLab"'}
            return Response("HTTP Basic: Access denied.\n", 401, challenge)
        project = gitlab.state.project_at(match["project"]) or gitlab.state.moved_project(match["project"])
        if project is None or not _may_read(gitlab, user, project):
            return _refusal(404, "The project you were looking for could not be found or you don't have permission.")
        if asked == "git-receive-pack" and (reason := _push_refused(gitlab, user, project, request)):
            return _refusal(403, reason)
        refused = _protected_refs(gitlab, user, project, request)
        if refused:
            return _declined(refused)
        place = gitlab.repository(project)
    if asked not in ("git-upload-pack", "git-receive-pack") or not place.exists():
        return _refusal(404, "A repository for this project does not exist yet.")
    answer = _run_backend(request, place, match["service"], user.username)
    if request.path.endswith("/git-receive-pack") and answer.status_code == 200:
        with gitlab.lock:
            gitlab.record_push(project, user, list(pushed_refs(_plain_body(request))))
    gitlab.after_push(project)
    return answer


def _refusal(status: int, reason: str) -> Response:
    return Response(f"{reason}\n", status)


# -- users and permissions -----------------------------------------------------------------------------------


def _user(gitlab: GitLabBase, request: Request) -> User | None:
    """Return the user of name and password: an account, `oauth2` with the token, or the account that may clone."""
    login = request.authorization
    if login is None or login.type != "basic":
        return None
    name, password = login.username or "", login.password or ""
    if by_token := gitlab.git_user(password):
        return by_token
    config, user = gitlab.config, gitlab.state.user_named(name)
    if _equal(password, config.gitlab_token) and name in ("oauth2", gitlab.caller().username):
        return gitlab.caller()
    if user is None or user.state != "active" or user.confirmed_at is None:
        return None
    if name == config.gitlab_user and _equal(password, config.gitlab_read_token):
        return user
    if user.is_password_expired:  # until its owner has signed in and chosen another
        return None
    return user if passwords.matches(password, user.digest, owner=user.username) else None


def _equal(given: str, wanted: str) -> bool:
    return hmac.compare_digest(given.encode(), wanted.encode())


def _may_read(gitlab: GitLabBase, user: User, project: Project) -> bool:
    is_cloner = user.username == gitlab.config.gitlab_user
    return is_cloner or project.visibility != "private" or gitlab.state.access_level(user, project) >= REPORTER


def _push_refused(gitlab: GitLabBase, user: User, project: Project, request: Request) -> str | None:
    """Return why this user may not push at all with this password, None when they may."""
    if gitlab.is_read_only:
        return READ_ONLY
    login = request.authorization
    if login and gitlab.only_reads(login.password or ""):
        return "You are not allowed to push code to this project."
    if project.archived:
        return "You can't push to this project because it is archived."
    if gitlab.state.access_level(user, project) < DEVELOPER:
        return "You are not allowed to push code to this project."
    return None


def _protected_refs(gitlab: GitLabBase, user: User, project: Project, request: Request) -> list[str]:
    """Return the refs of a push that are protected from this user; only the second request of a push names refs."""
    if not request.path.endswith("/git-receive-pack"):
        return []
    level = gitlab.state.access_level(user, project)
    rules = {f"refs/heads/{branch.name}": branch for branch in project.branches}
    return [ref for ref in pushed_refs(_plain_body(request)) if not is_allowed(rules.get(ref), level)]


def is_allowed(rule: Branch | None, level: int) -> bool:
    """Apply the most permissive level of a rule; level 0, "No one", allows nobody."""
    if rule is None:
        return True
    levels = [record["access_level"] for record in rule.push if record["access_level"] > 0]
    return any(min(level, ADMIN) >= needed for needed in levels or [ADMIN + 1])


def pushed_refs(body: bytes) -> Iterator[str]:
    """Yield the refs that a receive-pack request wants to change: `<old> <new> <ref>` in pkt-lines, up to a flush."""
    while len(body) >= 4 and (length := int(body[:4], 16)) > 0:
        line, body = body[4:length], body[length:]
        fields = line.partition(b"\0")[0].decode().split(" ", 2)
        if len(fields) == 3:
            yield fields[2].strip()


def _plain_body(request: Request) -> bytes:
    body = request.get_data()
    return gzip.decompress(body) if request.headers.get("Content-Encoding") == "gzip" else body


def _declined(refused: list[str]) -> Response:
    """Refuse refs as a hook does: the push arrives, and git reports which refs were refused and why."""
    lines = ["unpack ok\n", *(f"ng {ref} pre-receive hook declined\n" for ref in refused)]
    report = b"".join(_packet(line.encode()) for line in lines) + b"0000"
    body = _packet(b"\x02" + f"{PROTECTED}\n".encode()) + _packet(b"\x01" + report) + b"0000"
    return Response(body, 200, content_type="application/x-git-receive-pack-result")


def _packet(payload: bytes) -> bytes:
    return f"{len(payload) + 4:04x}".encode() + payload


# -- git's own server ----------------------------------------------------------------------------------------


@functools.cache
def _backend() -> str:
    return str(Path(repository.git("--exec-path").strip()) / "git-http-backend")


def _run_backend(request: Request, place: Path, service: str, username: str) -> Response:
    body = request.get_data()
    environment = {
        "PATH": os.environ.get("PATH", os.defpath),
        **repository.GIT_ENVIRONMENT,
        "GIT_PROJECT_ROOT": str(place.parent),
        "GIT_HTTP_EXPORT_ALL": "1",
        "GIT_PROTOCOL": request.headers.get("Git-Protocol", ""),
        "PATH_INFO": f"/{place.name}{service}",
        "QUERY_STRING": request.query_string.decode(),
        "REQUEST_METHOD": request.method,
        "CONTENT_TYPE": request.content_type or "",
        "CONTENT_LENGTH": str(len(body)),
        "HTTP_CONTENT_ENCODING": request.headers.get("Content-Encoding", ""),
        "REMOTE_USER": username,
        "REMOTE_ADDR": request.remote_addr or "",
    }
    done = subprocess.run([_backend()], input=body, env=environment, capture_output=True, check=False)  # noqa: S603 - git's own program
    return _cgi_response(done.stdout)


def _cgi_response(output: bytes) -> Response:
    """Return the output of a CGI program as a response; the body is binary."""
    head, _, body = output.partition(b"\r\n\r\n")
    if not head:
        return _refusal(500, "git gave no answer.")
    lines = [line.partition(":") for line in head.decode().split("\r\n")]
    headers = {name: value.strip() for name, _, value in lines}
    status = headers.pop("Status", "200 OK")
    return Response(body, status, headers)
