"""What happens, in which order, how long is it tried, and why is repeating it safe?

This table is the whole plan of every job. Lanes of a workflow run side by side; the steps of a lane run in the
order written. `worker/steps/` holds one function for each row, under the same name; nothing else orders work.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Upstream(StrEnum):
    """Whom a step talks to."""

    GITLAB = "gitlab"
    JENKINS = "jenkins"
    ARGOCD = "argocd"
    ELASTICSEARCH = "elasticsearch"


@dataclass(frozen=True, kw_only=True)
class Retry:
    """How often a stumbling step is tried; the server's own hint, when it gives one, outranks the backoff."""

    attempts: int
    first_s: float
    factor: float
    cap_s: float

    def delay_s(self, attempt: int) -> float:
        """Return the pause after the attempt with this number, counted from 1, before jitter."""
        return float(min(self.cap_s, self.first_s * self.factor ** (attempt - 1)))

    @property
    def gives_up_after_s(self) -> float:
        """Return the sum of all pauses: how long an upstream may be away before the step fails."""
        return sum(self.delay_s(attempt) for attempt in range(1, self.attempts))


@dataclass(frozen=True, kw_only=True)
class Wait:
    """How long a step may answer "not yet" before it fails, counted from the first such answer."""

    at_most_s: float


@dataclass(frozen=True, kw_only=True)
class Step:
    """One idempotent task: `limit_s` bounds one attempt, `repeat` says why a second one is harmless."""

    name: str
    upstream: Upstream
    retry: Retry
    repeat: str
    wait: Wait | None = None
    limit_s: float = 30.0
    secret: bool = False  # reads the sealed password of the job: it is wiped after the last such step


@dataclass(frozen=True, kw_only=True)
class Lane:
    name: str
    steps: tuple[Step, ...]


@dataclass(frozen=True, kw_only=True)
class Workflow:
    name: str
    title: str
    lanes: tuple[Lane, ...]

    @property
    def steps(self) -> tuple[Step, ...]:
        return tuple(step for lane in self.lanes for step in lane.steps)


PATIENT = Retry(attempts=12, first_s=1, factor=2, cap_s=300)  # gives up after about 18.5 minutes
POLLED = Retry(attempts=8, first_s=1, factor=2, cap_s=60)  # gives up after about 2 minutes, the wait apart

G, J, A, E = Upstream.GITLAB, Upstream.JENKINS, Upstream.ARGOCD, Upstream.ELASTICSEARCH

SIGNUP = Workflow(
    name="signup",
    title="Accounts on GitLab, Jenkins and Kibana",
    lanes=(
        Lane(name="gitlab", steps=(
            Step(name="create_gitlab_user", upstream=G, retry=PATIENT, secret=True,
                 repeat="looked up by login first; ours carries our marker in its note"),
            Step(name="join_gitlab_group", upstream=G, retry=PATIENT,
                 repeat="a membership is a set entry; an existing one is read and at most raised"),
        )),
        Lane(name="jenkins", steps=(
            Step(name="create_jenkins_user", upstream=J, retry=PATIENT, secret=True,
                 repeat="looked up by id first; ours answers to the password of this very sign-up"),
            Step(name="assign_jenkins_role", upstream=J, retry=PATIENT,
                 repeat="an assignment is a set entry; read before, and read again after"),
        )),
        Lane(name="kibana", steps=(
            Step(name="create_kibana_user", upstream=E, retry=PATIENT, secret=True,
                 repeat="looked up by name first; ours carries our marker, anyone else's is never put over"),
        )),
    ),
)  # fmt: skip

PROVISION = Workflow(
    name="provision",
    title="Repositories, pipeline and application of an app",
    lanes=(
        Lane(name="source", steps=(
            Step(name="fork_source", upstream=G, retry=PATIENT,
                 repeat="looked up by path first; ours is a fork of the template with our marker"),
            Step(name="await_source", upstream=G, retry=POLLED, wait=Wait(at_most_s=600),
                 repeat="only reads"),
            Step(name="open_to_developers", upstream=G, retry=PATIENT, wait=Wait(at_most_s=60),
                 repeat="writes only while the branch's levels differ from the wanted ones, and reads them back"),
            Step(name="create_pipeline", upstream=J, retry=PATIENT,
                 repeat="looked up by name first; ours carries our marker, equal means no write"),
        )),
        Lane(name="helm", steps=(
            Step(name="fork_helm", upstream=G, retry=PATIENT,
                 repeat="looked up by path first; ours is a fork of the template with our marker"),
            Step(name="await_helm", upstream=G, retry=POLLED, wait=Wait(at_most_s=30),
                 repeat="only reads"),
            Step(name="register_repository", upstream=A, retry=PATIENT, limit_s=100,
                 repeat="listed first; the repository's address is its identity"),
            Step(name="create_application", upstream=A, retry=PATIENT, wait=Wait(at_most_s=300), limit_s=200,
                 repeat="looked up by name first; ours carries our marker, equal means no write"),
        )),
    ),
)  # fmt: skip

WORKFLOWS: dict[str, Workflow] = {workflow.name: workflow for workflow in (SIGNUP, PROVISION)}


def task_name(workflow: str, step: str) -> str:
    """Return the name under which the step travels and under which Flower shows it."""
    return f"{workflow}.{step}"


def find_step(workflow: str, step: str) -> Step | None:
    """Return the declaration of a step, None when this version of the table has no such row."""
    flow = WORKFLOWS.get(workflow)
    return next((row for row in flow.steps if row.name == step), None) if flow else None
