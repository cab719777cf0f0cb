"""Steps that make a person's accounts (the plan: `common/workflows.py`)."""

from __future__ import annotations

from common.jobs.ledger import Entry
from common.step_outputs import (
    CREATE_GITLAB_USER,
    GitLabMembership,
    GitLabUser,
    JenkinsRole,
    JenkinsUser,
    KibanaUser,
)
from worker.context import StepContext
from worker.upstreams import Upstreams
from worker.upstreams.jenkins.roles import GLOBAL, ITEM

DEVELOPER = 30  # GitLab's access level


def create_gitlab_user(job: StepContext, upstreams: Upstreams) -> GitLabUser:
    """Make the GitLab account, usable at once and without personal projects or groups."""
    entry = job.resource("gitlab", "user", job.input("login"))
    user = upstreams.gitlab.accounts.ensure_user(
        login=job.input("login"),
        email=job.input("email"),
        name=job.input("name"),
        password=job.password(),
        marker=job.marker,
        on_create=entry.intend,
    )
    entry.settle(outside_id=str(user.id), url=user.web_url, found=user.found)
    return {"user_id": user.id}


def join_gitlab_group(job: StepContext, upstreams: Upstreams) -> GitLabMembership:
    """Make the person a developer of the team's group."""
    group, user_id = job.team.gitlab_group, job.output_of(CREATE_GITLAB_USER)["user_id"]
    entry = job.resource("gitlab", "member", f"{group}/{job.input('login')}")
    membership = upstreams.gitlab.groups.ensure_member(group, user_id, access_level=DEVELOPER, on_create=entry.intend)
    entry.settle(outside_id=f"{membership.group_id}/{user_id}", url=None, found=membership.found)
    return {"group_id": membership.group_id, "access_level": membership.access_level}


def create_jenkins_user(job: StepContext, upstreams: Upstreams) -> JenkinsUser:
    """Make the Jenkins account; it has no field for a marker, so its password proves that it is ours."""
    entry = job.resource("jenkins", "user", job.input("login"))
    user = upstreams.jenkins.accounts.ensure_user(
        login=job.input("login"),
        password=job.password(),
        name=job.input("name"),
        email=job.input("email"),
        on_create=entry.intend,
    )
    entry.settle(outside_id=user.id, url=user.url, found=user.found)
    return {"user_id": user.id}


def assign_jenkins_role(job: StepContext, upstreams: Upstreams) -> JenkinsRole:
    """Give the person the team's rights, and read them back: Jenkins answers 200 to anything here."""
    team, login = job.team, job.input("login")
    if team.jenkins_authorization == "matrix":
        return _admit_to_folder(job, upstreams)
    if role := team.jenkins_global_role:
        entry = job.resource("jenkins", "global_role_assignment", f"{role}/{login}")
        _assign_role(upstreams, entry, login, role=role, role_type=GLOBAL)
    entry = job.resource("jenkins", "role_assignment", f"{team.jenkins_role}/{login}")
    _assign_role(upstreams, entry, login, role=team.jenkins_role, role_type=ITEM)
    return {"role": team.jenkins_role}


def create_kibana_user(job: StepContext, upstreams: Upstreams) -> KibanaUser:
    """Make the Elasticsearch user with the team's Kibana role; an account that is not ours is left alone."""
    entry = job.resource("elasticsearch", "user", job.input("login"))
    user = upstreams.elasticsearch.users.ensure(
        login=job.input("login"),
        password=job.password(),
        roles=[job.team.kibana_role],
        full_name=job.input("name"),
        email=job.input("email"),
        marker=job.marker,
        on_create=entry.intend,
    )
    entry.settle(outside_id=user.login, url=job.settings.kibana_ext_url, found=user.found)
    return {"roles": [job.team.kibana_role]}


def _assign_role(upstreams: Upstreams, entry: Entry, login: str, *, role: str, role_type: str) -> None:
    assignment = upstreams.jenkins.roles.ensure(login, role=role, role_type=role_type, on_create=entry.intend)
    entry.settle(outside_id=f"{role}/{login}", url=None, found=assignment.found)


def _admit_to_folder(job: StepContext, upstreams: Upstreams) -> JenkinsRole:
    login, folder = job.input("login"), job.team.jenkins_folder
    entry = job.resource("jenkins", "folder_permissions", f"{folder}/{login}")
    member = upstreams.jenkins.folder_permissions.ensure(login, folder=folder, on_create=entry.intend)
    entry.settle(outside_id=f"{folder}/{login}", url=None, found=member.found)
    return {"role": f"member of {folder}"}
