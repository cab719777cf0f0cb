"""Pages of the GitLab stand-in, for people who follow a link."""

from __future__ import annotations

from html import escape

from werkzeug.wrappers import Request, Response

from harbour import repository
from harbour.gitlab.model import Project
from harbour.gitlab.state import GitLabBase

PAGE = """<!doctype html><html lang="en"><meta charset="utf-8"><title>{title} · GitLab (harbour)</title>
<style>body{{font:16px/1.5 system-ui,sans-serif;max-width:44rem;margin:2rem auto;padding:0 1rem}}</style>
<h1>{title}</h1>{body}<p><small>A stand-in for GitLab.</small></p></html>"""


def show(gitlab: GitLabBase, request: Request) -> Response:
    """Show the project, group or person of this path."""
    path = request.path.strip("/").removeprefix("groups/")
    with gitlab.lock:
        project = gitlab.state.project_at(path)
        body = _project(gitlab, project) if project else _namespace(gitlab, path)
    if body is None:
        return _page("Page not found", "<p>Nothing lives at this address.</p>", 404)
    return _page(path, body, 200)


def _page(title: str, body: str, status: int) -> Response:
    return Response(PAGE.format(title=escape(title), body=body), status, content_type="text/html; charset=utf-8")


def _project(gitlab: GitLabBase, project: Project) -> str:
    view = gitlab.views.project(project)
    branch = project.default_branch
    files = repository.files(gitlab.repository(project), branch) if branch else []
    listed = "".join(f"<li>{escape(file)}</li>" for file in files) or "<li>nothing yet</li>"
    return (
        f"<p>{escape(project.description or '')}</p><p>Clone: <code>{escape(view['http_url_to_repo'])}</code></p>"
        f"<p>Import: {escape(project.import_status)}</p><ul>{listed}</ul>"
    )


def _namespace(gitlab: GitLabBase, path: str) -> str | None:
    namespace_id = gitlab.state.namespace_at(path)
    if namespace_id is None:
        return None
    inside = [p for p in gitlab.state.projects.values() if p.namespace_id == namespace_id]
    links = (f'<li><a href="/{escape(gitlab.state.full_path(p))}">{escape(p.name)}</a></li>' for p in inside)
    return f"<ul>{''.join(links) or '<li>no projects</li>'}</ul>"
