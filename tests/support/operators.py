"""What do people do on the upstreams by themselves?  They make, change and remove things, past Slipway."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any
from urllib.parse import quote

import requests

from harbour.gitlab.model import Project
from harbour.world import Harbour

MARKER = "slipway.dev/marker"
XML = {"Content-Type": "application/xml; charset=utf-8"}
JSON = {"Content-Type": "application/json"}
THEIR_PASSWORD = "theirs alone"
THEIR_KIBANA_PASSWORD = "a password of theirs"


class Hands:
    """Somebody with every right, who uses the upstreams' own APIs; what these lack is done to the records."""

    def __init__(self, harbour: Harbour) -> None:
        self.harbour = harbour
        config = harbour.config
        self._gitlab = {"PRIVATE-TOKEN": config.gitlab_token}
        self._jenkins = (config.jenkins_user, config.jenkins_token)
        self._argocd = {"Authorization": f"Bearer {config.argocd_token}", **JSON}
        self._elastic = (config.elasticsearch_user, config.elasticsearch_password)

    # -- GitLab -----------------------------------------------------------------------------------------------

    def gitlab(self, method: str, route: str, /, **body: Any) -> Any:
        url = f"{self.harbour.gitlab.url}/api/v4/{route}"
        return _said(requests.request(method, url, headers=self._gitlab, json=body, timeout=10))

    def fork(self, template: str, path: str, description: str) -> None:
        namespace, _, name = path.rpartition("/")
        asked = {"namespace_path": namespace, "path": name, "name": name, "description": description}
        self.gitlab("POST", f"projects/{quote(template, safe='')}/fork", **asked)
        self.harbour.gitlab.background.settle()

    def found_project(self, path: str, description: str) -> Project:
        """Make an empty project; the stand-in has no call for it."""
        namespace, _, name = path.rpartition("/")
        state = self.harbour.gitlab.state
        with self.harbour.gitlab.lock:
            project = Project(
                id=state.next_id("project"),
                namespace_id=state.namespace_at(namespace) or 0,
                name=name,
                path=name,
                creator_id=1,
                visibility="private",
                description=description,
            )
            state.projects[project.id] = project
        return project

    def project(self, path: str) -> Project:
        project = self.harbour.gitlab.state.project_at(path)
        assert project is not None, path
        return project

    def rename_project(self, path: str, new: str) -> None:
        """Move a project, as its settings page does: the old path leads to the new one."""
        project = self.project(path)
        with self.harbour.gitlab.lock:
            self.harbour.gitlab.state.redirects[path.lower()] = project.id
            project.name = project.path = new

    def remove_project(self, path: str) -> None:
        project = self.project(path)
        self.gitlab("DELETE", f"projects/{project.id}")
        full_path = self.harbour.gitlab.state.full_path(project)
        self.gitlab("DELETE", f"projects/{project.id}?permanently_remove=true&full_path={full_path}")
        self.harbour.gitlab.background.settle()

    def unprotect(self, path: str) -> None:
        self.gitlab("DELETE", f"projects/{quote(path, safe='')}/protected_branches/main")

    def protect(self, path: str, level: int) -> None:
        self.unprotect(path)
        levels = {"push_access_level": level, "merge_access_level": level}
        self.gitlab("POST", f"projects/{quote(path, safe='')}/protected_branches", name="main", **levels)

    # -- Jenkins ----------------------------------------------------------------------------------------------

    def jenkins(self, method: str, path: str, body: str | None = None) -> str:
        url = f"{self.harbour.jenkins.url}{path}"
        content = body.encode() if body is not None else None
        reply = requests.request(
            method, url, data=content, headers=XML, auth=self._jenkins, timeout=10, allow_redirects=False
        )
        assert reply.status_code in (200, 302), (reply.status_code, reply.headers.get("X-Error"))
        return reply.text

    def make_jenkins_user(self, login: str, *, password: str = THEIR_PASSWORD) -> None:
        url = f"{self.harbour.jenkins.url}/securityRealm/createAccountByAdmin"
        theirs = {"username": login, "password1": password, "password2": password, "fullname": login}
        form = {**theirs, "email": f"{login}@example.com"}
        reply = requests.post(url, data=form, auth=self._jenkins, timeout=10, allow_redirects=False)
        assert reply.status_code == 302

    def remove_jenkins_user(self, login: str) -> None:
        self.jenkins("POST", f"/securityRealm/user/{login}/doDelete")

    def describe_jenkins_user(self, login: str, description: str) -> None:
        """Set the description as the page does: the lines of its text area end with CR LF."""
        url = f"{self.harbour.jenkins.url}/securityRealm/user/{login}/submitDescription"
        form = {"description": description.replace("\n", "\r\n")}
        reply = requests.post(url, data=form, auth=self._jenkins, timeout=10, allow_redirects=False)
        assert reply.status_code == 302

    def assign_role(self, login: str, *, role: str, role_type: str, kind: str = "USER") -> Callable[[], None]:
        """Assign a role to a name, whether or not there is such a user; return what takes it back."""
        verb, field = {"USER": ("UserRole", "user"), "GROUP": ("GroupRole", "group"), "EITHER": ("Role", "sid")}[kind]
        entry = f"{verb}?type={role_type}&roleName={role}&{field}={login}"
        self.jenkins("POST", f"/role-strategy/strategy/assign{entry}")
        return lambda: _ignore(self.jenkins("POST", f"/role-strategy/strategy/unassign{entry}"))

    def make_item(self, folder: str, name: str, xml: str) -> None:
        self.jenkins("POST", f"/job/{folder}/createItem?name={name}", xml)

    def edit_item(self, folder: str, name: str, old: str, new: str) -> None:
        """Replace a text in the item's definition."""
        place = f"/job/{folder}/job/{name}/config.xml"
        before = self.jenkins("GET", place)
        assert old in before, (old, before)
        self.jenkins("POST", place, before.replace(old, new))

    def remove_item(self, folder: str, name: str) -> None:
        self.jenkins("POST", f"/job/{folder}/job/{name}/doDelete")

    # -- Argo CD ----------------------------------------------------------------------------------------------

    def argocd(self, method: str, path: str, body: Any = None) -> Any:
        url = f"{self.harbour.argocd.url}/api/v1/{path}"
        return _said(requests.request(method, url, headers=self._argocd, json=body, timeout=30))

    def make_application(self, name: str, *, project: str, annotations: dict[str, str] | None = None) -> None:
        """Make an application of the bare chart, whatever becomes of it."""
        source = {
            "repoURL": f"{self.harbour.gitlab.url}/templates/Helm_Template.git",
            "path": ".",
            "targetRevision": "main",
        }
        cluster = "in-cluster" if project == "default" else f"{project}-cluster"
        spec = {
            "project": project,
            "source": source,
            "destination": {"name": cluster, "namespace": f"{project}-theirs"},
        }
        metadata = {"name": name, "annotations": annotations or {}}
        self.argocd("POST", "applications?validate=false", {"metadata": metadata, "spec": spec})

    def edit_application(self, name: str, project: str, **changes: Any) -> None:
        """Merge changes into `spec` (or into `metadata`, when they are under that word)."""
        patch = {"metadata": changes.pop("metadata", {}), "spec": changes}
        body = {"name": name, "project": project, "patchType": "merge", "patch": json.dumps(patch)}
        self.argocd("PATCH", f"applications/{name}", body)

    def replace_spec(self, name: str, project: str, change: Callable[[dict[str, Any]], object]) -> None:
        """Change the spec without having it rendered first."""
        spec = self.argocd("GET", f"applications/{name}?project={project}")["spec"]
        change(spec)
        self.argocd("PUT", f"applications/{name}/spec?project={project}&validate=false", spec)

    def remove_application(self, name: str, project: str) -> None:
        self.argocd("DELETE", f"applications/{name}?project={project}&cascade=false")

    def register(self, url: str, project: str) -> None:
        """Register a repository for one project: only that is never tested, so it need not exist yet."""
        self.argocd("POST", "repositories", {"repo": url, "type": "git", "project": project, **self._reader})

    def register_for_all(self, url: str) -> None:
        """Register a repository that was there when it was tested, and is not there now."""
        with self.harbour.argocd.lock:
            self.harbour.argocd.repositories[f" {url.lower().removesuffix('.git')}"] = {
                "repo": url,
                "type": "git",
                **self._reader,
            }

    @property
    def _reader(self) -> dict[str, str]:
        config = self.harbour.config
        return {"username": config.gitlab_user, "password": config.gitlab_read_token}

    def unregister(self, url: str) -> None:
        self.argocd("DELETE", f"repositories/{quote(url, safe='')}")

    # -- Elasticsearch ----------------------------------------------------------------------------------------

    def elastic(self, method: str, route: str, body: Any = None, auth: tuple[str, str] | None = None) -> Any:
        url = f"{self.harbour.elasticsearch.url}/_security/{route}"
        return _said(requests.request(method, url, json=body, auth=auth or self._elastic, timeout=10))

    def make_kibana_user(self, name: str, *, role: str = "dev") -> None:
        self.elastic("PUT", f"user/{name}", {"password": THEIR_KIBANA_PASSWORD, "roles": [role]})

    def leave_api_key(self, login: str) -> Callable[[], None]:
        """Let a user make an API key, and remove the user; return what invalidates the key."""
        self.make_kibana_user(login, role="superuser")
        key = self.elastic("PUT", "api_key", {"name": "for a script"}, auth=(login, THEIR_KIBANA_PASSWORD))
        self.elastic("DELETE", f"user/{login}")
        return lambda: _ignore(self.elastic("DELETE", "api_key", {"ids": [key["id"]]}))


def pipeline_xml(description: str) -> str:
    return f"<flow-definition><description>{description}</description></flow-definition>"


FOLDER_XML = "<com.cloudbees.hudson.plugins.folder.Folder/>"


def _ignore(_: object) -> None:
    """Take what a call said, and return nothing."""


def _said(reply: requests.Response) -> Any:
    assert reply.ok, (reply.status_code, reply.text)
    return reply.json() if reply.content else None
