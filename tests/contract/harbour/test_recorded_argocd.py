"""The Argo CD stand-in answers what a real Argo CD answered to the same calls in the same situations.

Compared are the status, the code, the text of a refusal, and what a client or a console reads of an object. The
recordings are not part of the project: without them beside it these tests are skipped, and the table in
`argocd/test_outages.py`, `argocd/test_clusters.py` and `argocd/test_credential_templates.py` is what remains.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from support.argocd import Clock
from support.git_server import served
from support.recorded_argocd import FILES, RECORDINGS, RIGHTS, Recorded, Replay, difference, recorded

from harbour.argocd.app import ArgoCD
from harbour.argocd.project_rules import project_spec
from harbour.config import HarbourConfig

pytestmark = pytest.mark.skipif(not RECORDINGS.is_dir(), reason="the recordings are not beside the project")

META = "metadata:\n  name: {{ .Release.Name }}"
LABEL = "{a: {{ .Release.Name }}}"
CONTAINERS = '{containers: [{name: app, image: "x:{{ .Values.image.tag }}"}]}'
DATA = "data:\n  greeting: {{ .Values.greeting }}\n  tag: {{ .Values.image.tag | quote }}\n"
CONFIG_MAP = f"apiVersion: v1\nkind: ConfigMap\n{META}-cm\n{DATA}"
SERVICE = f"apiVersion: v1\nkind: Service\n{META}\nspec:\n  ports: [{{port: 80}}]\n  selector: {LABEL}\n"
SPEC = f"spec:\n  selector: {{matchLabels: {LABEL}}}\n  template: {{spec: {CONTAINERS}}}\n"
DEPLOYMENT = f"apiVersion: apps/v1\nkind: Deployment\n{META}\n{SPEC}"
HOOK = f"{META}-pre\n  annotations: {{argocd.argoproj.io/hook: PreSync}}\n"
JOB = f"apiVersion: batch/v1\nkind: Job\n{HOOK}spec: {{template: {{spec: {{containers: [{{name: x, image: x}}]}}}}}}\n"
STRAY = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: stray, namespace: kube-system}\n"
WIDE = "apiVersion: rbac.authorization.k8s.io/v1\nkind: ClusterRole\nmetadata: {name: wide}\n"
WIDGET = "apiVersion: example.com/v1\nkind: Widget\nmetadata: {name: w}\n"
CHARTS: dict[str, list[str]] = {
    "good": [CONFIG_MAP],
    "public/good": [CONFIG_MAP],
    "deploy": [SERVICE, DEPLOYMENT],
    "public/deploy": [SERVICE, DEPLOYMENT],
    "hook": [JOB, CONFIG_MAP],
    "private": [CONFIG_MAP],
    "broken": ["a: 1\nb: 2\nc:                  {{ .Values.missing.name }}\n"],
    "notyaml": ["kind: ConfigMap\ndata: {x\n  b: 1\n"],
    "empty": ["{{- if false }}x{{ end }}"],
    "clusterrole": [WIDE],
    "invalid": [f"apiVersion: apps/v1\nkind: Deployment\n{META}\nspec: {{}}\n"],
    "unknownkind": [WIDGET],
    "othernamespace": [STRAY],
}
REGISTERED = [*(name for name in CHARTS if name != "private" and "/" not in name), "nochart"]
NOT_ALLOWED = (403, "You are not allowed to download code from this project.")
UNWELL = 'Deployment "unwell" exceeded its progress deadline'
TRAEFIK = {"name": "traefik", "namespace": "traefik", "labels": {"owner": "platform"}}
VELERO = {"name": "velero", "namespace": "velero"}


def prepare(replay: Replay) -> None:
    """Make the repositories and clusters of the recordings."""
    git, service = replay.git, replay.service
    for name, templates in CHARTS.items():
        files = {
            f"templates/{'cm' if len(templates) == 1 else number}.yaml": each for number, each in enumerate(templates)
        }
        values = {"values.yaml": "greeting: hello\nimage: {tag: '0'}\n"}
        git.add(name, {"Chart.yaml": f"name: {name}\nversion: 0.1.0\n", **files, **values})
    git.add("nochart", {"README.md": "no chart"})
    git.add("norefs", None)
    git.add("dev/storefront_helm", {"README.md": "x"})
    replay.register("dev/storefront_helm")
    git.add("norefs2", {"README.md": "x"})
    git.answers["forbidden"] = NOT_ALLOWED
    service.projects |= {team: project_spec(f"{team}-cluster", "*") for team in ("dev", "ops")}
    service.known_clusters |= {f"{team}-cluster": f"https://{team}.k8s.example.com" for team in ("dev", "ops")}


def turn(**values: Any) -> Callable[[Replay], object]:
    return lambda replay: replay.bring(**values)


def git(**values: Any) -> Callable[[Replay], object]:
    def act(replay: Replay) -> None:
        for name, value in values.items():
            setattr(replay.git, name, value)

    return act


def both(*acts: Callable[[Replay], object]) -> Callable[[Replay], object]:
    return lambda replay: [act(replay) for act in acts]


def wait(seconds: float) -> Callable[[Replay], object]:
    return lambda replay: replay.wait(seconds)


def password(text: str) -> Callable[[Replay], object]:
    def act(replay: Replay) -> None:
        replay.password = text

    return act


def fence(**spec: Any) -> Callable[[Replay], object]:
    def act(replay: Replay) -> None:
        whole = FENCE | spec
        replay.service.projects["fence"] = {key: value for key, value in whole.items() if value}
        replay.service.projects["fence"]["sourceRepos"] = [f"{replay.git.url}/*"]

    return act


FENCE = {
    "sourceRepos": ["http://git.example.com/*"],
    "destinations": [{"namespace": "fence-*", "name": "dev-cluster"}],
    "clusterResourceWhitelist": [{"group": "", "kind": "Namespace", "name": "fence-*"}],
}
NAMESPACE_BLACKLIST = [{"group": "", "kind": "Namespace"}]


def namespace(name: str) -> dict[str, Any]:
    return {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}}


def service_of(metadata: dict[str, Any]) -> dict[str, Any]:
    spec = {"ports": [{"port": 443}], "selector": {"app": "theirs"}}
    return {"apiVersion": "v1", "kind": "Service", "metadata": metadata, "spec": spec}


def takeover(replay: Replay) -> None:
    manifests = [service_of(TRAEFIK), service_of(VELERO)]
    replay.service.live_objects = [{"cluster": "dev-cluster", "manifest": each} for each in manifests]


def remove_deployment(replay: Replay) -> None:
    del replay.service.live_on("dev-cluster")["apps/Deployment:unwell/unwell"]


def change_odd(replay: Replay) -> None:
    """Give the application `odd` the values that it had when the controller was stopped, and sync it."""
    spec = replay.ask("GET", "applications/odd?project=dev")["spec"]
    spec["source"]["helm"]["parameters"] = [{"name": "image.tag", "value": "redis-down", "forceString": True}]
    replay.ask("PUT", "applications/odd/spec?project=dev", spec)
    replay.sync("odd", job="op-redis-down")


def sync_odd(replay: Replay) -> None:
    replay.bring(is_controller_away=False)
    replay.wait()


BEFORE: dict[str, Callable[[Replay], object]] = {
    # repositories
    "register-other-password-no-upsert": password("another"),
    "register-wrong-password": password(""),
    "register-git-answers-500": git(status=500),
    "register-git-answers-503": git(status=503),
    "register-git-answers-429": git(status=429),
    "register-in-project-wrong-password": git(status=0),
    # rotation
    "app-of-the-repository": lambda replay: replay.ask("GET", "repositories"),
    "list-after-rotation-cached": git(password="second-password"),
    "application-after-rotation": lambda replay: replay.ask("GET", "applications/rot?project=dev&refresh=normal"),
    "template-create": password("old"),
    "template-create-different": password(""),
    "sync-under-stale-template": git(password="third-password"),
    # applications and syncs
    "get-absent-with-project": both(
        lambda replay: replay.register(*REGISTERED), lambda replay: replay.register("hook", project="nosuch")
    ),
    "sync-hook": turn(are_hooks_running=True),
    "sync-window-closed": turn(is_window_closed=True),
    # removals
    "delete-never-synced": turn(is_window_closed=False, are_hooks_running=False),
    "delete-with-a-resource-that-does-not-go": both(
        lambda replay: replay.make("kept"), turn(are_deletions_hanging=True)
    ),
    "gone-at-last": turn(are_deletions_hanging=False),
    # takeover
    "create-in-a-taken-namespace": takeover,
    "shared-second-create": both(
        lambda replay: setattr(replay.clock, "at", replay.clock.at + 60), lambda replay: replay.sync("shared1")
    ),
    "shared-first-refreshed": lambda replay: replay.ask("GET", "applications/shared1?project=dev&refresh=normal"),
    "taken-synced": wait(0.5),
    "fail-on-shared-unowned-ended": wait(0.5),
    # health
    "deploy-sync": turn(health_errors=[UNWELL], recovery_s=200),
    "progressing": wait(0.5),
    "healthy": wait(600),
    "missing": remove_deployment,
    # access
    "expired-token": turn(token_problem="token has invalid claims: token is expired"),
    "revoked-token": turn(token_problem="account slipway does not have token with id revoked"),
    "settings": turn(token_problem=""),
    "can-i-no": turn(denied={("clusters", "create")}),
    "without-rights-list-applications": turn(denied=RIGHTS),
    # outages
    "repo-server-down-version": turn(denied=set(), repo_server="down"),
    "repo-server-hangs-version": turn(repo_server="hangs"),
    "controller-down-version": both(turn(repo_server="up"), change_odd, turn(is_controller_away=True)),
    "controller-back": sync_odd,
    "kubernetes-api-down-get": both(
        lambda replay: replay.ask("GET", "repositories?forceRefresh=true"), turn(is_kubernetes_away=True)
    ),
    "kubernetes-api-restarted-get": turn(is_kubernetes_away=False),
    # git
    "create-while-git-answers-503": both(lambda replay: replay.make("gitapp"), git(status=503)),
    "create-while-git-answers-404": git(status=404),
    "create-while-git-answers-403": git(status=403),
    "create-while-git-takes-30s": both(git(status=0, delay_s=0.6), turn(git_timeout_s=0.3)),
    # projects
    "fenced-project": both(git(delay_s=0), turn(git_timeout_s=15), fence()),
    "fenced-chart-that-reaches-outside": lambda replay: replay.remove("othernamespace"),
    "blacklisted-namespace": fence(clusterResourceBlacklist=NAMESPACE_BLACKLIST),
    "namespace-there-no-whitelist": both(
        fence(clusterResourceWhitelist=[]),
        lambda replay: replay.service.put_live("dev-cluster", namespace("fence-there"), is_foreign=True),
    ),
    "project-gone-get": both(
        fence(destinations=[{"namespace": "other-*", "name": "dev-cluster"}]),
        lambda replay: replay.sync("inside", "fence", job="o3"),
        lambda replay: replay.service.projects.pop("fence"),
    ),
    "project-back": fence(),
    # clusters
    "cluster-unreachable-get": both(
        wait(10),
        lambda replay: replay.sync("opsapp", "ops"),
        lambda replay: replay.sync("opsapp2", "ops"),
        turn(clusters_away=["ops-cluster"]),
    ),
    "cluster-back": both(turn(clusters_away=[]), lambda replay: replay.remove("opsapp", "ops")),
}


@pytest.fixture(scope="module")
def replayed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[tuple[Recorded, int, Any]]]:
    root = tmp_path_factory.mktemp("recorded")
    names = ("gitlab_token", "gitlab_user", "gitlab_read_token", "jenkins_user", "jenkins_token", "argocd_token")
    made_up = dict.fromkeys((*names, "elasticsearch_user", "elasticsearch_password"), "made.up.value")
    config = HarbourConfig(root=root / "harbour", **made_up)
    clock = Clock()
    service = ArgoCD(config, now=clock)
    service.start()
    with served(root / "git") as server:
        replay = Replay(service, clock, server)
        prepare(replay)
        for file in FILES:
            replay.run(recorded(file), BEFORE)
        yield replay.seen
    service.stop()


@pytest.mark.parametrize("file", FILES)
def test_each_call_is_answered_as_it_was(replayed: list[tuple[Recorded, int, Any]], file: str) -> None:
    different = {
        call.case: reason
        for call, status, said in replayed
        if call.file == file and (reason := difference(call, status, said))
    }

    assert different == {}


def test_every_recorded_call_is_replayed(replayed: list[tuple[Recorded, int, Any]]) -> None:
    lines = sum(len(path.read_text().splitlines()) for path in RECORDINGS.glob("*.jsonl"))

    assert len(replayed) == lines
