"""Steps that set a person's new password: on the accounts that were made here, and on no other."""

from __future__ import annotations

from common.jobs.ledger import OURS
from common.states import Provenance
from common.step_outputs import PasswordSet
from common.workflows import Upstream
from worker.context import StepContext
from worker.upstreams import Upstreams
from worker.upstreams.jenkins.adapter import MARK

NOT_OURS = "The account on {} was not made here and keeps its password: change it there."
BY_PROVIDER = (
    "People sign in to GitLab by {}, as the catalog says: the account there keeps what password it has, and needs none."
)
GONE = "There is no account {} on {} any more: nothing was done there."
ASKS_AGAIN = (
    "GitLab takes a password that an administrator has set for an expired one: it asks for another one at the next "
    "sign-in."
)
MADE_ANEW = (
    "Jenkins cannot change a password by its API, so the account was made anew. Tokens that it had on Jenkins are gone."
)


def set_gitlab_password(job: StepContext, upstreams: Upstreams) -> PasswordSet:
    """Set the password of the GitLab account, and note there which job did it."""
    login = job.input("login")
    if not _is_ours(job, "gitlab"):
        return _left(Upstream.GITLAB)
    if provider := job.accounts.gitlab_provider:  # it was made with a password that nobody knows
        return {"is_set": False, "not_done": BY_PROVIDER.format(provider)}
    is_set = upstreams.gitlab.accounts.set_password(
        login, job.password(), marker=job.marker, trace=f"slipway-password:{job.id}"
    )
    return {"is_set": is_set, "not_done": ASKS_AGAIN if is_set else GONE.format(login, "GitLab")}


def set_jenkins_password(job: StepContext, upstreams: Upstreams) -> PasswordSet:
    """Make the Jenkins account anew with the new password: its API cannot change one.

    The role assignments stay, because Jenkins keeps them by name. The removal changes nothing in the ledger: should the
    account prove to be somebody else's, whether ours is closed stays a question of the off-boarding; should it be gone,
    the next attempt makes it.
    """
    login, accounts = job.input("login"), upstreams.jenkins.accounts
    if not _is_ours(job, "jenkins") or not _is_marked(job, login):
        return _left(Upstream.JENKINS)
    entry = job.resource("jenkins", "user", login)
    if not accounts.opens_with(login, job.password()):
        accounts.remove_user(login, marker=job.marker)
    user = accounts.ensure_user(
        login=login,
        password=job.password(),
        name=job.input("name"),
        email=job.input("email"),
        on_create=entry.intend,
    )
    mark = job.resource("jenkins", MARK, login)
    accounts.mark(user, marker=job.marker, on_create=mark.intend)
    mark.settle(outside_id=user.id, url=user.url, found=False)
    entry.settle(outside_id=user.id, url=user.url, found=user.found)
    return {"is_set": True, "not_done": MADE_ANEW}


def set_kibana_password(job: StepContext, upstreams: Upstreams) -> PasswordSet:
    """Set the password of the Elasticsearch user."""
    login = job.input("login")
    if not _is_ours(job, "elasticsearch"):
        return _left(Upstream.ELASTICSEARCH)
    is_set = upstreams.elasticsearch.users.set_password(login, job.password(), marker=job.marker)
    return {"is_set": is_set, "not_done": "" if is_set else GONE.format(login, "Kibana")}


def _is_ours(job: StepContext, upstream: str) -> bool:
    rows = job.read_earlier(upstream, "user")
    return any(row.ref == job.input("login") and row.provenance in OURS for row in rows)


def _is_marked(job: StepContext, login: str) -> bool:
    """Say whether the account got our marker: older ones did not, and cannot be told from somebody else's."""
    marks = job.read_earlier("jenkins", MARK)
    return any(row.ref == login and row.provenance is not Provenance.GONE for row in marks)


def _left(upstream: Upstream) -> PasswordSet:
    name = "Kibana" if upstream is Upstream.ELASTICSEARCH else upstream.label
    return {"is_set": False, "not_done": NOT_OURS.format(name)}
