"""Steps that close a person's accounts: only those made here; GitLab's is blocked, because it may own work.

A login that was deleted on Jenkins and made anew by hand may be somebody else's account: it stays, with its rights. But
no step says that a person's account is closed while one that may be theirs works: it fails, and lists what it kept.
"""

from __future__ import annotations

from common.config.accounts import Owner
from common.database.models import Resource
from common.errors import Kept
from common.jobs.ledger import OURS
from common.states import Provenance
from common.step_outputs import ClosedAccount, KeptObject
from common.workflows import Upstream
from worker.context import StepContext
from worker.removal import is_removed
from worker.upstreams import Upstreams
from worker.upstreams.jenkins.adapter import MARK

NOT_OURS = (
    "The account {login} on Jenkins was kept, with its rights: its description has no line {marker}, so it may not be "
    "the one that was made here."
)
THEIR_OWN = "The account {login} on {label} was kept: it was there before the sign-up{proof}."
OPENED = ", and opened with this person's password"
WHOSE_KEY = "The API key {name} was kept: {label} does not say to the {login} of which realm it belongs."
LATENT = (
    "Slipway did not give {login} the role {role}: let an administrator of Jenkins take it back, or the next user of "
    "that name has it."
)
UNPROVED = "It was kept: nothing proves that it was made here."
CHOICES = (
    "if the account is this person's, close it on {label}, then retry",
    "if it is somebody else's, let an administrator skip this step",
)
JENKINS_RIGHTS = ("role_assignment", "global_role_assignment", "folder_permissions")


def leave_gitlab_group(job: StepContext, upstreams: Upstreams) -> ClosedAccount:
    """End the memberships that were made here."""
    return {"kept": _close(job, upstreams, "gitlab", "member", is_marked=False), "not_done": ""}


def block_gitlab_user(job: StepContext, upstreams: Upstreams) -> ClosedAccount:
    """Block the account. It stays in the ledger: it exists, and deleting it would delete the person's projects."""
    for row in _ours(job, "gitlab", "user"):
        is_removed(job, upstreams, row)
    found = _found_before(job, "gitlab", job.accounts.gitlab)
    accounts = upstreams.gitlab.accounts
    kept = [_kept_account(row) for row in found if row.outside_id is None or accounts.may_sign_in(int(row.outside_id))]
    return _closed(Upstream.GITLAB, {"kept": kept, "not_done": _left(job, "gitlab", job.accounts.gitlab)})


def revoke_jenkins_role(job: StepContext, upstreams: Upstreams) -> ClosedAccount:
    """Remove the rights first: Jenkins keeps the assignments of deleted users, for the next user of that name."""
    if _replaced_on_jenkins(job, upstreams):
        rights = [row for kind in JENKINS_RIGHTS for row in _ours(job, "jenkins", kind)]
        return {"kept": [_kept(row, "It was kept with its account.") for row in rights], "not_done": ""}
    closed = [_close(job, upstreams, "jenkins", kind, is_marked=False) for kind in JENKINS_RIGHTS]
    return {"kept": [each for kept in closed for each in kept], "not_done": ""}


def delete_jenkins_user(job: StepContext, upstreams: Upstreams) -> ClosedAccount:
    """Delete the account on Jenkins, if it is the one that was made here."""
    replaced = _replaced_on_jenkins(job, upstreams)
    for row in _ours(job, "jenkins", "user"):
        if row.ref not in replaced and is_removed(job, upstreams, row, is_marked=_must_be_marked(job, row)):
            for mark in _ours(job, "jenkins", MARK):
                job.mark_gone(mark)
            job.mark_gone(row)
    why = NOT_OURS.format(login=job.input("login"), marker=job.marker)
    kept = [_kept(row, why) for row in _ours(job, "jenkins", "user") if row.ref in replaced]
    kept += [
        _kept_account(row, proof=OPENED)
        for row in _found_before(job, "jenkins", job.accounts.jenkins)
        if upstreams.jenkins.accounts.is_marked(row.ref, marker=job.marker) is not None
    ]
    closed = _closed(Upstream.JENKINS, {"kept": kept, "not_done": _left(job, "jenkins", job.accounts.jenkins)})
    return {**closed, "kept": _latent_roles(job, upstreams)}


def delete_kibana_user(job: StepContext, upstreams: Upstreams) -> ClosedAccount:
    """Delete the Elasticsearch user, and invalidate the API keys, which would outlive the user."""
    kept = _close(job, upstreams, "elasticsearch", "user", is_marked=True)
    found = _found_before(job, "elasticsearch", job.accounts.kibana)
    kept += [_kept_account(row) for row in found if upstreams.elasticsearch.users.may_sign_in(row.ref)]
    kept += _keys_in_doubt(job, upstreams)
    return _closed(Upstream.ELASTICSEARCH, {"kept": kept, "not_done": _left(job, "elasticsearch", job.accounts.kibana)})


def _closed(upstream: Upstream, output: ClosedAccount) -> ClosedAccount:
    """Return the output of a step that closes an account. Raises Kept when one is left that the person may use."""
    if output["kept"]:
        reason = " ".join(each["why"] for each in output["kept"])
        choices = tuple(choice.format(label=upstream.label) for choice in CHOICES)
        raise Kept(reason, output=output, choices=choices, upstream=upstream.label)
    return output


def _kept(row: Resource, why: str) -> KeptObject:
    return {"upstream": row.upstream, "kind": row.kind, "name": row.ref, "why": why}


def _kept_account(row: Resource, *, proof: str = "") -> KeptObject:
    return _kept(row, THEIR_OWN.format(login=row.ref, label=Upstream(row.upstream).label, proof=proof))


def _found_before(job: StepContext, upstream: str, owner: Owner) -> list[Resource]:
    """Return the accounts that the sign-up found to be the person's own; of external ones, their owner is in charge."""
    if owner != "ours":
        return []
    return [row for row in job.read_earlier(upstream, "user") if row.provenance is Provenance.ADOPTED]


def _was_ours(job: StepContext, upstream: str) -> bool:
    return any(row.provenance is not Provenance.ADOPTED for row in job.read_earlier(upstream, "user"))


def _keys_in_doubt(job: StepContext, upstreams: Upstreams) -> list[KeptObject]:
    """Return the API keys that go on working and may be of the account that was made here."""
    if not _was_ours(job, "elasticsearch"):
        return []
    login, upstream = job.input("login"), Upstream.ELASTICSEARCH
    return [
        {
            "upstream": upstream.value,
            "kind": "api_key",
            "name": name,
            "why": WHOSE_KEY.format(name=name, login=login, label=upstream.label),
        }
        for name in upstreams.elasticsearch.rights.keys_of_unknown_realm(login)
    ]


def _latent_roles(job: StepContext, upstreams: Upstreams) -> list[KeptObject]:
    """Return the roles that outlive the account. Nobody can use them now, so the account is closed all the same."""
    login, team = job.input("login"), job.worker.catalog.teams.get(job.input("team"))
    if team is None or team.jenkins_authorization != "role-strategy" or not _was_ours(job, "jenkins"):
        return []
    return [
        {
            "upstream": Upstream.JENKINS.value,
            "kind": "role_assignment",
            "name": f"{role}/{login}",
            "why": LATENT.format(login=login, role=role),
        }
        for _, role in sorted(upstreams.jenkins.roles.held_by(login))
    ]


def _replaced_on_jenkins(job: StepContext, upstreams: Upstreams) -> list[str]:
    """Return the logins of ours whose account on Jenkins does not carry our marker, though ours would."""
    logins = [row.ref for row in _ours(job, "jenkins", "user") if _must_be_marked(job, row)]
    return [login for login in logins if upstreams.jenkins.accounts.is_marked(login, marker=job.marker) is False]


def _must_be_marked(job: StepContext, account: Resource) -> bool:
    """Say whether nothing but the marker shows that the account is ours: it was marked, or its creation not confirmed.

    Accounts that were made before there was a marker are ours as far as the ledger says so.
    """
    marks = job.read_earlier("jenkins", MARK)
    is_made = any(row.ref == account.ref and row.provenance is Provenance.CREATED for row in marks)
    return is_made or account.provenance is Provenance.INTENDED


def _close(job: StepContext, upstreams: Upstreams, upstream: str, kind: str, *, is_marked: bool) -> list[KeptObject]:
    """Remove our rows. What has no marker and was only intended may be somebody else's by now: it is kept."""
    kept = []
    for row in _ours(job, upstream, kind):
        if row.provenance is Provenance.INTENDED and not is_marked:
            kept.append(_kept(row, UNPROVED))
        elif is_removed(job, upstreams, row):
            job.mark_gone(row)
    return kept


def _left(job: StepContext, upstream: str, owner: Owner) -> str:
    """Return what somebody else has to do; "" when the account was made here, whatever the catalog says by now."""
    if owner == "ours" or _was_ours(job, upstream):
        return ""
    return f"The account on {Upstream(upstream).label} was not made here and stays open: close it where it is managed."


def _ours(job: StepContext, upstream: str, kind: str) -> list[Resource]:
    return [row for row in job.read_earlier(upstream, kind) if row.provenance in OURS]
