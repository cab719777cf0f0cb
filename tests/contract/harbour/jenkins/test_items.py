"""Does the Jenkins stand-in lay the traps that Jenkins does?"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from html import unescape
from typing import Any

import pytest
import requests

from harbour.config import HarbourConfig
from harbour.jenkins.app import Jenkins

PASSWORD = "correct-horse-battery"
FORM = {"username": "anna", "password1": PASSWORD, "password2": PASSWORD, "fullname": "Anna", "email": "a@x.org"}
XML = {"Content-Type": "application/xml; charset=utf-8"}
PIPELINE = """<?xml version='1.0' encoding='UTF-8'?>
<flow-definition>
  <description>Größe: {description}</description>
  <properties>
    <hudson.model.ParametersDefinitionProperty>
      <parameterDefinitions>
        <hudson.model.StringParameterDefinition><name>JOB_ID</name><defaultValue/></hudson.model.StringParameterDefinition>
        <hudson.model.NoSuchParameterDefinition><name>LOST</name></hudson.model.NoSuchParameterDefinition>
      </parameterDefinitions>
    </hudson.model.ParametersDefinitionProperty>
  </properties>
  <definition class="org.jenkinsci.plugins.workflow.cps.CpsScmFlowDefinition">
    <scm class="hudson.plugins.git.GitSCM">
      <userRemoteConfigs>
        <hudson.plugins.git.UserRemoteConfig>
          <url>https://git.example/dev/shop.git</url><credentialsId>gitlab</credentialsId><urll>lost</urll>
        </hudson.plugins.git.UserRemoteConfig>
      </userRemoteConfigs>
    </scm>
    <scriptPath>Jenkinsfile</scriptPath>
  </definition>
</flow-definition>"""
STRATEGY = "/role-strategy/strategy"


@dataclass
class Client:
    """Speaks plain HTTP to the stand-in and follows no redirect."""

    url: str
    auth: tuple[str, str] | None

    def get(self, path: str, **given: Any) -> requests.Response:
        return requests.get(self.url + path, auth=self.auth, allow_redirects=False, timeout=5, **given)

    def post(self, path: str, data: Any = None, **given: Any) -> requests.Response:
        return requests.post(self.url + path, data, auth=self.auth, allow_redirects=False, timeout=5, **given)

    def create(self, name: str, *, folder: str = "/job/dev", document: str = PIPELINE) -> requests.Response:
        return self.post(f"{folder}/createItem", document.encode(), params={"name": name}, headers=XML)

    def strategy(self, verb: str, kind: str = "projectRoles", **fields: str) -> requests.Response:
        return self.post(f"{STRATEGY}/{verb}", {"type": kind, **fields})

    def role(self, name: str, kind: str = "projectRoles") -> Any:
        return self.get(f"{STRATEGY}/getRole", params={"type": kind, "roleName": name}).json()


@pytest.fixture
def jenkins(config: HarbourConfig) -> Iterator[Jenkins]:
    service = Jenkins(config)
    service.start()
    yield service
    service.stop()


@pytest.fixture
def admin(jenkins: Jenkins) -> Client:
    return Client(jenkins.url, (jenkins.config.jenkins_user, jenkins.config.jenkins_token))


@pytest.fixture
def anonymous(jenkins: Jenkins) -> Client:
    return Client(jenkins.url, None)


@pytest.fixture
def anna(jenkins: Jenkins, admin: Client) -> Client:
    """Return a client that uses the real password of a created user."""
    assert admin.post("/securityRealm/createAccountByAdmin", FORM).status_code == 302
    return Client(jenkins.url, ("anna", PASSWORD))


# -- who is calling ---------------------------------------------------------------------------------------------------


def test_who_am_i_calls_the_anonymous_authenticated_too(admin: Client, anonymous: Client) -> None:
    nobody, somebody = (each.get("/whoAmI/api/json").json() for each in (anonymous, admin))

    assert (nobody["anonymous"], nobody["authenticated"], nobody["name"]) == (True, True, "anonymous")
    assert (somebody["anonymous"], somebody["authenticated"], somebody["name"]) == (False, True, "automation")


@pytest.mark.parametrize("header", ["Basic YXV0b21hdGlvbjp3cm9uZw==", "Basic !", "Basic bm9ib2R5Ong="])
def test_wrong_credentials_are_a_401_even_where_none_are_needed(jenkins: Jenkins, header: str) -> None:
    answer = requests.get(f"{jenkins.url}/whoAmI/api/json", headers={"Authorization": header}, timeout=5)

    assert answer.status_code == 401
    assert answer.headers["WWW-Authenticate"] == 'Basic realm="Jenkins"'


def test_a_real_password_reads_but_its_posts_lack_a_crumb(anna: Client) -> None:
    read, written = anna.get("/whoAmI/api/json"), anna.post("/createItem")

    assert read.json()["name"] == "anna"
    assert written.status_code == 403
    assert "No valid crumb was included in the request" in written.text


def test_a_crumb_lets_a_password_post_in_the_session_it_was_given_in(anna: Client, admin: Client) -> None:
    session = requests.Session()
    session.auth = anna.auth
    crumb = session.get(f"{anna.url}/crumbIssuer/api/json", timeout=5).json()
    header = {crumb["crumbRequestField"]: crumb["crumb"]}

    accepted = session.post(f"{anna.url}/createItem", headers=header, timeout=5)
    elsewhere = requests.post(f"{anna.url}/createItem", headers=header, auth=anna.auth, timeout=5)

    assert "X-Required-Permission" in accepted.headers
    assert "No valid crumb" in elsewhere.text
    assert admin.get("/crumbIssuer/api/json").json()["crumb"] != crumb["crumb"]


@pytest.mark.parametrize(
    "path", ["/", "/api/json", "/job/dev/", "/job/dev/api/json", "/queue/api/json", "/me/api/json"]
)
def test_an_item_role_does_not_open_jenkins_itself(jenkins: Jenkins, anna: Client, admin: Client, path: str) -> None:
    admin.strategy("assignUserRole", roleName="dev", user="anna")
    del jenkins.roles["globalRoles"]["reader"]

    answer = anna.get(path)

    assert (answer.status_code, answer.headers["X-Required-Permission"]) == (403, "hudson.model.Hudson.Read")
    assert anna.get("/whoAmI/api/json").status_code == 200


def test_the_anonymous_are_led_to_the_login_with_a_403(anonymous: Client) -> None:
    answer = anonymous.get("/api/json")

    assert answer.status_code == 403
    assert answer.headers["X-Required-Permission"] == "hudson.model.Hudson.Read"
    assert answer.headers["X-You-Are-Authenticated-As"] == "anonymous"
    assert "/login?from=" in answer.text


def test_pages_name_the_version_and_errors_are_html(admin: Client) -> None:
    found, missing = admin.get("/api/json"), admin.get("/nothing/api/json")

    assert found.headers["X-Jenkins"] == "2.568.2"
    assert missing.status_code == 404
    assert "X-Jenkins" not in missing.headers
    assert missing.headers["Content-Type"].startswith("text/html")


# -- users ------------------------------------------------------------------------------------------------------------


def test_a_created_account_is_a_302_to_the_realm(jenkins: Jenkins, admin: Client) -> None:
    answer = admin.post("/securityRealm/createAccountByAdmin", FORM)

    assert (answer.status_code, answer.content) == (302, b"")
    assert answer.headers["Location"] == f"{jenkins.url}/securityRealm/"


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"username": ""}, "User name is required"),
        ({"username": "an.na"}, "User name must only contain alphanumeric characters, underscore and dash"),
        ({"username": "änna"}, "User name must only contain alphanumeric characters, underscore and dash"),
        ({"username": "anna\n"}, "User name must only contain alphanumeric characters, underscore and dash"),
        ({"username": "System"}, "is prohibited as a username for security reasons."),
        ({"fullname": "Unknown"}, "is prohibited as a full name for security reasons."),
        ({"username": "AUTOMATION"}, "User name is already taken"),
        ({"password2": "other"}, "Password didn't match"),
        ({"password1": "", "password2": ""}, "Password is required"),
        ({"password1": "ü" * 37, "password2": "ü" * 37}, "Password cannot be longer than 72 characters"),
        ({"email": "nowhere"}, "Invalid e-mail address"),
    ],
)
def test_a_refused_account_is_a_200_that_repeats_the_password(
    jenkins: Jenkins, admin: Client, changes: dict[str, str], message: str
) -> None:
    before = jenkins.snapshot()

    answer = admin.post("/securityRealm/createAccountByAdmin", FORM | changes)

    assert answer.status_code == 200
    errors = re.findall(r'<div class="error jenkins-!-margin-bottom-2">(.*?)</div>', answer.text)
    assert any(message in unescape(error) for error in errors)
    assert (FORM | changes)["password1"] in answer.text
    assert jenkins.snapshot() == before


def test_72_bytes_of_password_are_allowed(admin: Client) -> None:
    longest = {"password1": "ü" * 36, "password2": "ü" * 36}

    assert admin.post("/securityRealm/createAccountByAdmin", FORM | longest).status_code == 302


def test_the_second_account_of_a_name_is_refused_in_any_case(anna: Client, admin: Client) -> None:
    answer = admin.post("/securityRealm/createAccountByAdmin", FORM | {"username": "ANNA"})

    assert anna.get("/whoAmI/api/json").status_code == 200
    assert answer.status_code == 200
    assert "User name is already taken" in answer.text


def test_a_user_found_is_not_a_user_who_can_log_in(jenkins: Jenkins, anna: Client, admin: Client) -> None:
    jenkins.remember_author("bert", "Bert")

    author, account = (admin.get(f"/securityRealm/user/{name}/api/json").json() for name in ("bert", "anna"))
    classes = [{each["_class"] for each in user["property"]} for user in (author, account)]

    assert ["hudson.security.HudsonPrivateSecurityRealm$Details" in each for each in classes] == [False, True]
    assert {"_class": "hudson.tasks.Mailer$UserProperty", "address": "a@x.org"} in account["property"]
    assert anna.get("/securityRealm/user/anna/api/json").json()["property"] == []


def test_an_account_may_be_made_over_a_commit_author(jenkins: Jenkins, admin: Client) -> None:
    jenkins.remember_author("anna", "Anna")

    assert admin.post("/securityRealm/createAccountByAdmin", FORM).status_code == 302


def test_only_the_realm_finds_users_by_id_alone(jenkins: Jenkins, admin: Client) -> None:
    jenkins.remember_author("carla", "bob")

    assert admin.get("/user/bob/api/json").json()["id"] == "carla"
    assert admin.get("/securityRealm/user/bob/api/json").status_code == 404
    assert admin.post("/user/bob/doDelete").status_code == 302
    assert "carla" not in jenkins.users


def test_deleting_a_user_leaves_the_roles_behind(anna: Client, admin: Client) -> None:
    admin.strategy("assignUserRole", roleName="dev", user="anna")

    answers = [admin.post("/securityRealm/user/anna/doDelete").status_code for _ in range(2)]

    assert answers == [302, 404]
    assert admin.role("dev")["sids"] == [{"type": "USER", "sid": "anna"}]
    assert anna.get("/whoAmI/api/json").status_code == 401


def test_nobody_deletes_themselves(admin: Client) -> None:
    answer = admin.post("/securityRealm/user/automation/doDelete")

    assert (answer.status_code, answer.headers["X-Error"]) == (400, "Cannot delete self")


def test_a_description_marks_a_user(anna: Client, admin: Client) -> None:
    answer = admin.post("/securityRealm/user/anna/submitDescription", {"description": "slipway:1"})

    assert answer.status_code == 302
    assert anna.get("/securityRealm/user/anna/api/json").json()["description"] == "slipway:1"


# -- roles ------------------------------------------------------------------------------------------------------------


def test_the_roles_of_the_teams_open_folder_and_jobs(admin: Client) -> None:
    role = admin.role("dev")

    assert role["pattern"] == "dev(/.*_dev)?"
    assert role["permissionIds"]["hudson.model.Item.Build"] is True
    assert (role["sids"], role["template"]) == ([], "")


@pytest.mark.parametrize(
    ("verb", "fields"),
    [
        ("assignUserRole", {"roleName": "nothing", "user": "anna"}),
        ("assignRole", {"roleName": "nothing", "sid": "anna"}),
        ("unassignUserRole", {"roleName": "dev", "user": "anna"}),
        ("deleteUser", {"user": "nobody"}),
        ("removeRoles", {"roleNames": "nothing"}),
        ("addRole", {"roleName": "dev", "permissionIds": "hudson.model.Item.Delete", "overwrite": "false"}),
    ],
)
def test_what_changes_nothing_is_a_200_as_well(
    jenkins: Jenkins, admin: Client, verb: str, fields: dict[str, str]
) -> None:
    before = jenkins.snapshot()

    answer = admin.strategy(verb, **fields)

    assert (answer.status_code, answer.content) == (200, b"")
    assert jenkins.snapshot() == before


def test_an_unknown_role_reads_as_an_empty_object(admin: Client) -> None:
    assert admin.role("nothing") == {}


def test_user_and_either_are_different_entries(admin: Client) -> None:
    admin.strategy("assignUserRole", roleName="dev", user="anna")
    admin.strategy("assignRole", roleName="dev", sid="anna")
    admin.strategy("unassignUserRole", roleName="dev", user="anna")

    assert admin.role("dev")["sids"] == [{"type": "EITHER", "sid": "anna"}]


def test_overwriting_a_role_loses_its_assignments(admin: Client) -> None:
    admin.strategy("assignUserRole", roleName="dev", user="anna")

    admin.strategy("addRole", roleName="dev", permissionIds="hudson.model.Item.Read,no.such.Thing", overwrite="true")

    role = admin.role("dev")
    assert (role["sids"], role["pattern"]) == ([], ".*")
    assert role["permissionIds"] == {"hudson.model.Item.Read": True}


@pytest.mark.parametrize(
    ("verb", "kind", "fields"),
    [
        ("assignUserRole", "projectRoles", {"roleName": "dev"}),
        ("assignUserRole", "noRoles", {"roleName": "dev", "user": "anna"}),
        ("addRole", "projectRoles", {"roleName": "new", "permissionIds": "hudson.model.Item.Read"}),
    ],
)
def test_a_missing_parameter_is_a_500(admin: Client, verb: str, kind: str, fields: dict[str, str]) -> None:
    answer = admin.strategy(verb, kind, **fields)

    assert answer.status_code == 500
    assert "Logging ID=" in answer.text


def test_a_pattern_that_is_no_expression_is_a_500_and_no_role(jenkins: Jenkins, admin: Client) -> None:
    before = jenkins.snapshot()

    answer = admin.strategy("addRole", roleName="new", permissionIds="", overwrite="false", pattern="(")

    assert answer.status_code == 500
    assert jenkins.snapshot() == before


def test_a_get_on_a_verb_that_writes_is_a_405(admin: Client) -> None:
    answer = admin.get(f"{STRATEGY}/assignUserRole")

    assert (answer.status_code, answer.headers["Allow"]) == (405, "POST")


def test_assignments_are_listed_by_role_and_by_sid(admin: Client) -> None:
    admin.strategy("assignUserRole", roleName="dev", user="anna")

    kind = {"type": "projectRoles"}
    roles = admin.get(f"{STRATEGY}/getAllRoles", params=kind).json()
    people = admin.get(f"{STRATEGY}/getRoleAssignments", params=kind).json()

    assert roles == {"dev": [{"type": "USER", "sid": "anna"}], "ops": []}
    assert people == [{"name": "anna", "type": "USER", "roles": ["dev"]}]
    assert "admin" in admin.get(f"{STRATEGY}/getAllRoles").json()


def test_an_old_plugin_knows_neither_users_nor_groups(jenkins: Jenkins, admin: Client) -> None:
    jenkins.old_role_strategy = True

    assert admin.strategy("assignUserRole", roleName="dev", user="anna").status_code == 404
    assert admin.strategy("assignRole", roleName="dev", sid="anna").status_code == 200
    assert admin.role("dev")["sids"] == ["anna"]


def test_a_role_shows_its_members_what_it_matches_and_hides_the_rest(anna: Client, admin: Client) -> None:
    admin.create("shop_dev")
    admin.create("secret")
    before = anna.get("/job/dev/api/json").status_code

    admin.strategy("assignUserRole", roleName="dev", user="ANNA")

    folder = anna.get("/job/dev/api/json")
    assert (before, folder.status_code) == (404, 200)
    assert [job["name"] for job in folder.json()["jobs"]] == ["shop_dev"]
    assert anna.get("/job/dev/job/secret/api/json").status_code == 404
    assert anna.get("/job/ops/api/json").status_code == 404


# -- folders and pipelines --------------------------------------------------------------------------------------------


def test_a_created_pipeline_shows_its_parameters(admin: Client) -> None:
    created = admin.create("shop_dev")

    tree = "buildable,inQueue,nextBuildNumber,property[parameterDefinitions[name]]"
    shown = admin.get("/job/dev/job/shop_dev/api/json", params={"tree": tree}).json()
    assert (created.status_code, created.content) == (200, b"")
    assert shown.pop("property") == [
        {
            "_class": "hudson.model.ParametersDefinitionProperty",
            "parameterDefinitions": [{"_class": "hudson.model.StringParameterDefinition", "name": "JOB_ID"}],
        }
    ]
    assert shown == {
        "_class": "org.jenkinsci.plugins.workflow.job.WorkflowJob",
        "buildable": True,
        "inQueue": False,
        "nextBuildNumber": 1,
    }


def test_what_is_read_back_is_rewritten_and_lacks_what_nobody_knew(admin: Client) -> None:
    admin.create("shop_dev")

    document = admin.get("/job/dev/job/shop_dev/config.xml").content.decode()

    assert document.startswith("<?xml version='1.1' encoding='UTF-8'?>\n<flow-definition plugin=")
    assert "Größe" in document
    assert "<credentialsId>gitlab</credentialsId>" in document
    assert "<disabled>false</disabled>" in document
    assert not {word for word in ("urll", "LOST", "NoSuch") if word in document}


def test_an_unknown_class_of_definition_is_dropped_with_all_in_it(admin: Client) -> None:
    created = admin.create("shop_dev", document=PIPELINE.replace("CpsScmFlowDefinition", "CpsSmcFlowDefinition"))

    assert created.status_code == 200
    assert "Jenkinsfile" not in admin.get("/job/dev/job/shop_dev/config.xml").text


@pytest.mark.parametrize("name", ["", " ", ".", "..", "a/b", "a?b", "a:b", "a%b", "a\tb", "a.", "a<b"])
def test_a_bad_name_is_a_400_with_x_error(jenkins: Jenkins, admin: Client, name: str) -> None:
    before = jenkins.snapshot()

    answer = admin.create(name)

    assert (answer.status_code, "X-Error" in answer.headers) == (400, True)
    assert jenkins.snapshot() == before


def test_names_are_trimmed_and_may_hold_spaces(admin: Client) -> None:
    assert admin.create(" my shöp ").status_code == 200
    assert admin.get("/job/dev/job/my%20sh%C3%B6p/api/json").json()["fullName"] == "dev/my shöp"


def test_a_second_item_of_a_name_is_a_400_whatever_its_kind(admin: Client) -> None:
    admin.create("shop_dev")

    folder = "<com.cloudbees.hudson.plugins.folder.Folder/>"
    answer = admin.create("shop_dev", document=folder)

    assert answer.status_code == 400
    assert answer.headers["X-Error"] == "A job already exists with the name ?shop_dev?"
    assert "‘shop_dev’" in answer.content.decode()


@pytest.mark.parametrize(
    ("headers", "params", "message"),
    [
        ({}, {"name": "x"}, "No Content-Type header set"),
        (XML, {}, "Query parameter 'name' is required"),
        ({"Content-Type": "application/json"}, {"name": "x"}, "No mode given"),
        ({"Content-Type": "Application/XML"}, {"name": "x"}, "No mode given"),
        ({"Content-Type": "application/json"}, {"name": "x", "mode": "y"}, "No item type ?y? is known"),
    ],
)
def test_creating_needs_a_name_and_the_right_content_type(
    admin: Client, headers: dict[str, str], params: dict[str, str], message: str
) -> None:
    answer = admin.post("/job/dev/createItem", PIPELINE.encode(), params=params, headers=headers)

    assert (answer.status_code, answer.headers["X-Error"]) == (400, message)


def test_a_form_makes_an_empty_item_and_leads_to_its_configuration(admin: Client) -> None:
    answer = admin.post("/createItem", {"name": "team", "mode": "com.cloudbees.hudson.plugins.folder.Folder"})

    assert (answer.status_code, answer.headers["Location"]) == (302, f"{admin.url}/job/team/configure")
    assert admin.get("/job/team/api/json").json()["jobs"] == []


@pytest.mark.parametrize(
    "document",
    [
        "<flow-definition>",
        "",
        "<flow-definitoin/>",
        "<!DOCTYPE a [<!ENTITY x 'boom'>]><flow-definition><description>&x;</description></flow-definition>",
        "<!DOCTYPE flow-definition SYSTEM 'file:///etc/passwd'><flow-definition/>",
    ],
)
def test_bad_xml_is_a_500_and_leaves_nothing(jenkins: Jenkins, admin: Client, document: str) -> None:
    before = jenkins.snapshot()

    answer = admin.create("shop_dev", document=document)

    assert answer.status_code == 500
    assert "boom" not in answer.text
    assert jenkins.snapshot() == before


@pytest.mark.parametrize("folder", ["/job/none", "/job/dev/job/none", "/job/dev%2Fnone", "/dev"])
def test_nothing_is_created_in_a_folder_that_is_not_there(admin: Client, folder: str) -> None:
    assert admin.create("shop_dev", folder=folder).status_code == 404


def test_nothing_is_created_in_a_job(admin: Client) -> None:
    admin.create("shop_dev")

    assert admin.create("inner", folder="/job/dev/job/shop_dev").status_code == 404


def test_folders_nest_and_go_with_all_that_is_in_them(jenkins: Jenkins, admin: Client) -> None:
    admin.create("team", document="<com.cloudbees.hudson.plugins.folder.Folder/>")
    admin.create("app", folder="/job/dev/job/team")
    inside = admin.get("/job/dev/job/team/api/json", params={"tree": "jobs[name]"}).json()["jobs"]

    answer = admin.post("/job/dev/job/team/doDelete")

    assert [job["name"] for job in inside] == ["app"]
    assert (answer.status_code, answer.headers["Location"]) == (302, "/job/dev/")
    assert [name for name in jenkins.items if "team" in name] == []


def test_deleting_is_a_204_once_and_a_404_then(admin: Client) -> None:
    admin.create("shop_dev")

    url, auth = f"{admin.url}/job/dev/job/shop_dev/", admin.auth
    assert [requests.delete(url, auth=auth, timeout=5).status_code for _ in range(2)] == [204, 404]


def test_a_config_is_replaced_whole(admin: Client) -> None:
    admin.create("shop_dev")

    answer = admin.post("/job/dev/job/shop_dev/config.xml", b"<flow-definition/>", headers=XML)

    assert (answer.status_code, answer.content) == (200, b"")
    assert "JOB_ID" not in admin.get("/job/dev/job/shop_dev/config.xml").text


def test_a_config_without_a_charset_is_read_as_latin_1(admin: Client) -> None:
    admin.create("shop_dev")

    admin.post("/job/dev/job/shop_dev/config.xml", PIPELINE.encode(), headers={"Content-Type": "application/xml"})

    assert "GrÃ¶Ã" in admin.get("/job/dev/job/shop_dev/config.xml").content.decode()


def test_a_config_of_another_kind_is_a_500(admin: Client) -> None:
    answer = admin.post("/job/dev/config.xml", PIPELINE.encode(), headers=XML)

    assert answer.status_code == 500
    assert "Expecting class com.cloudbees" in answer.text


def test_a_disabled_job_is_not_buildable(admin: Client) -> None:
    admin.create("shop_dev")

    shown = []
    for verb in ("disable", "enable"):
        assert admin.post(f"/job/dev/job/shop_dev/{verb}").status_code == 302
        shown.append(admin.get("/job/dev/job/shop_dev/api/json").json()["buildable"])

    assert shown == [False, True]


@pytest.mark.parametrize("tree", ["jobs[name", "jobs]", "jobs[name]]", ",", "a b", "jobs{1", ""])
def test_a_malformed_tree_is_a_500_and_an_empty_one_is_none(admin: Client, tree: str) -> None:
    answer = admin.get("/api/json", params={"tree": tree})

    assert answer.status_code == (500 if tree else 200)


def test_a_tree_keeps_a_window_of_a_list(admin: Client) -> None:
    shown = admin.get("/api/json", params={"tree": "jobs[name]{1,2}"}).json()["jobs"]

    assert shown == [{"_class": "com.cloudbees.hudson.plugins.folder.Folder", "name": "ops"}]


def test_a_user_without_the_permission_is_told_which(anna: Client, admin: Client) -> None:
    admin.create("shop_dev")
    admin.strategy("assignUserRole", roleName="dev", user="anna")

    answer = anna.get("/job/dev/job/shop_dev/config.xml")

    assert (answer.status_code, answer.headers["X-You-Are-Authenticated-As"]) == (403, "anna")
    assert answer.headers["X-Required-Permission"] == "hudson.model.Item.ExtendedRead"


def test_each_teams_folder_has_the_credential_of_its_pipelines(admin: Client) -> None:
    stores = ("/credentials/store/system", "/job/dev/credentials/store/folder", "/job/ops/credentials/store/folder")
    tree = {"tree": "credentials[id]"}

    shown = [admin.get(f"{store}/domain/_/api/json", params=tree).json()["credentials"] for store in stores]

    assert [[each["id"] for each in ids] for ids in shown] == [[], ["gitlab"], ["gitlab"]]


def test_a_link_shows_a_person_the_pipeline(anonymous: Client, admin: Client) -> None:
    admin.create("shop_dev")

    opened = anonymous.get("/job/dev/job/shop_dev/", headers={"Accept": "text/html,*/*;q=0.8"})

    assert opened.status_code == 200
    assert all(text in opened.text for text in ("shop_dev", "https://git.example/dev/shop.git", "JOB_ID"))
    assert anonymous.get("/job/dev/job/shop_dev/").status_code == 403


@pytest.mark.usefixtures("anna")
@pytest.mark.parametrize("path", ["/", "/job/dev/", "/user/anna/"])
def test_the_other_links_are_not_dead_either(anonymous: Client, path: str) -> None:
    opened = anonymous.get(path, headers={"Accept": "text/html"})

    assert opened.status_code == 200
    assert "<h1>" in opened.text


@pytest.mark.usefixtures("anna")
def test_the_state_survives_and_holds_no_password(jenkins: Jenkins, admin: Client) -> None:
    admin.create("shop_dev")
    admin.strategy("assignUserRole", roleName="dev", user="anna")
    state = jenkins.snapshot()

    again = Jenkins(jenkins.config)
    again.load(state)

    assert again.snapshot() == state
    assert PASSWORD not in str(state)
