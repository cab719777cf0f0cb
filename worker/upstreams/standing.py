"""Our standing with an upstream: who we are there, and whether we may, asked by reading only.

A 401 or a 403 does not say whether it is about our account, about one object, or about a moment: a token has ended, a
proxy restarts, the upstream is read-only for now. Each upstream's `Adapter.standing` finds out:

    Good      we are who we should be, and nothing is known to be refused in general
              -> the one object is refused: only this step is tried again, a few times
    Held      our account is refused, or every call of this kind is, or the upstream cannot decide who we are
              -> the upstream is held: jobs wait, the operator is told once
    Missing   the account works, and a right that the call needs is not given to it
              -> the step fails at once
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from common.errors import Refused, Transient
from worker.upstreams.check import Check, CheckFailedError, CheckInconclusiveError
from worker.upstreams.http import Http


@dataclass(frozen=True)
class Good:
    """The account works, and nothing is known to be refused in general."""


@dataclass(frozen=True, kw_only=True)
class Held:
    """Calls are refused in general. `cause` is a sentence without its full stop, `remedy` what the operator can do.

    Neither may change while the cause lasts, nor name an object or a secret.
    """

    cause: str
    remedy: str


@dataclass(frozen=True, kw_only=True)
class Missing:
    """The account works and lacks a right. `right` completes "lacks": "the permission Job/Create in the folder dev"."""

    right: str


Standing = Good | Held | Missing


def established(upstream: str, account: Iterable[Check], rights: Mapping[str, Check]) -> Standing:
    """Return the standing that the doctor's own checks show, in their order.

    `account`: who we are, and whether calls are accepted in general; the first that fails is why we are held. `rights`:
    the checks of what we may, each by what is missing when it fails. Raises Transient when there is no usable answer.
    """
    for check in account:
        if (failed := _failure_of(upstream, check)) is not None:
            problem = failed.problem.rstrip(".")
            return Held(cause=problem[:1].upper() + problem[1:], remedy=failed.remedy or check.remedy)
    for right, check in rights.items():
        if _failure_of(upstream, check) is not None:
            return Missing(right=right)
    return Good()


def _failure_of(upstream: str, check: Check) -> CheckFailedError | None:
    try:
        check.run()
    except CheckFailedError as failed:
        if failed.transient is not None:
            raise failed.transient from None
        return failed
    except CheckInconclusiveError:
        return None
    except (AttributeError, LookupError, TypeError, ValueError):  # as in `check.find`
        raise Transient(f"{upstream} answered with an unknown shape", upstream=upstream) from None
    return None


def presume(http: Http, refused: Refused | None) -> Standing:  # noqa: ARG001 - the signature of all
    """Return the standing at an upstream that cannot be asked: a refusal is a missing right."""
    return Good() if refused is None else Missing(right="")
