"""The Jenkins client creates each object once, changes nothing of others, and reads every reply correctly."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from common.errors import ActionBy, Conflict, Permanent, StepError, Transient
from common.plain_text import own_words
from harbour.config import HarbourConfig
from harbour.faults import Fault
from harbour.jenkins import xml
from harbour.jenkins.app import Jenkins as StandIn
from worker.upstreams.http import Http
from worker.upstreams.jenkins.client import Jenkins, Pipeline, RoleAssignment, User
from worker.upstreams.jenkins.config_xml import Parameter, PipelineDefinition, PipelineXml, render
from worker.upstreams.jenkins.xml_document import XmlDocument

PASSWORD = 'Öffne "dich" <Sesam> & 1'
FORM = {"login": "anna", "password": PASSWORD, "name": "Anna Ohm", "email": "anna@example.org"}
DEFINITION = PipelineDefinition(
    repository_url="https://gitlab.example/dev/shop.git",
    credential_id="gitlab",
    branch="main",
    script_path="ci/Jenkinsfile",
    marker="slipway:app-1",
    description="The shop",
    parameters=(Parameter(name="JOB_ID"), Parameter(name="IMAGE", default="shop", description="its name")),
)
FOREIGN = b"<flow-definition><description>by hand</description></flow-definition>"
CORPUS = [
    "]]>",
    "&xxe;",
    "</description><script>alert(1)</script>",
    "<!DOCTYPE a [<!ENTITY x SYSTEM 'file:///etc/passwd'>]>",
    "'\"`$(id)${HOME}",
    "two\nlines\tand a tab",
    "Größe 東京 🚢",
    "x" * 65536,
]


class Intents:
    """An `on_create` that notes how many writes the stand-in had seen when it ran."""

    def __init__(self, service: StandIn) -> None:
        self._service = service
        self.after_writes: list[int] = []

    def __call__(self) -> None:
        self.after_writes.append(len(self._service.writes()))


@pytest.fixture
def service(tmp_path: Path) -> Iterator[StandIn]:
    config = HarbourConfig(
        root=tmp_path,
        gitlab_token="t",
        gitlab_user="reader",
        gitlab_read_token="t",
        jenkins_user="provisioner",
        jenkins_token="api-token",
        argocd_token="t",
        elasticsearch_user="elastic",
        elasticsearch_password="t",
    )
    service = StandIn(config)
    service.start()
    yield service
    service.stop()


@pytest.fixture
def intents(service: StandIn) -> Intents:
    return Intents(service)


@pytest.fixture
def jenkins(service: StandIn) -> Jenkins:
    return client(service, "api-token")


def client(service: StandIn, secret: str) -> Jenkins:
    return Jenkins(Http("Jenkins", service.url, headers={"Accept-Language": "en"}, auth=("provisioner", secret)))


def is_as_wanted(xml: bytes, wanted: PipelineDefinition = DEFINITION) -> bool:
    document = PipelineXml(xml)
    return document.carries(wanted.marker) and document.drift(wanted) == ()


def never() -> None:
    raise AssertionError("nothing was to be created")


def ensure(jenkins: Jenkins, what: str, intents: Intents) -> User | RoleAssignment | Pipeline:
    """Ensure one of each, as a step would."""
    if what == "user":
        return jenkins.accounts.ensure_user(**FORM, on_create=intents)
    if what == "role":
        return jenkins.roles.ensure("anna", role="dev", on_create=intents)
    return jenkins.pipelines.ensure("dev", "shop_dev", definition=DEFINITION, on_create=intents)


WRITES = {"user": "createAccountByAdmin", "role": "assignUserRole", "pipeline": "createItem"}


# -- what holds for all of them -----------------------------------------------------------------------------------


@pytest.mark.parametrize("what", WRITES)
def test_twice_is_one_write(jenkins: Jenkins, service: StandIn, intents: Intents, what: str) -> None:
    first = ensure(jenkins, what, intents)
    second = ensure(jenkins, what, intents)

    assert (first.found, second.found) == (False, True)
    assert replace(second, found=False) == first
    assert len(service.writes()) == 1
    assert intents.after_writes == [0]


@pytest.mark.parametrize("what", WRITES)
@pytest.mark.parametrize("kind", ["lost", "truncate"])
def test_a_lost_reply_is_unknown_and_converges(
    jenkins: Jenkins, service: StandIn, intents: Intents, what: str, kind: str
) -> None:
    service.inject(Fault(kind=kind, method="POST", path=WRITES[what], times=1))

    with pytest.raises(Transient):
        ensure(jenkins, what, intents)
    again = ensure(jenkins, what, intents)

    assert again.found
    assert len(service.writes()) == 1
    assert intents.after_writes == [0]


@pytest.mark.parametrize("what", WRITES)
def test_a_request_that_never_arrived_is_made_again(
    jenkins: Jenkins, service: StandIn, intents: Intents, what: str
) -> None:
    service.inject(Fault(kind="reset", method="POST", path=WRITES[what], times=1))

    with pytest.raises(Transient):
        ensure(jenkins, what, intents)
    again = ensure(jenkins, what, intents)

    assert not again.found
    assert len(intents.after_writes) == 2


@pytest.mark.parametrize("what", WRITES)
def test_nothing_is_created_when_the_intent_cannot_be_written(jenkins: Jenkins, service: StandIn, what: str) -> None:
    class Down(Intents):
        def __call__(self) -> None:
            raise Transient("the ledger is down")

    with pytest.raises(Transient, match="ledger"):
        ensure(jenkins, what, Down(service))

    assert service.writes() == []


LOOKS = {"user": "securityRealm/user", "role": "getRole", "pipeline": "config.xml"}
CRUMB = "<h2>HTTP ERROR 403 No valid crumb was included in the request</h2>"
MISSING = {"X-Required-Permission": "hudson.model.Hudson.Administer"}
LOADING = "<title>Starting Jenkins</title> Please wait while Jenkins is getting ready to work"
ANSWERS = [
    (401, "", {}, Permanent, "token"),
    (403, CRUMB, {}, Permanent, "not an API token"),
    (403, "Access Denied", MISSING, Permanent, "lacks the permission hudson.model.Hudson.Administer"),
    (403, "Please login to access job dev", {}, Permanent, "Please login"),
    (429, "", {"Retry-After": "7"}, Transient, ""),
    (503, LOADING, {}, Transient, "is starting"),
    (503, "", {"Retry-After": "7"}, Transient, ""),
    (502, "", {}, Transient, ""),
    (302, "", {"Location": "/login"}, Permanent, ""),
]


@pytest.mark.parametrize("path", [*LOOKS.items(), *WRITES.items()], ids=lambda item: item[1])
@pytest.mark.parametrize(("status", "body", "headers", "error", "says"), ANSWERS)
def test_each_answer_ends_as_declared(
    jenkins: Jenkins,
    service: StandIn,
    intents: Intents,
    path: tuple[str, str],
    status: int,
    body: str,
    headers: dict[str, str],
    error: type[StepError],
    says: str,
) -> None:
    service.inject(Fault(kind="status", path=path[1], status=status, body=body, headers=headers))

    with pytest.raises(error) as raised:
        ensure(jenkins, path[0], intents)

    assert says in raised.value.reason
    assert raised.value.upstream == "Jenkins"
    assert PASSWORD not in raised.value.reason
    assert getattr(raised.value, "action_by", ActionBy.OPERATOR) is ActionBy.OPERATOR
    assert getattr(raised.value, "retry_after_s", None) == (7.0 if "Retry-After" in headers else None)


def test_a_password_instead_of_a_token_is_named(jenkins: Jenkins, service: StandIn, intents: Intents) -> None:
    jenkins.accounts.ensure_user(**FORM, on_create=intents)
    service.roles["globalRoles"]["admin"].sids.add(("USER", "anna"))
    by_password = Jenkins(Http("Jenkins", service.url, auth=("anna", PASSWORD)))

    with pytest.raises(Permanent, match="not an API token"):
        by_password.roles.ensure("anna", role="dev", on_create=intents)


def test_a_wrong_token_stops_at_the_first_look(service: StandIn) -> None:
    with pytest.raises(Permanent, match="token"):
        client(service, "wrong").accounts.ensure_user(**FORM, on_create=never)


# -- users ----------------------------------------------------------------------------------------------------------


def test_an_account_with_another_password_is_somebody_elses(
    jenkins: Jenkins, service: StandIn, intents: Intents
) -> None:
    jenkins.accounts.ensure_user(**{**FORM, "password": "another"}, on_create=intents)
    before = service.snapshot()

    with pytest.raises(Conflict) as raised:
        jenkins.accounts.ensure_user(**FORM, on_create=never)

    assert raised.value.choices
    assert service.snapshot() == before


def test_our_own_account_cannot_be_signed_up_for(jenkins: Jenkins, service: StandIn) -> None:
    before = service.snapshot()

    with pytest.raises(Conflict):
        jenkins.accounts.ensure_user(**{**FORM, "login": "Provisioner"}, on_create=never)

    assert service.snapshot() == before


def test_a_commit_author_gets_an_account(jenkins: Jenkins, service: StandIn, intents: Intents) -> None:
    service.remember_author("anna", "Anna Ohm")

    user = jenkins.accounts.ensure_user(**FORM, on_create=intents)

    assert not user.found
    assert len(service.writes()) == 1


def test_a_full_name_is_not_a_login(jenkins: Jenkins, service: StandIn, intents: Intents) -> None:
    jenkins.accounts.ensure_user(**{**FORM, "login": "other", "name": "anna"}, on_create=intents)

    user = jenkins.accounts.ensure_user(**FORM, on_create=intents)

    assert (user.id, user.found) == ("anna", False)
    assert user.url == f"{service.url}/user/anna"


@pytest.mark.parametrize(
    ("change", "says", "field"),
    [
        ({"login": "an.na"}, "only contain alphanumeric", "name"),
        ({"login": "SYSTEM"}, "prohibited", "name"),
        ({"email": "nowhere"}, "Invalid e-mail", "e-mail address"),
        ({"password": "ö" * 37}, "longer than 72", "password"),
        ({"email": "nowhere", "password": "ö" * 37}, "longer than 72", "password or the e-mail address"),
    ],
)
def test_a_rejected_form_is_the_users_to_mend(
    jenkins: Jenkins, service: StandIn, intents: Intents, change: dict[str, str], says: str, field: str
) -> None:
    form = {**FORM, **change}
    before = service.snapshot()

    with pytest.raises(Permanent, match=says) as raised:
        jenkins.accounts.ensure_user(**form, on_create=intents)

    assert raised.value.action_by is ActionBy.USER
    assert own_words(raised.value.reason) == f"Jenkins does not accept the user {form['login']}: change the {field}"
    assert form["password"] not in raised.value.reason
    assert "<" not in raised.value.reason
    assert service.snapshot() == before


def test_a_password_inside_the_error_itself_is_scrubbed(jenkins: Jenkins, service: StandIn, intents: Intents) -> None:
    echo = '<div class="error">too weak: hunter22-canary</div><input value="hunter22-canary">'
    service.inject(Fault(kind="status", path="createAccountByAdmin", status=200, body=echo))

    with pytest.raises(Permanent, match="too weak") as raised:
        jenkins.accounts.ensure_user(**{**FORM, "password": "hunter22-canary"}, on_create=intents)

    assert "canary" not in raised.value.reason


def test_another_user_database_is_the_operators_to_mend(jenkins: Jenkins, service: StandIn, intents: Intents) -> None:
    service.inject(Fault(kind="status", path="securityRealm", status=404))

    with pytest.raises(Permanent, match="does not keep its own users") as raised:
        jenkins.accounts.ensure_user(**FORM, on_create=intents)

    assert raised.value.action_by is ActionBy.OPERATOR


def test_a_race_for_one_login_has_one_winner(jenkins: Jenkins, service: StandIn) -> None:
    def somebody_is_faster() -> None:
        jenkins.accounts.ensure_user(**{**FORM, "password": "another"}, on_create=lambda: None)

    with pytest.raises(Conflict):
        jenkins.accounts.ensure_user(**FORM, on_create=somebody_is_faster)

    assert len(service.users) == 2


def test_a_race_with_our_own_other_attempt_is_no_conflict(jenkins: Jenkins) -> None:
    def the_other_attempt() -> None:
        jenkins.accounts.ensure_user(**FORM, on_create=lambda: None)

    user = jenkins.accounts.ensure_user(**FORM, on_create=the_other_attempt)

    assert user.id == "anna"


# -- roles ----------------------------------------------------------------------------------------------------------


def test_an_unknown_role_is_refused_before_anything_is_written(jenkins: Jenkins, service: StandIn) -> None:
    with pytest.raises(Permanent, match="no role none-such") as raised:
        jenkins.roles.ensure("anna", role="none-such", on_create=never)

    assert raised.value.action_by is ActionBy.OPERATOR
    assert service.writes() == []


def test_an_old_plugin_is_spoken_to_in_its_own_words(jenkins: Jenkins, service: StandIn, intents: Intents) -> None:
    service.old_role_strategy = True

    first = jenkins.roles.ensure("anna", role="dev", on_create=intents)
    second = jenkins.roles.ensure("anna", role="dev", on_create=never)

    assert (first.found, second.found) == (False, True)
    assert service.roles["projectRoles"]["dev"].sids == {("EITHER", "anna")}


def test_a_group_of_that_name_is_not_the_user(jenkins: Jenkins, service: StandIn, intents: Intents) -> None:
    service.roles["projectRoles"]["dev"].sids.add(("GROUP", "anna"))

    assert not jenkins.roles.ensure("anna", role="dev", on_create=intents).found
    assert ("USER", "anna") in service.roles["projectRoles"]["dev"].sids


@pytest.mark.parametrize("skip", [0, 1])
def test_no_role_strategy_is_the_operators_to_mend(
    jenkins: Jenkins, service: StandIn, intents: Intents, skip: int
) -> None:
    service.inject(Fault(kind="status", path="role-strategy", status=404, skip=skip))

    with pytest.raises(Permanent, match="role-strategy is not the active") as raised:
        jenkins.roles.ensure("anna", role="dev", on_create=intents)

    assert raised.value.action_by is ActionBy.OPERATOR


def test_a_200_that_assigned_nothing_is_not_believed(jenkins: Jenkins, service: StandIn, intents: Intents) -> None:
    service.inject(Fault(kind="status", path="assignUserRole", status=200))

    with pytest.raises(Transient):
        jenkins.roles.ensure("anna", role="dev", on_create=intents)


# -- pipelines --------------------------------------------------------------------------------------------------------


def test_a_pipeline_is_what_was_asked_for(jenkins: Jenkins, service: StandIn, intents: Intents) -> None:
    made = jenkins.pipelines.ensure("dev", "shop_dev", definition=DEFINITION, on_create=intents)

    assert made == Pipeline(full_name="dev/shop_dev", url=f"{service.url}/job/dev/job/shop_dev/", found=False)
    assert is_as_wanted(service.items["dev/shop_dev"].encode())
    assert jenkins.pipelines.find("dev", "shop_dev") == replace(made, found=True)
    assert jenkins.pipelines.find("dev", "none_dev") is None


@pytest.mark.parametrize("field", ["repository_url", "credential_id", "branch", "script_path"])
def test_a_drifted_field_is_put_back(jenkins: Jenkins, service: StandIn, intents: Intents, field: str) -> None:
    change: dict[str, Any] = {field: "elsewhere"}
    drifted = replace(DEFINITION, **change)
    jenkins.pipelines.ensure("dev", "shop_dev", definition=drifted, on_create=intents)

    again = jenkins.pipelines.ensure("dev", "shop_dev", definition=DEFINITION, on_create=never)

    assert again.found
    assert is_as_wanted(service.items["dev/shop_dev"].encode())
    assert [call.path.rpartition("/")[2] for call in service.writes()] == ["createItem?name=shop_dev", "config.xml"]


def test_a_missing_parameter_is_put_back(jenkins: Jenkins, service: StandIn, intents: Intents) -> None:
    bare = replace(DEFINITION, parameters=())
    jenkins.pipelines.ensure("dev", "shop_dev", definition=bare, on_create=intents)

    jenkins.pipelines.ensure("dev", "shop_dev", definition=DEFINITION, on_create=never)

    assert is_as_wanted(service.items["dev/shop_dev"].encode())


def test_what_people_add_is_left_alone(jenkins: Jenkins, service: StandIn, intents: Intents) -> None:
    theirs = (*DEFINITION.parameters, Parameter(name="FROM_JENKINSFILE"))
    edited = replace(DEFINITION, description="edited by hand", parameters=theirs)
    jenkins.pipelines.ensure("dev", "shop_dev", definition=edited, on_create=intents)

    jenkins.pipelines.ensure("dev", "shop_dev", definition=DEFINITION, on_create=never)

    assert len(service.writes()) == 1


@pytest.mark.parametrize(
    "held",
    [
        FOREIGN,
        b"<com.cloudbees.hudson.plugins.folder.Folder/>",
        render(replace(DEFINITION, marker="slipway:app-10")),
        render(replace(DEFINITION, marker="by hand", description="see slipway:app-1")),
    ],
    ids=["by hand", "a folder", "another app's", "marker within a line"],
)
def test_somebody_elses_job_is_a_conflict_and_unchanged(jenkins: Jenkins, service: StandIn, held: bytes) -> None:
    service.items["dev/shop_dev"] = held.decode()
    before = service.snapshot()

    with pytest.raises(Conflict) as raised:
        jenkins.pipelines.ensure("dev", "shop_dev", definition=DEFINITION, on_create=never)

    assert raised.value.choices
    assert service.snapshot() == before


def test_somebody_faster_is_a_conflict_and_unchanged(jenkins: Jenkins, service: StandIn) -> None:
    def somebody_is_faster() -> None:
        service.items["dev/shop_dev"] = FOREIGN.decode()

    with pytest.raises(Conflict):
        jenkins.pipelines.ensure("dev", "shop_dev", definition=DEFINITION, on_create=somebody_is_faster)

    assert service.items["dev/shop_dev"] == FOREIGN.decode()


@pytest.mark.parametrize("status", [400, 500])
def test_a_creation_that_worked_and_then_failed_is_looked_at(
    jenkins: Jenkins, service: StandIn, intents: Intents, status: int
) -> None:
    service.inject(Fault(kind="status_after", path="createItem", status=status))

    made = jenkins.pipelines.ensure("dev", "shop_dev", definition=DEFINITION, on_create=intents)

    assert not made.found
    assert len(service.writes()) == 1


OOPS = "<h1>Oops!</h1> Logging ID=1b4e28ba-2fa1-11d2-883f-0016d3cca427<pre>secret stack</pre>"


@pytest.mark.parametrize(
    ("status", "body", "headers", "error", "says"),
    [
        (500, OOPS, {}, Permanent, "Logging ID 1b4e28ba-2fa1-11d2-883f-0016d3cca427"),
        (500, "", {"X-Jenkins": "2.568.2"}, Permanent, "a plugin may be missing"),
        (500, "", {}, Transient, "answered 500"),
        (500, "<h1>No space left</h1>", {"Server": "nginx"}, Transient, "answered 500"),
        (400, "<h1>Error</h1>", {"X-Error": "unsafe character"}, Permanent, "unsafe character"),
        (400, "<h1>Error</h1>", {"X-Error": ""}, Conflict, "cannot see"),
        (404, "", {}, Permanent, "404"),
    ],
)
def test_a_refused_creation_ends_as_declared(
    jenkins: Jenkins,
    service: StandIn,
    intents: Intents,
    status: int,
    body: str,
    headers: dict[str, str],
    error: type[StepError],
    says: str,
) -> None:
    service.inject(Fault(kind="status", path="createItem", status=status, body=body, headers=headers))

    with pytest.raises(error) as raised:
        jenkins.pipelines.ensure("dev", "shop_dev", definition=DEFINITION, on_create=intents)

    assert says in raised.value.reason
    assert "secret stack" not in raised.value.reason


def test_a_200_that_kept_half_is_not_believed(jenkins: Jenkins, service: StandIn, intents: Intents) -> None:
    half = render(DEFINITION).replace(b"credentialsId", b"credentialId").decode()
    service.inject(Fault(kind="status", method="GET", path="config.xml", status=200, body=half, skip=1))

    with pytest.raises(Permanent, match="did not keep credential_id"):
        jenkins.pipelines.ensure("dev", "shop_dev", definition=DEFINITION, on_create=intents)


@pytest.mark.parametrize(("folder", "says"), [("none", "has no folder"), ("dev/job_dev", "is not a folder")])
def test_a_missing_folder_is_the_operators_to_mend(jenkins: Jenkins, service: StandIn, folder: str, says: str) -> None:
    service.items["dev/job_dev"] = FOREIGN.decode()

    with pytest.raises(Permanent, match=says) as raised:
        jenkins.pipelines.ensure(folder, "shop_dev", definition=DEFINITION, on_create=never)

    assert raised.value.action_by is ActionBy.OPERATOR


def test_a_folder_may_be_nested(jenkins: Jenkins, service: StandIn, intents: Intents) -> None:
    service.items["dev/web"] = service.items["dev"]

    made = jenkins.pipelines.ensure("dev/web", "shop_dev", definition=DEFINITION, on_create=intents)

    assert made.full_name == "dev/web/shop_dev"
    assert made.url == f"{service.url}/job/dev/job/web/job/shop_dev/"


@pytest.mark.parametrize("name", ["", "..", "a/b", "a?b", "a#b", "a b", "a\nb", "-a", "x" * 64, "ä"])
def test_a_bad_name_is_refused_before_anything_is_sent(jenkins: Jenkins, service: StandIn, name: str) -> None:
    with pytest.raises(Permanent) as raised:
        jenkins.pipelines.ensure("dev", name, definition=DEFINITION, on_create=never)

    assert raised.value.action_by is ActionBy.USER
    assert service.calls == []


# -- XML ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("text", CORPUS, ids=lambda text: text[:12])
def test_any_text_comes_back_as_it_went(jenkins: Jenkins, service: StandIn, intents: Intents, text: str) -> None:
    odd = replace(DEFINITION, description=text, parameters=(Parameter(name="A", default=text, description=text),))

    jenkins.pipelines.ensure("dev", "shop_dev", definition=odd, on_create=intents)
    jenkins.pipelines.ensure("dev", "shop_dev", definition=odd, on_create=never)

    assert is_as_wanted(service.items["dev/shop_dev"].encode(), odd)
    assert xml.text(service.items["dev/shop_dev"], "description") == f"{odd.marker}\n{text}"
    assert "<script>" not in service.items["dev/shop_dev"]


def test_line_ends_survive() -> None:
    odd = replace(DEFINITION, description="a\r\nb\rc", parameters=(Parameter(name="A", default="a\r\nb"),))

    assert is_as_wanted(render(odd), odd)


@pytest.mark.parametrize("text", ["\x00", "\x0b", "\x1b[31m", "\ufffe", "\ud800"])
@pytest.mark.parametrize("field", ["description", "repository_url", "branch"])
def test_characters_that_xml_has_not_are_the_users_to_mend(
    jenkins: Jenkins, service: StandIn, field: str, text: str
) -> None:
    change: dict[str, Any] = {field: text}
    odd = replace(DEFINITION, **change)

    with pytest.raises(Permanent) as raised:
        jenkins.pipelines.ensure("dev", "shop_dev", definition=odd, on_create=never)

    assert raised.value.action_by is ActionBy.USER
    assert service.calls == []


BOMB = "<!DOCTYPE a [<!ENTITY b 'bb'><!ENTITY c '&b;&b;'>]><flow-definition>&c;</flow-definition>"


@pytest.mark.parametrize(
    "body",
    [
        BOMB.encode(),
        f'<?xml version="1.0" encoding="utf-16"?>{BOMB}'.encode("utf-16"),
        b"<?xml version='1.1' encoding='none-such'?><a/>",
        b"<flow-definition>",
        b"",
    ],
)
def test_a_dangerous_or_broken_document_is_refused(body: bytes) -> None:
    with pytest.raises(Permanent, match="cannot be read"):
        PipelineXml(body)


def test_a_document_as_jenkins_writes_it_is_understood() -> None:
    body = render(DEFINITION).replace(b"version='1.0'", b"version='1.1'")
    body = body.replace(b"<flow-definition>", b'<flow-definition plugin="workflow-job@1571.vb_423c255d6d9">')

    assert is_as_wanted(body)


@pytest.mark.parametrize(
    ("held", "written"),
    [
        ("&#x1b;[31m", "&#x1b;[31m"),
        ("&#27;", "&#x1b;"),
        ("\x1b", "&#x1b;"),
        ("&#x0;", "\N{REPLACEMENT CHARACTER}"),
        ("&#xffff;", "\N{REPLACEMENT CHARACTER}"),
        ("&#xd800;", "\N{REPLACEMENT CHARACTER}"),
        ("&#x1b;\x85\u2028", "&#x1b;&#x85;&#x2028;"),
        ("\U00100000&#x1b;", "\U00100000&#x1b;"),
        ("&amp;#x1b;", "&amp;#x1b;"),
        ("a&#xd;\nb", "a&#xd;\nb"),
    ],
)
def test_what_xml_1_0_cannot_hold_is_read_and_written_back(held: str, written: str) -> None:
    document = XmlDocument(f"<?xml version='1.1' encoding='UTF-8'?>\n<a><b>{held}</b></a>".encode())

    body = document.to_bytes().decode()

    assert body.endswith(f"<a><b>{written}</b></a>")
    assert XmlDocument(body.encode()).to_bytes().decode().endswith(f"<a><b>{written}</b></a>")


@pytest.mark.parametrize("body", [b"<a>&#x110000;</a>", "<a>\xe9</a>".encode("latin-1"), b"<a>&#x;</a>"])
def test_what_no_xml_can_hold_is_refused(body: bytes) -> None:
    with pytest.raises(Permanent, match="cannot be read"):
        XmlDocument(body)
