"""Our standing with GitLab, by the doctor's own checks, and by refusals that say themselves that they pass.

Source: GitLab docs, "GitLab maintenance mode": reads go on, and every write is a 403 with one text, which is never
translated; `Organizations`: what belongs to an organisation in maintenance is a 403, too.
"""

from __future__ import annotations

from common.errors import Refused
from worker.upstreams.gitlab import access_checks
from worker.upstreams.gitlab.access_checks import END_OF_MAINTENANCE, READ_ONLY
from worker.upstreams.gitlab.errors import PASSING
from worker.upstreams.http import Http
from worker.upstreams.probe import Probe
from worker.upstreams.standing import Held, Standing, established

_READ_ONLY_TEXT, _ORGANIZATION_TEXT = PASSING
_PASSING = {
    _READ_ONLY_TEXT: Held(cause=READ_ONLY, remedy=END_OF_MAINTENANCE),
    _ORGANIZATION_TEXT: Held(
        cause="GitLab says that its organization is unavailable",
        remedy="on GitLab: end the maintenance of the organization, or ask those who run GitLab for how long it lasts",
    ),
}
"""What a refusal says while the same account is accepted elsewhere."""


def standing(http: Http, refused: Refused | None) -> Standing:
    """Return our standing with GitLab. Raises Transient when it gives no usable answer."""
    checks = access_checks.of(Probe(http, setting="GITLAB_URL", url=http.base_url))
    account = established(http.name, (checks["answers"], checks["token"]), {})
    if isinstance(account, Held):
        return account
    says = refused.says if refused else ""
    if passing := next((held for words, held in _PASSING.items() if words in says), None):
        return passing
    rights = {"the scope api": checks["scope"], "the rights of an administrator": checks["administrator"]}
    return established(http.name, (checks["writes"],), rights)
