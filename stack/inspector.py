"""Check of the upstreams after the demo, through their own interfaces."""

from __future__ import annotations

import subprocess
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import quote

import requests

from stack.demo import DemoResult, clone_url
from stack.developer import git
from stack.embedded import StackError

CALL_S = 15.0


class Inspector:
    """Reads GitLab, Jenkins, Argo CD and Elasticsearch with an operator's credentials."""

    def __init__(self, environment: dict[str, str], result: DemoResult) -> None:
        self._env = environment
        self._result = result

    def findings(self) -> list[str]:
        """Return one line for each object found. Raises StackError that names the missing ones."""
        found, missing = [], []
        for what, check in self._checks():
            try:
                found.append(f"{what}: {check()}")
            except (LookupError, AssertionError, requests.RequestException, subprocess.CalledProcessError) as error:
                missing.append(f"{what} ({type(error).__name__}: {error})")
        if missing:
            raise StackError("Objects are missing or wrong on the upstreams: " + "; ".join(missing))
        return found

    def _checks(self) -> list[tuple[str, Callable[[], str]]]:
        return [
            ("GitLab user and group", self._gitlab_user),
            ("Jenkins user and role", self._jenkins_user),
            ("Kibana user and role", self._kibana_user),
            ("Source repository", lambda: self._clone("storefront", "Jenkinsfile")),
            ("Helm repository", lambda: self._clone("storefront_helm", "Chart.yaml")),
            ("Jenkins pipeline", self._pipeline),
            ("Argo CD repository", self._argocd_repository),
            ("Argo CD application", self._argocd_application),
            ("Jenkins build", self._build),
            ("Deployment", self._deployment),
            ("Commit", self._commit),
        ]

    def _gitlab_user(self) -> str:
        users = self._gitlab(f"users?username={self._result.login}")
        members = self._gitlab(f"groups/{self._result.team}/members")
        levels = {member["username"]: member["access_level"] for member in members}
        _require(len(users) == 1, f"{len(users)} users of this name")
        return f"{users[0]['web_url']}, access level {levels[self._result.login]} in group {self._result.team}"

    def _jenkins_user(self) -> str:
        user = self._jenkins(f"securityRealm/user/{self._result.login}/api/json").json()
        role = self._jenkins(f"role-strategy/strategy/getRole?type=projectRoles&roleName={self._result.team}").json()
        _require({"type": "USER", "sid": self._result.login} in role["sids"], f"not in role {self._result.team}")
        return f"{user['absoluteUrl']}, in role {self._result.team}"

    def _kibana_user(self) -> str:
        url = f"{self._env['KIBANA_URL']}/_security/user/{self._result.login}"
        user = _get(url, auth=(self._env["KIBANA_USER"], self._env["KIBANA_PWD"])).json()[self._result.login]
        _require(user["roles"] == [self._result.team], f"roles {user['roles']}")
        return f"{user['username']}, roles {', '.join(user['roles'])}"

    def _clone(self, name: str, file: str) -> str:
        """Clone with the person's own login."""
        project = self._gitlab(f"projects/{quote(f'{self._result.team}/{name}', safe='')}")
        url = project["http_url_to_repo"]
        with tempfile.TemporaryDirectory() as place:
            git("clone", "--quiet", url, place, login=self._result.login, password=self._result.password)
            files = sorted(path.name for path in Path(place).iterdir() if path.name != ".git")
        _require(file in files, f"it does not contain {file}")
        return f"git clone {url}  ({len(files)} entries: {', '.join(files)})"

    @property
    def _pipeline_path(self) -> str:
        return f"job/{self._result.team}/job/storefront_{self._result.team}"

    def _pipeline(self) -> str:
        path = self._pipeline_path
        xml = self._jenkins(f"{path}/config.xml").text
        fork = self._gitlab(f"projects/{quote(f'{self._result.team}/storefront', safe='')}")["http_url_to_repo"]
        _require(fork in xml, "its XML does not name the fork")
        for parameter in ("gitlab_address", "gitlab_helm_address", "gitlab_credential", "namespace", "image_name"):
            _require(f"<name>{parameter}</name>" in xml, f"it does not define {parameter}")
        return f"{self._env['JENKINS_URL']}/{path}/"

    def _argocd_repository(self) -> str:
        helm = f"/{self._result.team}/storefront_helm.git"
        items = self._argocd("repositories")["items"]
        return str(next(item["repo"] for item in items if item["repo"].endswith(helm)))

    def _argocd_application(self) -> str:
        application = self._argocd(f"applications/storefront?project={self._result.team}")
        source, destination = application["spec"]["source"], application["spec"]["destination"]
        _require(source["repoURL"].endswith("storefront_helm.git"), "it does not deploy the helm repository")
        _require(bool(source["helm"]["parameters"]), "it has no helm parameters")
        return f"namespace {destination['namespace']} on cluster {destination['name']}"

    def _build(self) -> str:
        """Return the one build with our job's id among its parameters."""
        tree = "builds[number,result,url,actions[parameters[name,value]]]"
        ours = [
            build
            for build in self._jenkins(f"{self._pipeline_path}/api/json?tree={tree}").json()["builds"]
            if self._result.build_job_id in _parameter_values(build)
        ]
        _require(len(ours) == 1, f"{len(ours)} builds have the id of our job")
        _require(ours[0]["result"] == "SUCCESS", f"its result is {ours[0]['result']}")
        return f"{ours[0]['url']}, {ours[0]['result']}, the only one for job {self._result.build_job_id}"

    def _deployment(self) -> str:
        status = self._argocd(f"applications/storefront?project={self._result.team}")["status"]
        sync, health, images = status["sync"]["status"], status["health"]["status"], status["summary"]["images"]
        _require((sync, health) == ("Synced", "Healthy"), f"{sync}, {health}")
        _require(images == self._result.deployment["images"], f"it runs {images}")
        _require(images == [self._result.build["image"]], f"{images} is not what was built")
        return f"{sync}, {health}, {', '.join(images)}"

    def _commit(self) -> str:
        """Follow one commit from the push to the cluster: git's history, the build, the image, what runs."""
        result = self._result
        branch = self._gitlab(f"projects/{quote(f'{result.team}/storefront', safe='')}")["default_branch"]
        with tempfile.TemporaryDirectory() as place:
            url = clone_url(result.app)
            git("clone", "--quiet", url, place, login=result.login, password=result.password)
            history = git("-C", place, "log", "--format=%H", branch).splitlines()
        running = result.deployment["images"]
        images = {each["image"]: each["commit"] for each in self._harbour("images")["images"]}
        _require(history[0] == result.commit, f"the tip of {branch} is {history[0]}")
        _require(result.build["commit"] == result.commit, f"{result.build['commit']} was built")
        _require([images.get(each) for each in running] == [result.commit], f"{running} is of {images}")
        return f"{result.commit} is the tip of {branch}, was built, is in the image {running[0]}, and runs"

    def _harbour(self, path: str) -> Any:
        return _get(f"{self._env['HARBOUR_CONTROL_URL']}/{path}").json()

    def _gitlab(self, path: str) -> Any:
        return _get(
            f"{self._env['GITLAB_URL']}/api/v4/{path}", token=("PRIVATE-TOKEN", self._env["GITLAB_TOKEN"])
        ).json()

    def _jenkins(self, path: str) -> requests.Response:
        auth = (self._env["JENKINS_AUTH_ID"], self._env["JENKINS_AUTH_TOKEN"])
        return _get(f"{self._env['JENKINS_URL']}/{path}", auth=auth)

    def _argocd(self, path: str) -> Any:
        token = ("Authorization", f"Bearer {self._env['ARGO_TOKEN']}")
        return _get(f"{self._env['ARGO_URL']}/api/v1/{path}", token=token).json()


def _get(url: str, *, auth: tuple[str, str] | None = None, token: tuple[str, str] | None = None) -> requests.Response:
    answer = requests.get(url, auth=auth, headers=dict([token]) if token else {}, timeout=CALL_S, allow_redirects=False)
    answer.raise_for_status()
    return answer


def _parameter_values(build: dict[str, Any]) -> list[str]:
    return [each.get("value", "") for action in build["actions"] for each in action.get("parameters", ())]


def _require(is_so: bool, otherwise: str) -> None:
    if not is_so:
        raise LookupError(otherwise)
