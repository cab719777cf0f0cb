"""Outputs of steps: their names and types, as they are stored and as later steps, the API and the console read them.

A step function is annotated with its type here, and readers name an output by its key, so that renaming an entry fails
the type check on both sides. In the database an output is a JSON object with exactly these entries. A row that an
older version wrote may lack one that was added since: code that reads such rows uses `.get`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Generic, TypedDict, TypeVar

Output_co = TypeVar("Output_co", bound=Mapping[str, object], covariant=True)


@dataclass(frozen=True)
class StepOutput(Generic[Output_co]):
    """The key of an output: the name of the step that records it, and its type."""

    step: str
    type: type[Output_co]


# -- signup and offboard ------------------------------------------------------------------------------------------


class NotDone(TypedDict):
    """`not_done`: what others have to do because the catalog leaves accounts to them, in a sentence; "" for nothing."""

    not_done: str


class CheckedName(NotDone):
    """Nobody on the upstream has the name, or it is ours already, or the person's own."""


class GitLabUser(NotDone):
    user_id: int


class GitLabMembership(NotDone):
    group_id: int
    access_level: int


class JenkinsUser(NotDone):
    user_id: str


class JenkinsRole(NotDone):
    role: str


class KibanaUser(NotDone):
    roles: list[str]


class PasswordSet(NotDone):
    """`is_set`: whether the account has the new password now."""

    is_set: bool


class KeptObject(TypedDict):
    """What an off-boarding left: its upstream, kind and name there, and why it was left, in a sentence."""

    upstream: str
    kind: str
    name: str
    why: str


class ClosedAccount(NotDone):
    """`kept`: what may be somebody else's, or what waits for the next of that name. Older rows: names only."""

    kept: list[KeptObject]


# -- provision and reconcile --------------------------------------------------------------------------------------


class Fork(TypedDict):
    project_id: int


class RepositoryOutput(TypedDict):
    project_id: int
    clone_url: str
    branch: str


class OpenBranch(TypedDict):
    branch: str


class PipelineOutput(TypedDict):
    pipeline: str  # with its folder


class RegisteredRepository(TypedDict):
    repository_url: str


class ApplicationOutput(TypedDict):
    application: str


# -- build --------------------------------------------------------------------------------------------------------


class QueuedBuild(TypedDict):
    """`number` is None while Jenkins has the build in its queue, `queue_id` where the build was found without it."""

    queue_id: int | None
    number: int | None


class RunningBuild(TypedDict):
    number: int
    url: str
    console_url: str


class FinishedBuild(RunningBuild):
    """`commit` is what was built, `image` what was pushed, name and tag; None where Jenkins shows neither."""

    result: str
    duration_s: float
    commit: str | None
    image: str | None


class StoppedBuild(TypedDict):
    """Both are None when the build never existed."""

    number: int | None
    result: str | None


# -- deploy -------------------------------------------------------------------------------------------------------


class Deployed(TypedDict):
    """`revision` is a commit of the helm repository; `images` are whole names with their tags."""

    application: str
    revision: str
    images: list[str]


# -- deprovision --------------------------------------------------------------------------------------------------


class KeptResource(TypedDict):
    """What an upstream keeps of a removed object: its present name, and the date of its end, None when it has none."""

    name: str
    url: str
    until: str | None
    reason: str


class Removed(TypedDict):
    """Names on the upstream. `kept`: what was there before us. `remains`: what the upstream keeps of the removed."""

    removed: list[str]
    kept: list[str]
    remains: list[KeptResource]


class RepositoryActivity(TypedDict):
    """`commits` are those that are not the template's, `has_more`: and more. `pushed_at`: None without a push."""

    name: str
    commits: int
    has_more: bool
    pushed_at: str | None
    pushed_by: str | None
    open_merge_requests: int


class RemovalPreview(TypedDict):
    """What people would lose: one entry for each repository of the app."""

    repositories: list[RepositoryActivity]


# -- drift, plan and checkup --------------------------------------------------------------------------------------


class DriftedPart(TypedDict):
    step: str
    upstream: str
    state: str
    reason: str


class Drift(TypedDict):
    drifted: bool
    repairable: bool
    parts: list[DriftedPart]


class PlannedStep(TypedDict):
    step: str
    upstream: str
    verdict: str
    reason: str


class Plan(TypedDict):
    possible: bool
    steps: list[PlannedStep]


class CheckReport(TypedDict):
    """`expires_at`: when what was checked expires, in ISO 8601; None: it does not, or that is not known."""

    group: str
    check: str
    question: str
    state: str
    said: str
    remedy: str
    expires_at: str | None


class CheckupOutput(TypedDict):
    """`counts` is by state."""

    is_well: bool
    counts: dict[str, int]
    checks: list[CheckReport]


# -- the keys, in the order of `workflows.py` ---------------------------------------------------------------------

CHECK_GITLAB_NAME = StepOutput("check_gitlab_name", CheckedName)
CREATE_GITLAB_USER = StepOutput("create_gitlab_user", GitLabUser)
JOIN_GITLAB_GROUP = StepOutput("join_gitlab_group", GitLabMembership)
CHECK_JENKINS_NAME = StepOutput("check_jenkins_name", CheckedName)
CREATE_JENKINS_USER = StepOutput("create_jenkins_user", JenkinsUser)
ASSIGN_JENKINS_ROLE = StepOutput("assign_jenkins_role", JenkinsRole)
CHECK_KIBANA_NAME = StepOutput("check_kibana_name", CheckedName)
CREATE_KIBANA_USER = StepOutput("create_kibana_user", KibanaUser)

FORK_SOURCE = StepOutput("fork_source", Fork)
AWAIT_SOURCE = StepOutput("await_source", RepositoryOutput)
OPEN_TO_DEVELOPERS = StepOutput("open_to_developers", OpenBranch)
CREATE_PIPELINE = StepOutput("create_pipeline", PipelineOutput)
FORK_HELM = StepOutput("fork_helm", Fork)
AWAIT_HELM = StepOutput("await_helm", RepositoryOutput)
REGISTER_REPOSITORY = StepOutput("register_repository", RegisteredRepository)
CREATE_APPLICATION = StepOutput("create_application", ApplicationOutput)

START_BUILD = StepOutput("start_build", QueuedBuild)
AWAIT_EXECUTOR = StepOutput("await_executor", RunningBuild)
AWAIT_RESULT = StepOutput("await_result", FinishedBuild)
STOP_BUILD = StepOutput("stop_build", StoppedBuild)

SYNC_APPLICATION = StepOutput("sync_application", ApplicationOutput)
AWAIT_HEALTHY = StepOutput("await_healthy", Deployed)

DELETE_APPLICATION = StepOutput("delete_application", Removed)
DELETE_REPOSITORY = StepOutput("delete_repository", Removed)
DELETE_PIPELINE = StepOutput("delete_pipeline", Removed)
DELETE_HELM = StepOutput("delete_helm", Removed)
DELETE_SOURCE = StepOutput("delete_source", Removed)
RELEASE_NAME = StepOutput("release_name", Removed)

INSPECT_REPOSITORIES = StepOutput("inspect_repositories", RemovalPreview)

COMPARE_APP = StepOutput("compare_app", Drift)
FORESEE_APP = StepOutput("foresee_app", Plan)
EXAMINE = StepOutput("examine", CheckupOutput)

LEAVE_GITLAB_GROUP = StepOutput("leave_gitlab_group", ClosedAccount)
BLOCK_GITLAB_USER = StepOutput("block_gitlab_user", ClosedAccount)
REVOKE_JENKINS_ROLE = StepOutput("revoke_jenkins_role", ClosedAccount)
DELETE_JENKINS_USER = StepOutput("delete_jenkins_user", ClosedAccount)
DELETE_KIBANA_USER = StepOutput("delete_kibana_user", ClosedAccount)
SET_GITLAB_PASSWORD = StepOutput("set_gitlab_password", PasswordSet)
SET_JENKINS_PASSWORD = StepOutput("set_jenkins_password", PasswordSet)
SET_KIBANA_PASSWORD = StepOutput("set_kibana_password", PasswordSet)

OUTPUTS: Mapping[str, StepOutput[Any]] = {
    each.step: each for each in list(globals().values()) if isinstance(each, StepOutput)
}
