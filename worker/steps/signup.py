"""Steps that make a person's accounts (the plan: `common/workflows.py`)."""

from __future__ import annotations

from common.errors import ActionBy, Conflict, Permanent
from common.jobs.ledger import Entry
from common.jobs.signup_reviews import CONFIRMED_INPUT
from common.step_outputs import (
    CREATE_GITLAB_USER,
    CheckedName,
    GitLabMembership,
    GitLabUser,
    JenkinsRole,
    JenkinsUser,
    KibanaUser,
)
from common.workflows import Upstream
from worker.context import StepContext
from worker.upstreams import Upstreams
from worker.upstreams.jenkins.adapter import MARK
from worker.upstreams.jenkins.folder_permissions import MEMBER
from worker.upstreams.jenkins.roles import GLOBAL, ITEM

DEVELOPER = 30  # GitLab's access level
NOBODY = 0  # the id of an account that is none of our business
NOTHING = "Nothing was done on {}: the catalog says that its accounts are none of Slipway's."
EXTERNAL = "The account on {} is not made here: it comes with the first sign-in there."


def check_gitlab_name(job: StepContext, upstreams: Upstreams) -> CheckedName:
    """Refuse a login or an address that is somebody else's on GitLab."""
    if job.accounts.gitlab == "ours":
        login, email = job.input("login"), job.input("email")
        upstreams.gitlab.accounts.require_free(login=login, email=email, marker=job.marker)
    return {"not_done": ""}


def check_jenkins_name(job: StepContext, upstreams: Upstreams) -> CheckedName:
    """Refuse a login that is somebody else's on Jenkins, or under which somebody before had rights.

    Whoever has the account already, as the password shows, has their own rights.
    """
    login = job.input("login")
    if job.accounts.jenkins != "ours" or upstreams.jenkins.accounts.is_the_persons(login, job.password()):
        return {"not_done": ""}
    rights = _roles_left if job.team.jenkins_authorization == "role-strategy" else _folder_permissions_left
    _require_no_rights(login, Upstream.JENKINS, rights(job, upstreams))
    return {"not_done": ""}


def check_kibana_name(job: StepContext, upstreams: Upstreams) -> CheckedName:
    """Refuse a login that is somebody else's on Elasticsearch, or under which somebody before had rights."""
    login = job.input("login")
    if job.accounts.kibana == "ours" and not upstreams.elasticsearch.users.is_ours(login, marker=job.marker):
        _require_no_rights(login, Upstream.ELASTICSEARCH, upstreams.elasticsearch.rights.of(login))
    return {"not_done": ""}


def create_gitlab_user(job: StepContext, upstreams: Upstreams) -> GitLabUser:
    """Make the GitLab account, without personal projects or groups; find one that is external."""
    if job.accounts.gitlab == "none":
        return {"user_id": NOBODY, "not_done": NOTHING.format("GitLab")}
    login, email = job.input("login"), job.input("email")
    entry = job.resource("gitlab", "user", login)
    provider, uid = job.accounts.gitlab_provider, job.accounts.gitlab_uid_of(login, email)
    if job.accounts.gitlab == "external":
        user = upstreams.gitlab.accounts.find_person(login=login, email=email, extern_uid=uid, provider=provider)
        if user is None:
            raise Permanent(
                f"GitLab has no account of {email} yet: sign in to GitLab once, then retry", action_by=ActionBy.USER
            )
    else:
        user = upstreams.gitlab.accounts.ensure_user(
            login=login,
            email=email,
            name=job.input("name"),
            password=None if provider else job.password(),
            marker=job.marker,
            on_create=entry.intend,
            is_confirmed=job.settings.gitlab_skip_confirmation or job.option(CONFIRMED_INPUT) is not None,
            extern_uid=uid,
            provider=provider,
        )
    entry.settle(outside_id=str(user.id), url=user.web_url, found=user.found)
    return {"user_id": user.id, "not_done": ""}


def join_gitlab_group(job: StepContext, upstreams: Upstreams) -> GitLabMembership:
    """Make the person a developer of the team's group."""
    if job.accounts.gitlab == "none":
        return {"group_id": NOBODY, "access_level": 0, "not_done": NOTHING.format("GitLab")}
    group, user_id = job.team.gitlab_group, job.output_of(CREATE_GITLAB_USER)["user_id"]
    entry = job.resource("gitlab", "member", f"{group}/{job.input('login')}")
    membership = upstreams.gitlab.groups.ensure_member(group, user_id, access_level=DEVELOPER, on_create=entry.intend)
    entry.settle(outside_id=f"{membership.group_id}/{user_id}", url=None, found=membership.found)
    return {"group_id": membership.group_id, "access_level": membership.access_level, "not_done": ""}


def create_jenkins_user(job: StepContext, upstreams: Upstreams) -> JenkinsUser:
    """Make the Jenkins account: its password proves that it is ours, then it gets our marker."""
    if job.accounts.jenkins == "none":
        return {"user_id": job.input("login"), "not_done": NOTHING.format("Jenkins")}
    if job.accounts.jenkins == "external":
        return {"user_id": job.input("login"), "not_done": EXTERNAL.format("Jenkins")}
    entry = job.resource("jenkins", "user", job.input("login"))
    if not entry.is_ours():  # of a retry, the check may have passed long ago
        check_jenkins_name(job, upstreams)
    user = upstreams.jenkins.accounts.ensure_user(
        login=job.input("login"),
        password=job.password(),
        name=job.input("name"),
        email=job.input("email"),
        on_create=entry.intend,
    )
    if entry.is_ours():  # else it was the person's own before, and its description is theirs
        mark = job.resource("jenkins", MARK, job.input("login"))
        upstreams.jenkins.accounts.mark(user, marker=job.marker, on_create=mark.intend)
        mark.settle(outside_id=user.id, url=user.url, found=False)
    entry.settle(outside_id=user.id, url=user.url, found=user.found)
    return {"user_id": user.id, "not_done": ""}


def assign_jenkins_role(job: StepContext, upstreams: Upstreams) -> JenkinsRole:
    """Give the person the team's rights, and read them back: Jenkins answers 200 to anything here."""
    team, login = job.team, job.input("login")
    if job.accounts.jenkins == "none":
        return {"role": "", "not_done": NOTHING.format("Jenkins")}
    if team.jenkins_authorization == "matrix":
        return _admit_to_folder(job, upstreams)
    if role := team.jenkins_global_role:
        entry = job.resource("jenkins", "global_role_assignment", f"{role}/{login}")
        _assign_role(upstreams, entry, login, role=role, role_type=GLOBAL)
    entry = job.resource("jenkins", "role_assignment", f"{team.jenkins_role}/{login}")
    _assign_role(upstreams, entry, login, role=team.jenkins_role, role_type=ITEM)
    return {"role": team.jenkins_role, "not_done": ""}


def create_kibana_user(job: StepContext, upstreams: Upstreams) -> KibanaUser:
    """Make the Elasticsearch user with the team's Kibana role; an account that is not ours is left alone."""
    role = job.team.kibana_role
    if job.accounts.kibana == "none":
        return {"roles": [], "not_done": NOTHING.format("Kibana")}
    if job.accounts.kibana == "external":
        return {"roles": [], "not_done": f"{EXTERNAL.format('Kibana')} A role mapping there has to give it {role}."}
    entry = job.resource("elasticsearch", "user", job.input("login"))
    if not entry.is_ours():  # as on Jenkins
        check_kibana_name(job, upstreams)
    user = upstreams.elasticsearch.users.ensure(
        login=job.input("login"),
        password=job.password(),
        roles=[role],
        full_name=job.input("name"),
        email=job.input("email"),
        marker=job.marker,
        on_create=entry.intend,
    )
    entry.settle(outside_id=user.login, url=job.settings.kibana_ext_url, found=user.found)
    return {"roles": [role], "not_done": ""}


def _roles_left(job: StepContext, upstreams: Upstreams) -> list[str]:
    given = {(ITEM, job.team.jenkins_role), (GLOBAL, job.team.jenkins_global_role)}
    left = upstreams.jenkins.roles.held_by(job.input("login")) - given
    return [f"the role {role}" for _, role in sorted(left)]


def _folder_permissions_left(job: StepContext, upstreams: Upstreams) -> list[str]:
    """Return the folders of the catalog with entries for the login. The matrix of the whole Jenkins is not read."""
    login, own = job.input("login"), job.team.jenkins_folder
    folders = sorted({team.jenkins_folder for team in job.worker.catalog.teams.values()})
    held = {folder: upstreams.jenkins.folder_permissions.held_by(login, folder=folder) for folder in folders}
    given = {own: set(MEMBER)}
    return [f"permissions in the folder {folder}" for folder in folders if held[folder] - given.get(folder, set())]


def _require_no_rights(login: str, upstream: Upstream, rights: list[str]) -> None:
    """Refuse to make a user who would inherit rights that a former one of that name left behind. Raises Conflict."""
    if rights:
        raise Conflict(
            f"{upstream.label} has rights for a user named {login}, whom it does not have: {', '.join(rights)}",
            choices=(f"ask an administrator of {upstream.label} to remove them, then retry", "choose another id"),
            upstream=upstream.label,
        )


def _assign_role(upstreams: Upstreams, entry: Entry, login: str, *, role: str, role_type: str) -> None:
    assignment = upstreams.jenkins.roles.ensure(login, role=role, role_type=role_type, on_create=entry.intend)
    entry.settle(outside_id=f"{role}/{login}", url=None, found=assignment.found)


def _admit_to_folder(job: StepContext, upstreams: Upstreams) -> JenkinsRole:
    login, folder = job.input("login"), job.team.jenkins_folder
    entry = job.resource("jenkins", "folder_permissions", f"{folder}/{login}")
    member = upstreams.jenkins.folder_permissions.ensure(login, folder=folder, on_create=entry.intend)
    entry.settle(outside_id=f"{folder}/{login}", url=None, found=member.found)
    return {"role": f"member of {folder}", "not_done": ""}
