"""The doctor's checks of what pipelines find on Jenkins: folders, the credential that clones, agents.

Source: credentials-plugin `docs/user.adoc`; jenkins 2.568 `ComputerSet`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import partial
from typing import Any

from common.config.catalog import CatalogTeam
from worker.upstreams.check import Check, CheckFailedError, CheckInconclusiveError
from worker.upstreams.jenkins.paths import job_path
from worker.upstreams.jenkins.plugins import KUBERNETES
from worker.upstreams.probe import Probe, json_object

FOLDER = "com.cloudbees.hudson.plugins.folder.Folder"
_GLOBAL_DOMAIN = ("domain", "_", "api", "json")
_COMPUTERS = "computer[displayName,offline,numExecutors,assignedLabels[name]]"


class PlaceChecks:
    """`credentials` are the ids that pipelines use; the first clones. `installed` returns the ids of the plugins."""

    def __init__(
        self,
        probe: Probe,
        teams: list[CatalogTeam],
        *,
        credentials: Iterable[str],
        installed: Callable[[], Iterable[str]],
    ) -> None:
        self._probe = probe
        self._teams = teams
        self._credentials = list(credentials)
        self._installed = installed

    def all(self) -> list[Check]:
        return [*map(self._folder_check, self._teams), *map(self._credential_check, self._credentials), self._agents()]

    def _folder_check(self, team: CatalogTeam) -> Check:
        return Check(
            name=f"folder {team.jenkins_folder}",
            question="Does the team's folder exist?",
            remedy=f"on Jenkins: New Item → {team.jenkins_folder} → Folder; or correct jenkins_folder in the "
            "catalog (CATALOG_FILE)",
            run=partial(self._folder, team),
            needs=("plugin cloudbees-folder",),
        )

    def _credential_check(self, credential: str) -> Check:
        is_first = credential == self._credentials[0]
        what, setting = (
            ("a GitLab user or group token that reads the team's group", "GITLAB_CREDENTIAL")
            if is_first
            else ("a log-in of the registry that pushes", "REGISTRY_CREDENTIAL")
        )
        return Check(
            name=f"credential {credential}",
            question=f"Does the credential exist with which pipelines {'clone' if is_first else 'push images'}?",
            remedy="on Jenkins, in each team's folder: Credentials → Folder → Global credentials → Add Credentials: "
            f"Username with password, {what}, ID {credential}; or set {setting} to the ID of an existing one",
            run=partial(self._credential, credential),
            needs=("plugin credentials", *(f"folder {team.jenkins_folder}" for team in self._teams)),
        )

    def _agents(self) -> Check:
        return Check(
            name="agents",
            question="Is there an agent that can run pipelines?",
            remedy="on Jenkins: Manage Jenkins → Nodes → New Node; start the agent, and give it executors",
            run=self._online,
            needs=("token",),
        )

    # -- folders and credentials ------------------------------------------------------------------------------

    def _folder(self, team: CatalogTeam) -> str:
        reply = self._probe.get(*job_path(team.jenkins_folder), "api", "json", params={"tree": "_class,fullName"})
        if reply.status == 404:
            raise CheckFailedError("Jenkins has no such folder")
        kind = json_object(self._probe.expect(reply, "reading the folder")).get("_class")
        if kind != FOLDER:
            raise CheckFailedError(
                f"it is not a folder but a {str(kind).rpartition('.')[2]}",
                "rename it on Jenkins, and create a folder of this name",
            )
        return "exists"

    def _credential(self, credential: str) -> str:
        folders = sorted({team.jenkins_folder for team in self._teams})
        without = [each for each in folders if credential not in self._ids(*job_path(each), kind="folder")]
        is_for_all = credential in self._ids(kind="system")
        if not without and is_for_all and len(folders) > 1:
            raise CheckInconclusiveError(
                f"in {', '.join(folders)}; but a folder that is made later, or loses its own, uses the one of all of "
                "Jenkins without a word",
                f"delete the credential {credential} that is for all of Jenkins",
            )
        if not without:
            return f"in {', '.join(folders)}"
        if not is_for_all:
            raise CheckFailedError(f"neither Jenkins nor its folder {without[0]} has a credential of this ID")
        if len(folders) == 1:
            return "for all folders"
        raise CheckInconclusiveError(
            f"{', '.join(without)} use the credential of all of Jenkins: any team's Jenkinsfile can use it on what "
            "belongs to the other teams",
            f"give each team's folder a credential {credential} of its own, and delete the one for all",
        )

    def _ids(self, *place: str, kind: str) -> set[str]:
        store = (*place, "credentials", "store", kind, *_GLOBAL_DOMAIN)
        reply = self._probe.get(*store, params={"tree": "credentials[id]"})
        if reply.status == 404:
            return set()
        rows = json_object(self._probe.expect(reply, "listing the credentials")).get("credentials", ())
        return {str(row.get("id")) for row in rows}

    # -- agents -----------------------------------------------------------------------------------------------

    def _online(self) -> str:
        reply = self._probe.get("computer", "api", "json", params={"tree": _COMPUTERS})
        computers = json_object(self._probe.expect(reply, "listing the agents")).get("computer", ())
        online = [each for each in computers if not each.get("offline") and each.get("numExecutors", 0) > 0]
        if online:
            executors = sum(each["numExecutors"] for each in online)
            return f"{executors} executors online ({_labels(online)}); a build shows whether they can build images"
        if KUBERNETES[0] in self._installed():
            raise CheckInconclusiveError(
                "no agent is online; pods start with a build, if a cloud is configured",
                "on Jenkins: Manage Jenkins → Clouds: there must be one that starts pods",
            )
        raise CheckFailedError("no agent is online, so builds would wait in the queue")


def _labels(computers: list[dict[str, Any]]) -> str:
    names = {str(label.get("name")) for each in computers for label in each.get("assignedLabels", ())}
    return ", ".join(sorted(names)) or "no labels"
