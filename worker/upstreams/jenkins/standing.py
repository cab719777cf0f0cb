"""Our standing with Jenkins, by the doctor's own checks.

While Jenkins starts or reloads, nobody is known for a moment: every call is a 401, or one of the anonymous user.
"""

from __future__ import annotations

from common.errors import Refused
from worker.upstreams.http import Http
from worker.upstreams.jenkins import access_checks
from worker.upstreams.jenkins.errors import REQUIRED_PERMISSION, WANTS_CRUMB
from worker.upstreams.probe import Probe
from worker.upstreams.standing import Held, Standing, established


def standing(http: Http, refused: Refused | None) -> Standing:
    """Return our standing with Jenkins. Raises Transient when it gives no usable answer."""
    checks = access_checks.of(Probe(http, setting="JENKINS_URL", url=http.base_url), login=http.login)
    named = refused.headers.get(REQUIRED_PERMISSION, "") if refused else ""
    right = f"the permission {named or 'Overall/Administer'}"
    found = established(http.name, (checks["answers"], checks["token"]), {right: checks["administrator"]})
    if refused is not None and refused.says == WANTS_CRUMB and not isinstance(found, Held):
        return Held(cause=WANTS_CRUMB, remedy=checks["token"].remedy)
    return found
