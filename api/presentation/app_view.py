"""Documents of apps, builds and deployments, rendered for a whole page with a fixed number of queries."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence

from sqlalchemy import select
from sqlalchemy.orm import Session

from api.contract import accounts
from api.presentation import links
from api.presentation.app_schemas import AppDetail, AppShown, BuildShown, Comparison, DeployShown, Part, Running
from common.config.settings import Settings
from common.database.models import App, Job, Resource
from common.jobs import app_facts, deployments, ledger, outputs
from common.jobs.app_facts import AppFacts
from common.jobs.outputs import KnownBuild
from common.step_outputs import Deployed
from common.workflows import BUILD, DEPLOY, DRIFT, Workflow


def apps(session: Session, rows: Sequence[App], settings: Settings) -> list[AppShown]:
    """Return apps as a list shows them; the number of queries does not depend on how many they are."""
    return _shown(session, rows, app_facts.read(session, rows), settings)


def detail(session: Session, row: App, settings: Settings) -> AppDetail:
    """Return an app with its parts and the last job that changed it."""
    facts = app_facts.read(session, [row])
    (shown,) = _shown(session, [row], facts, settings)
    change = facts[row.id].change
    return AppDetail(
        **dict(shown),
        parts=_parts(session, row, settings),
        job_id=change.id if change else None,
        job_state=change.state if change else None,
    )


def build(job: Job, known: KnownBuild, user: str | None, settings: Settings) -> BuildShown:
    """Return a build, of which some is known."""
    number = known.get("number")
    return BuildShown(
        job_id=job.id,
        state=job.state,
        image_tag=job.input.get("image_tag") or (str(number) if number is not None else None),
        branch=job.input.get("branch"),
        number=number,
        url=links.external(known.get("url"), settings),
        commit=known.get("commit"),
        image=known.get("image"),
        created_at=job.created_at,
        finished_at=job.finished_at,
        user=user,
    )


def deploy(job: Job, output: Deployed | None, user: str | None) -> DeployShown:
    """Return a deployment, with its output where it succeeded."""
    return DeployShown(
        job_id=job.id,
        state=job.state,
        image_tag=job.input.get("image_tag"),
        revision=(output.get("revision") if output else None) or job.input.get("revision"),
        commit=job.input.get("commit"),
        images=output.get("images", []) if output else [],
        rollback_of=job.input.get("rollback_of"),
        created_at=job.created_at,
        finished_at=job.finished_at,
        user=user,
    )


def _shown(session: Session, rows: Sequence[App], facts: Mapping[str, AppFacts], settings: Settings) -> list[AppShown]:
    known = _Known(session, rows, facts.values(), settings)
    return [
        AppShown(
            app_id=row.id,
            project_id=row.project_id,
            name=row.name,
            type=row.type,
            team=row.team_id,
            namespace=row.kubernetes_namespace,
            description=row.description,
            created_at=row.created_at,
            created_by=known.logins.get(row.created_by),
            state=facts[row.id].state,
            running=known.running(facts[row.id]),
            last_build=known.build(facts[row.id].build),
            last_deploy=known.deploy(facts[row.id].deploy),
            last_drift=known.comparison(facts[row.id].drift),
        )
        for row in rows
    ]


class _Known:
    """What the jobs of a page of apps have recorded, and who started them: each read once for all of them."""

    def __init__(self, session: Session, rows: Sequence[App], facts: Collection[AppFacts], settings: Settings) -> None:
        jobs = {job.id: job for each in facts for job in each.jobs}
        self._settings = settings
        self._builds = outputs.known_builds(session, _of_kind(jobs.values(), BUILD))
        self._deployed = outputs.deployed(session, _of_kind(jobs.values(), DEPLOY))
        self._compared = outputs.compared(session, _of_kind(jobs.values(), DRIFT))
        people = {job.user_id for job in jobs.values()} | {row.created_by for row in rows}
        self.logins = accounts.logins(session, people)

    def build(self, job: Job | None) -> BuildShown | None:
        return build(job, self._builds.get(job.id, {}), self.logins.get(job.user_id), self._settings) if job else None

    def deploy(self, job: Job | None) -> DeployShown | None:
        return deploy(job, self._deployed.get(job.id), self.logins.get(job.user_id)) if job else None

    def running(self, facts: AppFacts) -> Running | None:
        job = facts.running
        if job is None:
            return None
        version = deployments.deployment(self._settings, job, self._deployed.get(job.id))
        return Running(
            image_tag=version.image_tag,
            revision=version.revision,
            commit=job.input.get("commit"),
            since=job.finished_at,
            by=self.logins.get(job.user_id),
            health=facts.health,
            job_id=job.id,
        )

    def comparison(self, job: Job | None) -> Comparison | None:
        found = self._compared.get(job.id) if job else None
        if job is None or found is None:
            return None
        return Comparison(
            job_id=job.id,
            at=job.finished_at,
            drifted=found.get("drifted", False),
            repairable=found.get("repairable", False),
            parts=len(found.get("parts", [])),
        )


def _of_kind(jobs: Iterable[Job], workflow: Workflow) -> list[Job]:
    return [job for job in jobs if job.kind == workflow.name]


def _parts(session: Session, app: App, settings: Settings) -> list[Part]:
    rows = session.scalars(
        select(Resource)
        .where(Resource.subject_id == app.id, Resource.kind.not_in(ledger.OF_A_RUN))
        .order_by(Resource.id)
    )
    clone_urls = outputs.clone_urls(session, app.id)
    return [
        Part(
            upstream=row.upstream,
            kind=row.kind,
            name=row.ref,
            state=row.provenance,
            url=links.external(row.url, settings),
            clone_url=links.external(clone_urls.get((row.upstream, row.outside_id)), settings),
        )
        for row in rows
    ]
