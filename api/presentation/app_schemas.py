"""Response models of apps, and of their builds and deployments."""

from __future__ import annotations

from datetime import datetime

from api.contract.endpoint import ResponseBody
from common.states import AppState, JobState, Provenance, RunHealth


class BuildShown(ResponseBody):
    """A build. `number` and `url` come from Jenkins once the build has an executor; `user` is who started it.

    `image_tag` is the requested tag, or else the one that was chosen when the build was accepted. `commit` and `image`
    are what a successful build has built and pushed, as Jenkins reports it; null where it reports nothing.
    """

    job_id: str
    state: JobState
    image_tag: str | None
    branch: str | None
    number: int | None
    url: str | None
    commit: str | None
    image: str | None
    created_at: datetime
    finished_at: datetime | None
    user: str | None


class DeployShown(ResponseBody):
    """A deployment. `revision` and `images` are what was deployed, once it succeeded; `user` is who started it.

    `commit` is what the build of the tag has built, where that was known when the deployment was accepted.
    """

    job_id: str
    state: JobState
    image_tag: str | None
    revision: str | None
    commit: str | None
    images: list[str]
    rollback_of: str | None
    created_at: datetime
    finished_at: datetime | None
    user: str | None


class Running(ResponseBody):
    """What runs: the last deployment that succeeded since the app was made, and `by` whom it was started.

    `revision` is a commit of the helm repository; `commit` one of the source repository, null where it is not known.
    `health` is as of `since`, when Argo CD reported the deployment to be healthy; Slipway does not watch it.
    """

    image_tag: str | None
    revision: str | None
    commit: str | None
    since: datetime | None
    by: str | None
    health: RunHealth
    job_id: str


class Comparison(ResponseBody):
    """The result of a comparison: whether parts of the app are not as they were made, and a repair can restore them."""

    job_id: str
    at: datetime | None
    drifted: bool
    repairable: bool
    parts: int


class AppShown(ResponseBody):
    """An app of a team. `namespace`: where it runs on the team's cluster; `created_by`: the login of a user.

    `last_build` and `last_deploy` are the newest ones, however they ended. `running` is null where nothing has been
    deployed, `last_drift` where the app was never compared with what was created.
    """

    app_id: str
    project_id: str
    name: str
    type: str
    team: str
    namespace: str
    description: str
    created_at: datetime
    created_by: str | None
    state: AppState
    running: Running | None
    last_build: BuildShown | None
    last_deploy: DeployShown | None
    last_drift: Comparison | None


class Part(ResponseBody):
    """An object of the app on an upstream. `state`: intended, created, adopted (it existed before) or gone."""

    upstream: str
    kind: str
    name: str
    state: Provenance
    url: str | None
    clone_url: str | None


class AppDetail(AppShown):
    """An app, its parts, and the last job that changed it, with the state of that job."""

    parts: list[Part]
    job_id: str | None
    job_state: JobState | None
