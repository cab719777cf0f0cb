"""Only names and passwords that every upstream takes: look-alikes, line ends and other people's names stay out."""

from __future__ import annotations

import pytest

from api.contract import validation
from common.config.catalog import AppType, Catalog, CatalogTeam, Reserved

TEAM = CatalogTeam(
    id="dev",
    title="Development",
    gitlab_group="Platform/dev",
    jenkins_folder="dev",
    jenkins_role="dev",
    kibana_role="dev",
    argocd_project="dev",
    cluster="dev-cluster",
)
FLASK = AppType(id="Flask", source_template="Blueprints/Flask_Template", helm_template="Blueprints/Helm_Template")
CATALOG = Catalog(teams={"dev": TEAM}, types={"Flask": FLASK})

GOOD_NAMES = ["abc", "a1b", "a-b", "a-1", "ada-lovelace", "a" * 32, "a-b-c-d-e-f"]
BAD_NAMES = [
    "",
    "ab",
    "a" * 33,
    "Ada",
    "adA",
    "a.da",
    "a_da",
    "1da",
    "-ada",
    "ada-",
    "a--da",
    "ada\0",
    "ada\n",
    "\nada",
    "ada ",
    " ada",
    "a da",
    "\u0430da",  # Cyrillic
    "\uff41\uff44\uff41",  # full width
    "ad\u200da",
    "ad\u00ada",
    "ada\u2028",
    "adá",
    "ada٣",
    "a/da",
    "a%2fda",
    "ada,eve",
    "..",
]
GOOD_PASSWORD = "engines weave numbers"


@pytest.mark.parametrize("name", GOOD_NAMES)
def test_plain_names_are_taken(name: str) -> None:
    assert validation.login_problems(name, CATALOG) == []
    assert validation.app_name_problems(name, CATALOG) == []
    assert validation.project_name_problems(name) == []


@pytest.mark.parametrize("name", BAD_NAMES, ids=ascii)
def test_other_names_are_refused_with_the_rule(name: str) -> None:
    for problems, field in (
        (validation.login_problems(name, CATALOG), "id"),
        (validation.app_name_problems(name, CATALOG), "name"),
        (validation.project_name_problems(name), "name"),
    ):
        assert [(each.field, each.code, each.message) for each in problems] == [
            (field, "invalid", validation.NAME_RULE)
        ]


@pytest.mark.parametrize("name", ["root", "admin", "elastic", "anonymous", "kibana-system", "slipway", "ghost"])
def test_logins_of_the_upstreams_are_reserved(name: str) -> None:
    assert [each.code for each in validation.login_problems(name, CATALOG)] == ["reserved"]


@pytest.mark.parametrize("name", ["platform", "blueprints"])
def test_groups_on_gitlab_are_reserved_whatever_their_case(name: str) -> None:
    assert [each.code for each in validation.login_problems(name, CATALOG)] == ["reserved"]


@pytest.mark.parametrize("name", ["new", "edit", "default", "kube-system", "kube-x", "shop-deleted-12"])
def test_names_that_gitlab_or_a_cluster_uses_are_no_apps(name: str) -> None:
    assert [each.code for each in validation.app_name_problems(name, CATALOG)] == ["reserved"]


@pytest.mark.parametrize(
    ("namespace", "codes"),
    [
        ("platform-shop", []),
        ("grafana", ["reserved"]),
        ("kube-shop", ["reserved"]),
        ("openshift-shop", ["reserved"]),
        ("house-vault", ["reserved"]),
        ("d" * 63, []),
        ("d" * 64, ["too_long"]),
    ],
)
def test_an_app_gets_no_namespace_that_a_cluster_or_somebody_else_has(namespace: str, codes: list[str]) -> None:
    reserving = CATALOG.model_copy(update={"reserved": Reserved(apps=frozenset({"house-vault"}))})

    assert [each.code for each in validation.namespace_problems(namespace, reserving)] == codes


def test_an_installation_reserves_names_of_its_own() -> None:
    reserved = Reserved(apps=frozenset({"billing"}), logins=frozenset({"ci-bot"}))
    reserving = CATALOG.model_copy(update={"reserved": reserved})

    assert [each.code for each in validation.app_name_problems("billing", reserving)] == ["reserved"]
    assert [each.code for each in validation.login_problems("ci-bot", reserving)] == ["reserved"]
    assert validation.app_name_problems("ci-bot", reserving) == validation.login_problems("billing", reserving) == []


@pytest.mark.parametrize("email", ["ada@example.com", "Ada.L+x@Sub.Example.ORG", "a@b.co", "1@x-y.org"])
def test_addresses_are_taken(email: str) -> None:
    assert validation.email_problems(email) == []


@pytest.mark.parametrize(
    "email",
    [
        "",
        "ada",
        "@example.com",
        "ada@",
        "ada@localhost",
        "ada@example.com\n",
        " ada@example.com",
        "ada@exa mple.com",
        "ada@@example.com",
        "ada@-example.com",
        "ada@example..com",
        "adá@example.com",
        "\u212aai@example.com",
        "ada@example.com\0",
        "ada@example.com,eve@example.com",
        f"{'a' * 64}@{'b.' * 95}com",
    ],
    ids=ascii,
)
def test_other_addresses_are_refused(email: str) -> None:
    assert [(each.field, each.code) for each in validation.email_problems(email)] == [("email", "invalid")]


@pytest.mark.parametrize("name", ["Ada", "Ada King, Countess of Lovelace", "李小龍", "Ana María Ñuñez", "O'Brien", "J"])
def test_names_of_people_are_taken_in_any_script(name: str) -> None:
    assert validation.person_name_problems(name) == []


@pytest.mark.parametrize("name", [" Ada", "Ada ", " ", "A\nda", "A\0da", "<b>Ada", "Ada\u202e", "Ada\u200d", "\ud800"])
def test_names_that_could_pass_for_something_else_are_refused(name: str) -> None:
    assert [(each.field, each.code) for each in validation.person_name_problems(name)] == [("name", "invalid")]


@pytest.mark.parametrize("name", ["anonymous", "SYSTEM", "Unknown"])
def test_names_that_jenkins_refuses_as_a_full_name_are_reserved(name: str) -> None:
    assert [(each.field, each.code) for each in validation.person_name_problems(name)] == [("name", "reserved")]


@pytest.mark.parametrize("text", ["", "One line.", "Two\r\nlines\tand a tab", "👩\u200d💻 漢字"])
def test_descriptions_hold_any_text(text: str) -> None:
    assert validation.description_problems(text) == []


@pytest.mark.parametrize("text", ["\0", "a\x1b[2J", "\x7f", "\x85"], ids=ascii)
def test_descriptions_hold_no_control_characters(text: str) -> None:
    assert [(each.field, each.code) for each in validation.description_problems(text)] == [("description", "invalid")]


def _codes(
    password: str, *, login: str = "grace", email: str = "gmh@navy.example", name: str = "Jo Hopper"
) -> list[str]:
    problems = validation.password_problems(password, login=login, email=email, name=name)
    assert {each.field for each in problems} <= {"password"}
    return [each.code for each in problems]


@pytest.mark.parametrize(
    ("password", "codes"),
    [
        (GOOD_PASSWORD, []),
        ("twelve chars", []),
        ("eleven char", ["too_short"]),
        ("é" * 5 + "ö" * 6, ["too_short"]),
        ("xyzw" + "漢字" * 11 + "漢", ["too_long"]),
        ("xyzwvu" + "漢字" * 11, []),
        ("q" + "wertzuiopas" * 6 + "dfghj", []),
        ("q" + "wertzuiopas" * 6 + "dfghjk", ["too_long"]),
        ("engines\0weave", ["invalid"]),
        ("engines weave\n", ["invalid"]),
        (" engines weave", ["invalid"]),
        ("engines\u200dweave", ["invalid"]),
        ("123456789012", ["too_common"]),
        ("AdminAdmin123", ["too_common"]),
        ("aaaaaaaaaaaa", ["too_common"]),
        ("abcabcabcabca", ["too_common"]),
        ("abcdabcdabcdab", ["too_common"]),
        ("my DevOps weaves", ["too_common"]),
        ("my GitLab weaves", ["too_common"]),
        ("xx Grace weaves", ["contains_own_data"]),
        ("xx GMH@navy.EXAMPLE xx", ["contains_own_data"]),
        ("xx Jo HOPPER xx", ["contains_own_data"]),
        ("the hopper weaves", ["contains_own_data"]),
        ("the navy weaves", ["contains_own_data"]),
        ("the gmh weaves it", []),
        ("jojo weaves it all", []),
        ("grace", ["too_short", "contains_own_data"]),
    ],
    ids=ascii,
)
def test_a_password_is_refused_for_all_its_faults_at_once(password: str, codes: list[str]) -> None:
    assert _codes(password) == codes


def test_parts_of_a_name_are_looked_for_in_any_script() -> None:
    assert _codes("die größe zählt hier", name="Jörg Größe") == ["contains_own_data"]


@pytest.mark.parametrize(("login", "name"), [("ada", "Jo Hopper"), ("grace", "J"), ("grace", "Ada"), ("grace", "李")])
def test_what_is_too_short_to_give_a_person_away_may_be_in_a_password(login: str, name: str) -> None:
    assert _codes("ada weaves 李 jojo", login=login, name=name) == []


def test_either_half_of_an_email_address_is_looked_for_whole() -> None:
    assert _codes("the g.h. weaves it", email="g.h.@navy.example") == ["contains_own_data"]
    assert _codes("the x.io weaves it", email="gmh@x.io") == ["contains_own_data"]


def test_the_message_says_what_to_leave_out() -> None:
    (problem,) = validation.password_problems("my devops weaves", login="grace", email="g@x.org", name="Jo Hopper")

    assert "'devops'" in problem.message
