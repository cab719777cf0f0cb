"""Our standing with each upstream, in each situation in which it refuses our account, for a while or for good."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from support.world import settings_for

from common.errors import Refused, StepError, Transient
from common.workflows import Upstream
from harbour import situations
from harbour.config import HarbourConfig
from harbour.faults import Fault
from harbour.server import Service
from harbour.world import Harbour
from worker import upstreams
from worker.upstreams import Upstreams
from worker.upstreams.argocd.client import Credentials
from worker.upstreams.standing import Good, Held, Missing, Standing

Change = Callable[[Upstreams], Any]


@pytest.fixture(scope="module")
def opened(tmp_path_factory: pytest.TempPathFactory) -> Any:
    config = HarbourConfig(
        root=tmp_path_factory.mktemp("standing"),
        gitlab_token="glpat-made-up",
        gitlab_user="cloner",
        gitlab_read_token="gldt-made-up",
        jenkins_user="automation",
        jenkins_token="11made-up",
        argocd_token="argo.made.up",
        elasticsearch_user="keeper",
        elasticsearch_password="elastic-made-up",
    )
    harbour = Harbour(config)
    harbour.start()
    yield harbour
    harbour.stop()


@pytest.fixture
def harbour(opened: Harbour) -> Any:
    yield opened
    opened.clear_faults()
    for service in opened.services:
        situations.end(service)


@pytest.fixture
def clients(harbour: Harbour) -> Upstreams:
    return upstreams.connect(settings_for(harbour, "sqlite:///nowhere.db"))


def service_of(harbour: Harbour, upstream: Upstream) -> Service:
    service = harbour.service(upstream.value)
    assert service is not None
    return service


def bring(harbour: Harbour, upstream: Upstream, values: dict[str, Any]) -> None:
    situations.bring(service_of(harbour, upstream), values)


READER = Credentials(username="cloner", password="gldt-made-up")

# a call of the client that changes something, and one that reads
WRITES: dict[Upstream, Change] = {
    Upstream.GITLAB: lambda to: to.gitlab.groups.ensure_member("dev", 2, on_create=lambda: None),
    Upstream.JENKINS: lambda to: to.jenkins.roles.ensure("anna", role="dev", on_create=lambda: None),
    Upstream.ARGOCD: lambda to: to.argocd.templates.renew("https://git.example.com/dev/", READER),
    Upstream.ELASTICSEARCH: lambda to: to.elasticsearch.users.ensure(
        login="anna",
        password="engines weave numbers",
        roles=["dev"],
        full_name="Anna",
        email="anna@example.com",
        marker="slipway:1",
        on_create=lambda: None,
    ),
}
READS: dict[Upstream, Change] = {
    Upstream.GITLAB: lambda to: to.gitlab.projects.find("dev/shop"),
    Upstream.JENKINS: lambda to: to.jenkins.pipelines.find("dev", "shop_dev"),
    Upstream.ARGOCD: lambda to: to.argocd.applications.find("shop", "dev"),
    Upstream.ELASTICSEARCH: lambda to: to.elasticsearch.users.remove("anna", marker="slipway:1"),
}


def refusal_of(clients: Upstreams, change: Change) -> Refused:
    with pytest.raises(Refused) as raised:
        change(clients)
    return raised.value


def standing_after(clients: Upstreams, upstream: Upstream, change: Change) -> tuple[Refused, Standing]:
    refused = refusal_of(clients, change)
    return refused, clients.standing(upstream, refused)


GITLAB, JENKINS, ARGOCD, ELASTICSEARCH = (
    Upstream.GITLAB,
    Upstream.JENKINS,
    Upstream.ARGOCD,
    Upstream.ELASTICSEARCH,
)

# upstream, situation, which calls are refused, words of the cause
PASSING = [
    (GITLAB, {"is_read_only": True}, "w", "GitLab is read-only"),
    (GITLAB, {"organisation": "maintenance"}, "rw", "organization is unavailable"),
    (GITLAB, {"organisation": "unavailable"}, "rw", "organization is unavailable"),
    (GITLAB, {"token_problem": "expired"}, "rw", "GitLab refuses GITLAB_TOKEN: Token is expired"),
    (GITLAB, {"token_problem": "revoked"}, "rw", "GitLab refuses GITLAB_TOKEN: Token was revoked"),
    (JENKINS, {"start_up": "before users"}, "rw", "Jenkins refuses the login automation"),
    (JENKINS, {"start_up": "before rights"}, "rw", "Jenkins does not receive the login"),
    (JENKINS, {"is_token_revoked": True}, "rw", "Jenkins refuses the login automation"),
    (ARGOCD, {"is_kubernetes_away": True}, "rw", "Argo CD cannot reach its Kubernetes API"),
    (ARGOCD, {"token_problem": "token is expired"}, "rw", "Argo CD refuses ARGO_TOKEN"),
    (ELASTICSEARCH, {"is_security_index_away": True}, "rw", "Elasticsearch refuses the user keeper"),
    (ELASTICSEARCH, {"is_password_changed": True}, "rw", "Elasticsearch refuses the user keeper"),
    *(
        (upstream, {"front_proxy": mode}, "rw", f"Something in front of {upstream.label} lets no call")
        for upstream in (GITLAB, JENKINS, ARGOCD, ELASTICSEARCH)
        for mode in ("401", "403", "log-in")
    ),
]
LACKING = [
    (GITLAB, {"token_scopes": ["read_api"]}, "w", "the scope api"),
    (GITLAB, {"token_scopes": ["read_user"]}, "rw", "the scope api"),
    (GITLAB, {"is_administrator": False}, "w", "the rights of an administrator"),
    (JENKINS, {"our_permissions": ["hudson.model.Hudson.Read"]}, "w", "the permission hudson.model.Hudson.Administer"),
    (ARGOCD, {"denied_rights": ["applications/get"]}, "r", "the right to get applications (dev/shop)"),
    (ARGOCD, {"denied_rights": ["repositories/create"]}, "w", "the right to create repositories"),
    (ELASTICSEARCH, {"our_privileges": ["monitor"]}, "rw", "the cluster privilege manage_security"),
]


def _rows(table: list[tuple[Upstream, dict[str, Any], str, str]]) -> list[Any]:
    return [
        pytest.param(upstream, values, change, words, id=f"{upstream}-{values}-{kind}")
        for upstream, values, kinds, words in table
        for kind, change in (("r", READS[upstream]), ("w", WRITES[upstream]))
        if kind in kinds
    ]


@pytest.mark.parametrize(("upstream", "values", "change", "words"), _rows(PASSING))
def test_what_refuses_us_in_general_is_found_by_reading(
    harbour: Harbour, clients: Upstreams, upstream: Upstream, values: dict[str, Any], change: Change, words: str
) -> None:
    bring(harbour, upstream, values)

    refused, found = standing_after(clients, upstream, change)

    assert isinstance(found, Held), found
    assert words in found.cause
    assert found.remedy
    assert not found.cause.endswith(".")
    assert refused.upstream == upstream.label


@pytest.mark.parametrize(("upstream", "values", "change", "words"), _rows(PASSING))
def test_when_it_is_over_we_stand_well_even_after_the_same_refusal(
    harbour: Harbour, clients: Upstreams, upstream: Upstream, values: dict[str, Any], change: Change, words: str
) -> None:
    says_itself_that_it_passes = "is_read_only" in values or "organisation" in values
    bring(harbour, upstream, values)
    refused = refusal_of(clients, change)
    situations.end(service_of(harbour, upstream))

    assert clients.standing(upstream, None) == Good()
    if not says_itself_that_it_passes:
        assert clients.standing(upstream, refused) == Good(), words


@pytest.mark.parametrize(
    ("upstream", "values"),
    [
        pytest.param(upstream, values, id=f"{upstream}-{values}")
        for upstream, values, _, _ in PASSING
        if "is_read_only" not in values and "organisation" not in values
    ],
)
def test_a_probe_finds_the_hold_lasting_without_a_refused_call(
    harbour: Harbour, clients: Upstreams, upstream: Upstream, values: dict[str, Any]
) -> None:
    bring(harbour, upstream, values)

    assert isinstance(clients.standing(upstream, None), Held)


@pytest.mark.parametrize(("upstream", "values", "change", "words"), _rows(LACKING))
def test_a_right_that_is_missing_while_the_account_works_is_named(
    harbour: Harbour, clients: Upstreams, upstream: Upstream, values: dict[str, Any], change: Change, words: str
) -> None:
    bring(harbour, upstream, values)

    _, found = standing_after(clients, upstream, change)

    assert isinstance(found, Missing), found
    assert words in found.right


BODIES = {
    GITLAB: '{"message": "403 Forbidden"}',
    JENKINS: "<html>Access Denied</html>",
    ARGOCD: '{"error": "permission denied", "code": 7, "message": "permission denied"}',
    ELASTICSEARCH: '{"error": {"type": "security_exception", "reason": "no"}, "status": 403}',
}
OBJECTS = {GITLAB: "dev%2Fshop", JENKINS: "shop_dev", ARGOCD: "applications/shop", ELASTICSEARCH: "user/anna"}


@pytest.mark.parametrize("upstream", OBJECTS)
def test_one_object_that_is_refused_says_nothing_about_our_account(
    harbour: Harbour, clients: Upstreams, upstream: Upstream
) -> None:
    path = OBJECTS[upstream]
    service_of(harbour, upstream).inject(Fault(kind="status", path=path, status=403, body=BODIES[upstream]))

    _, found = standing_after(clients, upstream, READS[upstream])

    assert found == Good()


@pytest.mark.parametrize("upstream", OBJECTS)
@pytest.mark.parametrize("kind", ["reset", "status"])
def test_without_a_usable_answer_nothing_is_found(
    harbour: Harbour, clients: Upstreams, upstream: Upstream, kind: str
) -> None:
    service_of(harbour, upstream).inject(Fault(kind=kind, status=503))

    with pytest.raises(Transient) as raised:
        clients.standing(upstream, None)

    assert raised.value.is_unavailable
    assert raised.value.upstream == upstream.label


def test_a_jenkins_that_starts_is_no_question_of_our_account(harbour: Harbour, clients: Upstreams) -> None:
    bring(harbour, JENKINS, {"start_up": "getting ready"})

    with pytest.raises(Transient, match="Jenkins is starting") as raised:
        clients.standing(JENKINS, None)

    assert raised.value.is_unavailable


@pytest.mark.parametrize("upstream", OBJECTS)
def test_our_standing_is_found_without_a_write(harbour: Harbour, clients: Upstreams, upstream: Upstream) -> None:
    service = service_of(harbour, upstream)
    writes = len(service.writes())

    assert clients.standing(upstream, None) == Good()

    assert len(service.writes()) == writes


@pytest.mark.parametrize("upstream", OBJECTS)
def test_a_client_takes_no_log_in_page_for_a_success(harbour: Harbour, clients: Upstreams, upstream: Upstream) -> None:
    bring(harbour, upstream, {"front_proxy": "log-in"})

    with pytest.raises(Refused, match="log-in page"):
        WRITES[upstream](clients)


@pytest.mark.parametrize(
    "values", [{"start_up": "before users"}, {"start_up": "before rights"}, {"front_proxy": "401"}]
)
def test_while_jenkins_knows_nobody_no_account_is_somebody_elses(
    harbour: Harbour, clients: Upstreams, values: dict[str, Any]
) -> None:
    """The password of a sign-up is checked by logging in with it: a 401 is information there, if Jenkins knows us."""
    accounts = clients.jenkins.accounts
    form = {"login": "berta", "password": "engines weave numbers", "name": "B", "email": "b@example.com"}
    accounts.ensure_user(**form, on_create=lambda: None)
    prove = accounts._prove_ours  # noqa: SLF001 - the call is one of several of `ensure_user`, refused from there on
    bring(harbour, JENKINS, values)

    with pytest.raises(Refused):
        prove("berta", "engines weave numbers")


def test_a_refusal_is_one_of_the_outcomes_of_a_step() -> None:
    assert issubclass(Refused, StepError)
