"""The workflows: their lanes and steps, retries and waits, and why repeating each step is safe.

This table is the whole plan of every job. Lanes of a workflow run in parallel; the steps of a lane run in the
order written. `worker/steps/` holds one function for each row, under the same name; nothing else orders work.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Upstream(StrEnum):
    """The systems that steps call. `FACTS` has what differs between them."""

    GITLAB = "gitlab"
    JENKINS = "jenkins"
    ARGOCD = "argocd"
    ELASTICSEARCH = "elasticsearch"
    SLIPWAY = "slipway"  # our own database, or several of the above

    @property
    def label(self) -> str:
        """Return its name as people write it."""
        return FACTS[self].label

    @property
    def prefix(self) -> str:
        """Return what the names of its settings begin with: ARGO of ARGO_URL."""
        return FACTS[self].prefix

    @property
    def has_pages(self) -> bool:
        """Say whether people open pages at its address."""
        return FACTS[self].has_pages

    @classmethod
    def labelled(cls, label: str | None) -> Upstream | None:
        """Return the upstream with this label, None when there is none."""
        return next((upstream for upstream in cls if upstream.label == label), None)


@dataclass(frozen=True, kw_only=True)
class UpstreamFacts:
    """What differs between upstreams, apart from how they are called: `common/config/upstreams.py` has settings."""

    label: str
    prefix: str = ""
    has_pages: bool = True


FACTS = {
    Upstream.GITLAB: UpstreamFacts(label="GitLab", prefix="GITLAB"),
    Upstream.JENKINS: UpstreamFacts(label="Jenkins", prefix="JENKINS"),
    Upstream.ARGOCD: UpstreamFacts(label="Argo CD", prefix="ARGO"),
    Upstream.ELASTICSEARCH: UpstreamFacts(label="Elasticsearch", prefix="KIBANA", has_pages=False),  # Kibana has them
    Upstream.SLIPWAY: UpstreamFacts(label="Slipway", has_pages=False),
}
EXTERNAL = tuple(upstream for upstream in Upstream if upstream is not Upstream.SLIPWAY)


@dataclass(frozen=True, kw_only=True)
class RetryPolicy:
    """How often a step that fails temporarily is tried; a server's own hint outranks the backoff."""

    attempts: int
    first_s: float
    factor: float
    cap_s: float

    def delay_s(self, attempt: int) -> float:
        """Return the pause after the attempt with this number, counted from 1, before jitter."""
        return float(min(self.cap_s, self.first_s * self.factor ** (attempt - 1)))

    @property
    def gives_up_after_s(self) -> float:
        """Return the sum of all pauses: how long an upstream may be unavailable before the step fails."""
        return sum(self.delay_s(attempt) for attempt in range(1, self.attempts))


@dataclass(frozen=True, kw_only=True)
class WaitPolicy:
    """How long a step may answer "not yet" before it fails, counted from the first such answer."""

    at_most_s: float


@dataclass(frozen=True, kw_only=True)
class StepPlan:
    """One idempotent task: `limit_s` bounds one attempt, `repeat` says why a second one is harmless."""

    name: str
    upstream: Upstream
    retry: RetryPolicy
    repeat: str
    wait: WaitPolicy | None = None
    expected_s: float | None = None  # how long it usually takes, shown while too few have been measured
    limit_s: float = 30.0
    secret: bool = False  # reads the sealed password of the job: it is wiped after the last such step
    skip: str | None = None  # why an administrator may skip it when it failed; None: later steps need it
    reads: tuple[Upstream, ...] = ()  # of a step of our own: whose things it compares
    after: tuple[str, ...] = ()  # besides the steps before it in its lane: steps of any lane that have to pass first

    @property
    def visits(self) -> tuple[Upstream, ...]:
        """The upstreams that it calls: it runs while all of them are open."""
        return self.reads if self.upstream is Upstream.SLIPWAY else (self.upstream,)


@dataclass(frozen=True, kw_only=True)
class Lane:
    name: str
    steps: tuple[StepPlan, ...]


@dataclass(frozen=True, kw_only=True)
class Workflow:
    name: str
    title: str  # of a job: {subject} is its app or person; {which} its number or tag, after a space, if there is one
    lanes: tuple[Lane, ...]
    on_cancel: StepPlan | None = None  # run when the job is cancelled after its first step has begun
    result: str | None = None  # the step whose output is the job's result, for the user

    @property
    def steps(self) -> tuple[StepPlan, ...]:
        """Every step that a job of this workflow may run, the one after a cancellation last."""
        planned = tuple(step for lane in self.lanes for step in lane.steps)
        return (*planned, self.on_cancel) if self.on_cancel else planned


INSTALLATION = "00000000-0000-0000-0000-000000000000"  # the subject of a check-up
DELAY_AT_MOST_S = 600.0  # between two attempts or polls, a server's own hint included
PATIENT = RetryPolicy(attempts=12, first_s=1, factor=2, cap_s=300)  # gives up after about 18.5 minutes
POLLED = RetryPolicy(attempts=8, first_s=1, factor=2, cap_s=60)  # gives up after about 2 minutes, the wait apart

G, J, A, E = Upstream.GITLAB, Upstream.JENKINS, Upstream.ARGOCD, Upstream.ELASTICSEARCH
S = Upstream.SLIPWAY
APP = (G, J, A)  # where an app has its parts
HOUR_S = 3600.0
REPLACED = "what is in its place may be somebody else's by now, and stays"
KEPT_ACCOUNT = "the account that was kept may be somebody else's, or have been closed by hand"

# A sign-up makes nothing anywhere before every upstream has shown that nobody there has the name, or rights under it.
NAME_CHECKS = ("check_gitlab_name", "check_jenkins_name", "check_kibana_name")

SIGNUP = Workflow(
    name="signup",
    title="Sign-up of {subject}",
    lanes=(
        Lane(name="gitlab", steps=(
            StepPlan(name="check_gitlab_name", upstream=G, retry=PATIENT,
                     repeat="only reads"),
            StepPlan(name="create_gitlab_user", upstream=G, retry=PATIENT, secret=True, after=NAME_CHECKS,
                     repeat="looked up by login first; ours carries our marker in its note"),
            StepPlan(name="join_gitlab_group", upstream=G, retry=PATIENT,
                     skip="somebody may have added the person by hand",
                     repeat="a membership is a set entry; an existing one is read and at most raised"),
        )),
        Lane(name="jenkins", steps=(
            StepPlan(name="check_jenkins_name", upstream=J, retry=PATIENT, secret=True,
                     repeat="only reads"),
            StepPlan(name="create_jenkins_user", upstream=J, retry=PATIENT, secret=True, after=NAME_CHECKS,
                     repeat="looked up by id first; ours accepts the password of this sign-up, then gets our marker"),
            StepPlan(name="assign_jenkins_role", upstream=J, retry=PATIENT, wait=WaitPolicy(at_most_s=60),
                     skip="somebody may have assigned the role by hand",
                     repeat="an assignment is a set entry; read before, and read again after"),
        )),
        Lane(name="kibana", steps=(
            StepPlan(name="check_kibana_name", upstream=E, retry=PATIENT,
                     repeat="only reads"),
            StepPlan(name="create_kibana_user", upstream=E, retry=PATIENT, secret=True, after=NAME_CHECKS,
                     repeat="looked up by name first; ours carries our marker, anyone else's is never overwritten"),
        )),
    ),
)  # fmt: skip

PROVISION = Workflow(
    name="provision",
    title="Creation of {subject}",
    lanes=(
        Lane(name="source", steps=(
            StepPlan(name="fork_source", upstream=G, retry=PATIENT,
                     repeat="looked up by path first; ours carries our marker, or has the id in the ledger"),
            StepPlan(name="await_source", upstream=G, retry=POLLED, wait=WaitPolicy(at_most_s=600), expected_s=30,
                     repeat="only reads"),
            StepPlan(name="open_to_developers", upstream=G, retry=PATIENT, wait=WaitPolicy(at_most_s=HOUR_S),
                     limit_s=10,  # the next attempt waits for as long when this one is lost
                     skip="the group's own default protection may be enough",
                     repeat="writes only while the branch's levels differ from the wanted ones, and reads them back"),
            StepPlan(name="create_pipeline", upstream=J, retry=PATIENT,
                     repeat="looked up by name first; ours carries our marker, equal means no write"),
        )),
        Lane(name="helm", steps=(
            StepPlan(name="fork_helm", upstream=G, retry=PATIENT,
                     repeat="looked up by path first; ours carries our marker, or has the id in the ledger"),
            StepPlan(name="await_helm", upstream=G, retry=POLLED, wait=WaitPolicy(at_most_s=600), expected_s=30,
                     repeat="only reads"),
            StepPlan(name="register_repository", upstream=A, retry=PATIENT, limit_s=100,
                     repeat="listed first, unless this job made the repository; its address is its identity"),
            StepPlan(name="create_application", upstream=A, retry=PATIENT, wait=WaitPolicy(at_most_s=300), limit_s=200,
                     repeat="looked up by name first; ours carries our marker, equal means no write"),
        )),
    ),
)  # fmt: skip

BUILD = Workflow(
    name="build",
    title="Build{which} of {subject}",
    result="await_result",
    on_cancel=StepPlan(
        name="stop_build", upstream=J, retry=PATIENT, wait=WaitPolicy(at_most_s=300),
        repeat="finds the build by our job's id; stopping what has stopped does nothing",
    ),
    lanes=(
        Lane(name="build", steps=(
            StepPlan(name="start_build", upstream=J, retry=PATIENT,
                     wait=WaitPolicy(at_most_s=20 * HOUR_S),  # for the build before it, with all of its waits
                     repeat="our job's id is a build parameter; queue and builds are searched for it before a trigger"),
            StepPlan(name="await_executor", upstream=J, retry=POLLED, wait=WaitPolicy(at_most_s=6 * HOUR_S),
                     repeat="only reads"),
            StepPlan(name="await_result", upstream=J, retry=PATIENT, wait=WaitPolicy(at_most_s=12 * HOUR_S),
                     repeat="only reads; the console is kept by its offset"),
        )),
    ),
)  # fmt: skip

DEPLOY = Workflow(
    name="deploy",
    title="Deployment{which} of {subject}",
    result="await_healthy",
    lanes=(
        Lane(name="deploy", steps=(
            StepPlan(name="sync_application", upstream=A, retry=PATIENT, limit_s=200,
                     wait=WaitPolicy(at_most_s=12 * HOUR_S),
                     repeat="our job's id travels with the sync: a running or finished one that carries it is ours"),
            StepPlan(name="await_healthy", upstream=A, retry=POLLED, wait=WaitPolicy(at_most_s=0.5 * HOUR_S),
                     limit_s=100,
                     repeat="starts again, under the same id, only a sync that Argo CD ended with an error"),
        )),
    ),
)  # fmt: skip

DEPROVISION = Workflow(
    name="deprovision",
    title="Removal of {subject}",
    result="release_name",
    lanes=(
        Lane(name="undo", steps=(
            StepPlan(name="delete_application", upstream=A, retry=PATIENT, wait=WaitPolicy(at_most_s=HOUR_S),
                     skip=REPLACED,
                     repeat="looked up first; gone is done, and only what carries our marker is deleted"),
            StepPlan(name="delete_repository", upstream=A, retry=PATIENT, wait=WaitPolicy(at_most_s=300), limit_s=100,
                     repeat="listed first; gone is done"),
            StepPlan(name="delete_pipeline", upstream=J, retry=PATIENT, wait=WaitPolicy(at_most_s=300),
                     skip=REPLACED,
                     repeat="looked up first; gone is done, and only what carries our marker is deleted"),
            StepPlan(name="delete_helm", upstream=G, retry=PATIENT, wait=WaitPolicy(at_most_s=HOUR_S),
                     skip=REPLACED,
                     repeat="looked up by id first; gone or kept aside is done, and only what is ours is deleted"),
            StepPlan(name="delete_source", upstream=G, retry=PATIENT, wait=WaitPolicy(at_most_s=HOUR_S),
                     skip=REPLACED,
                     repeat="looked up by id first; gone or kept aside is done, and only what is ours is deleted"),
            StepPlan(name="release_name", upstream=S, retry=PATIENT,
                     repeat="sets a row to what it is set to already"),
        )),
    ),
)  # fmt: skip

REMOVAL_PREVIEW = Workflow(
    name="removal_preview",
    title="Preview of the removal of {subject}",
    result="inspect_repositories",
    lanes=(
        Lane(name="preview", steps=(
            StepPlan(name="inspect_repositories", upstream=G, retry=POLLED, limit_s=120,
                     repeat="only reads"),
        )),
    ),
)  # fmt: skip

RECONCILE = Workflow(
    name="reconcile",
    title="Repair of {subject}",
    lanes=PROVISION.lanes,  # every step of provisioning makes or confirms: running it again is the repair
)

DRIFT = Workflow(
    name="drift",
    title="Comparison of {subject}",
    result="compare_app",
    lanes=(
        Lane(name="drift", steps=(
            StepPlan(name="compare_app", upstream=S, retry=POLLED, limit_s=120, reads=APP,
                     repeat="only reads: the clients refuse every write"),
        )),
    ),
)  # fmt: skip

PLAN = Workflow(
    name="plan",
    title="Forecast for {subject}",
    result="foresee_app",
    lanes=(
        Lane(name="plan", steps=(
            StepPlan(name="foresee_app", upstream=S, retry=POLLED, limit_s=120, reads=APP,
                     repeat="only reads: the clients refuse every write"),
        )),
    ),
)  # fmt: skip

CHECKUP = Workflow(
    name="checkup",
    title="Check-up of every upstream",
    result="examine",
    lanes=(
        Lane(name="checkup", steps=(
            StepPlan(name="examine", upstream=S, retry=POLLED,
                     repeat="only reads"),
        )),
    ),
)  # fmt: skip

OFFBOARD = Workflow(
    name="offboard",
    title="Off-boarding of {subject}",
    lanes=(
        Lane(name="gitlab", steps=(
            StepPlan(name="leave_gitlab_group", upstream=G, retry=PATIENT, wait=WaitPolicy(at_most_s=300),
                     repeat="a membership that is gone is done"),
            StepPlan(name="block_gitlab_user", upstream=G, retry=PATIENT, wait=WaitPolicy(at_most_s=300),
                     skip=KEPT_ACCOUNT,
                     repeat="looked up first; blocked is done, and only what carries our marker is blocked"),
        )),
        Lane(name="jenkins", steps=(
            StepPlan(name="revoke_jenkins_role", upstream=J, retry=PATIENT, wait=WaitPolicy(at_most_s=300),
                     repeat="an assignment that is gone is done; read again after"),
            StepPlan(name="delete_jenkins_user", upstream=J, retry=PATIENT, wait=WaitPolicy(at_most_s=300),
                     skip=KEPT_ACCOUNT,
                     repeat="looked up by id first; gone is done, and only what carries our marker is deleted"),
        )),
        Lane(name="kibana", steps=(
            StepPlan(name="delete_kibana_user", upstream=E, retry=PATIENT, wait=WaitPolicy(at_most_s=300),
                     skip=KEPT_ACCOUNT,
                     repeat="looked up first; gone is done, and only what carries our marker is deleted"),
        )),
    ),
)  # fmt: skip

CHANGE_PASSWORD = Workflow(
    name="change_password",
    title="New password of {subject}",
    lanes=(
        Lane(name="gitlab", steps=(
            StepPlan(name="set_gitlab_password", upstream=G, retry=PATIENT, secret=True,
                     repeat="the note of the account names the job that set its password last"),
        )),
        Lane(name="jenkins", steps=(
            StepPlan(name="set_jenkins_password", upstream=J, retry=PATIENT, secret=True,
                     repeat="an account that the new password opens is done; only what carries our marker is replaced"),
        )),
        Lane(name="kibana", steps=(
            StepPlan(name="set_kibana_password", upstream=E, retry=PATIENT, secret=True,
                     repeat="an account that the new password opens is done; only what carries our marker is changed"),
        )),
    ),
)  # fmt: skip

WORKFLOWS: dict[str, Workflow] = {
    workflow.name: workflow
    for workflow in (
        *(SIGNUP, PROVISION, BUILD, DEPLOY, DEPROVISION, REMOVAL_PREVIEW, RECONCILE, DRIFT, PLAN, CHECKUP, OFFBOARD),
        CHANGE_PASSWORD,
    )
}

MADE_BY = (PROVISION.name, RECONCILE.name)  # their steps make or confirm the parts of an app
MEMBERSHIP = (SIGNUP.name, OFFBOARD.name)  # the newest of a person holds: it made the accounts, or closed them
HARMLESS = frozenset(
    {DRIFT.name, PLAN.name, REMOVAL_PREVIEW.name}
)  # these run beside anything, and say nothing of how an app is


def task_name(workflow: str, step: str) -> str:
    """Return the name under which the step travels and under which Flower shows it."""
    return f"{workflow}.{step}"


def find_step(workflow: str, step: str) -> StepPlan | None:
    """Return the declaration of a step, None when this version of the table has no such row."""
    flow = WORKFLOWS.get(workflow)
    return next((row for row in flow.steps if row.name == step), None) if flow else None
