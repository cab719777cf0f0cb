"""Our standing with Argo CD, by the doctor's own checks, and what a denied call means.

can-i says no                                                    a right is missing
a look for a name that cannot exist, in the same place: 404      this object alone is denied
the same: denied without a word, too                             Argo CD cannot look: nothing is decided now
"""

from __future__ import annotations

from dataclasses import dataclass

from common.errors import Refused
from worker.upstreams.argocd import access_checks
from worker.upstreams.argocd.access_checks import NO_KUBERNETES
from worker.upstreams.argocd.denials import BARE, Denied, Right
from worker.upstreams.argocd.errors import is_bare_denial
from worker.upstreams.check import Check, CheckFailedError, CheckInconclusiveError
from worker.upstreams.http import Http, unexpected
from worker.upstreams.probe import Probe
from worker.upstreams.standing import Good, Held, Missing, Standing, established

NO_SUCH_NAME = "slipway-no-such-application-"  # ends in a hyphen: Kubernetes accepts no such name
_API = ("api", "v1")


@dataclass(frozen=True, kw_only=True)
class _Answer:
    value: str = ""


def standing(http: Http, refused: Refused | None) -> Standing:
    """Return our standing with Argo CD. Raises Transient when it gives no usable answer."""
    checks = access_checks.of(Probe(http, setting="ARGO_URL", url=http.base_url), token="")
    account = established(http.name, (checks["answers"], checks["token"]), {})
    if isinstance(account, Held):
        return account
    if isinstance(refused, Denied):
        return _after(http, refused, checks["kubernetes"])
    return established(http.name, (checks["kubernetes"],), {})


def _after(http: Http, refused: Denied, kubernetes: Check) -> Standing:
    lacking = [str(right) for right in dict.fromkeys(refused.rights) if not _may(http, right)]
    if lacking:
        return Missing(right=" and ".join(lacking))
    if _is_away(http, refused, kubernetes):
        return Held(cause=NO_KUBERNETES, remedy=kubernetes.remedy)
    return Good()


def _is_away(http: Http, refused: Denied, kubernetes: Check) -> bool:
    """Say whether Argo CD cannot reach its Kubernetes API; where nothing shows it, its own word stands."""
    if refused.says == BARE and refused.place is not None:
        return is_bare_denial(http.send("GET", *_API, "applications", NO_SUCH_NAME, params=refused.place))
    try:
        kubernetes.run()
    except CheckInconclusiveError:
        return refused.status >= 500
    except CheckFailedError:
        return True
    return False


def _may(http: Http, right: Right) -> bool:
    """Say whether our token has a right; it counts as had where a proxy splits an address in the path."""
    reply = http.send("GET", *_API, "account", "can-i", right.resource, right.action, *right.thing)
    if reply.status in (301, 404):
        return True
    if reply.status != 200:
        raise unexpected(http, reply, "reading our rights")
    return reply.read_as(_Answer).value == "yes"
