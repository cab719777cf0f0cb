"""Commits of a bare repository, read and written without a work tree."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from harbour.repository import git, refs

UNIT, RECORD = "\x1f", "\x1e"
FORMAT = UNIT.join(("%H", "%P", "%an", "%ae", "%aI", "%cn", "%ce", "%cI", "%B")) + RECORD


@dataclass(frozen=True, kw_only=True)
class Commit:
    """A commit; times as ISO 8601."""

    id: str
    parents: list[str]
    author: str
    author_email: str
    authored_at: str
    committer: str
    committer_email: str
    committed_at: str
    message: str


@dataclass(frozen=True, kw_only=True)
class Entry:
    """A file (`blob`) or a directory (`tree`) of a commit."""

    mode: str
    kind: str
    id: str
    path: str


def resolve(path: Path, revision: str) -> str | None:
    """Return the commit of a branch, a tag or an id, None when there is none."""
    known = refs(path)
    for prefix in ("refs/heads/", "refs/tags/"):
        if found := known.get(f"{prefix}{revision}"):
            return found
    is_id = 6 < len(revision) <= 40 and set(revision.lower()) <= set("0123456789abcdef")
    names = git(f"--git-dir={path}", "rev-list", "--all").split() if is_id and known else []
    return next((name for name in names if name.startswith(revision.lower())), None)


def log(path: Path, *revisions: str) -> list[Commit]:
    """Return the commits that can be reached from `revisions`, newest first; `--all` is every branch."""
    output = git(f"--git-dir={path}", "log", f"--format={FORMAT}", *revisions)
    return [_commit(record.strip("\n")) for record in output.split(RECORD) if record.strip()]


def _commit(record: str) -> Commit:
    identity, parents, author, mail, at, committer, committer_mail, committed_at, message = record.split(UNIT)
    return Commit(
        id=identity,
        parents=parents.split(),
        author=author,
        author_email=mail,
        authored_at=at,
        committer=committer,
        committer_email=committer_mail,
        committed_at=committed_at,
        message=message.rstrip("\n"),
    )


def entries(path: Path, commit: str, *, below: str = "", recursive: bool = False) -> list[Entry]:
    """Return what a directory of a commit holds."""
    place = [f"{below.strip('/')}/"] if below.strip("/") else []
    options = ["-r", "-t"] if recursive else []
    lines = git(f"--git-dir={path}", "ls-tree", *options, commit, "--", *place).splitlines()
    return [_entry(line) for line in lines]


def _entry(line: str) -> Entry:
    about, _, name = line.partition("\t")
    mode, kind, identity = about.split(" ")
    return Entry(mode=mode, kind=kind, id=identity, path=name)


def content(path: Path, commit: str, file: str) -> str | None:
    """Return a text file as of a commit, None when the commit has no such file."""
    found = [each for each in entries(path, commit, recursive=True) if each.path == file and each.kind == "blob"]
    return git(f"--git-dir={path}", "cat-file", "blob", found[0].id) if found else None


def write(
    path: Path, branch: str, changes: Mapping[str, str | None], *, message: str, author: tuple[str, str], parent: str
) -> str:
    """Commit `changes` (file to text, None deletes) on top of `parent`, "" for none, and let `branch` point to it."""
    with tempfile.TemporaryDirectory() as place:
        index = {"GIT_INDEX_FILE": str(Path(place) / "index")}
        inside = f"--git-dir={path}"
        if parent:
            git(inside, "read-tree", parent, env=index)
        for number, (file, text) in enumerate(changes.items()):
            if text is None:
                git(inside, f"--work-tree={place}", "update-index", "--force-remove", "--", file, env=index)
                continue
            blob = Path(place) / f"blob-{number}"
            blob.write_text(text)
            identity = git(inside, "hash-object", "-w", "--", str(blob)).strip()
            git(inside, "update-index", "--add", "--cacheinfo", f"100644,{identity},{file}", env=index)
        tree = git(inside, "write-tree", env=index).strip()
    who = dict(zip(("NAME", "EMAIL"), author, strict=True))
    by = {f"GIT_{role}_{what}": value for role in ("AUTHOR", "COMMITTER") for what, value in who.items()}
    parents: Sequence[str] = ("-p", parent) if parent else ()
    made = git(f"--git-dir={path}", "commit-tree", tree, *parents, "-m", message, env=by).strip()
    git(f"--git-dir={path}", "update-ref", f"refs/heads/{branch}", made)
    return made
