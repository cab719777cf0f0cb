"""Why a connection to an upstream could not be made, as far as the libraries below say it, and what to do about it."""

from __future__ import annotations

import ssl
from collections.abc import Iterator

from urllib3.exceptions import ProxyError

_NOT_YET_VALID, _EXPIRED, _OTHER_HOST, _OTHER_ADDRESS = 9, 10, 62, 64  # X509_V_ERR_… of OpenSSL
_REMEDIES = {  # by words of the reason
    "its certificate is not trusted": "set {prefix}_CA_FILE, or CA_FILE for all upstreams, to the bundle of the "
    "authority that signed its certificate",
    "its certificate is for another host": "set {prefix}_URL to a name in the certificate of {name}, or give {name} a "
    "certificate for this name",
    "its certificate has expired": "renew the certificate of {name}",
    "its certificate is not valid yet": "correct the clock of this host, or the certificate of {name}",
    "TLS failed": "correct {prefix}_URL: http:// or https://, and the port",
    "through its proxy": "correct {prefix}_PROXY, or let that proxy connect to {name}",
}


def why_unreachable(upstream: str, error: BaseException) -> str:
    """Return one sentence: what is wrong with the certificate, with TLS, with the proxy, or that nobody answers.

    Source: OpenSSL, `openssl-verification-options`, "Diagnostics".
    """
    why = next((why for cause in _causes(error) if (why := _about(cause))), "")
    return f"{upstream} could not be reached{why}"


def remedy_for(reason: str, *, name: str, prefix: str) -> str | None:
    """Return what to do about a sentence of `why_unreachable`, None when it says no more than that nobody answers.

    `prefix` is what the names of the upstream's settings begin with.
    """
    found = next((remedy for words, remedy in _REMEDIES.items() if words in reason), None)
    return found.format(name=name, prefix=prefix) if found else None


def _about(cause: BaseException) -> str:
    if isinstance(cause, ssl.SSLCertVerificationError):
        return f": its certificate {_fault_of(cause)}"
    if isinstance(cause, ssl.SSLError):
        return f": TLS failed ({str(cause.reason or 'no reason given').replace('_', ' ').lower()})"
    return " through its proxy" if isinstance(cause, ProxyError) else ""


def _fault_of(error: ssl.SSLCertVerificationError) -> str:
    if error.verify_code in (_OTHER_HOST, _OTHER_ADDRESS):
        return "is for another host"
    times = {_EXPIRED: "has expired", _NOT_YET_VALID: "is not valid yet"}
    return times.get(error.verify_code, f"is not trusted ({error.verify_message})")


def _causes(error: BaseException) -> Iterator[BaseException]:
    """Yield what the error was made from, then the error itself: libraries wrap, as an argument or a reason."""
    for each in (*error.args, getattr(error, "reason", None)):
        if isinstance(each, BaseException):
            yield from _causes(each)
    yield error
