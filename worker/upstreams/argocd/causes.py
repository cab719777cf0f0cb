"""Causes of Argo CD's failures, read from their texts.

A failure has no code of its own: its text is a chain, the innermost part last. The first row that matches decides.

| the text is about | whose | cause |
| --- | --- | --- |
| a chart that `helm template` refuses | the user's: it is in the team's repository | CHART |
| a revision that git does not know | the user's | REVISION |
| an object that another application has | somebody else's | SHARED |
| a rule of the project | the operator's | PROJECT |
| something that does not answer, or answers 5xx or 429 | nobody's: it may pass | UNREACHABLE |
| git or a cluster that refuses Argo CD | the operator's | REFUSED |
| anything else about manifests | the user's | CHART |
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum, auto

from worker.upstreams.error_text import bounded, cleaned


class Cause(StrEnum):
    """What a text is about; UNKNOWN: no rule matches."""

    CHART = auto()
    REVISION = auto()
    SHARED = auto()
    PROJECT = auto()
    UNREACHABLE = auto()
    REFUSED = auto()
    UNKNOWN = auto()


@dataclass(frozen=True, kw_only=True)
class Failure:
    """`words` are the innermost part of the text, one line, safe to show. `place` cannot be reached, or refuses."""

    cause: Cause
    words: str
    place: str = ""

    @property
    def is_of_argocd(self) -> bool:
        """Say whether Argo CD itself cannot work: one of its own parts is away."""
        return self.cause is Cause.UNREACHABLE and self.place in (CONTROLLER, REPO_SERVER, KUBERNETES)


CONTROLLER, REPO_SERVER, KUBERNETES = "its application controller", "its repo server", "its Kubernetes API"
GIT, CLUSTER, DEPENDENCIES, SOMETHING = "git", "the cluster", "the chart's dependencies", "what it needs"

_STATUS = "(status code|returned error|http)[: ]+"
_PLACES = (  # the first that matches: a text about the repo server speaks of git, too
    (CONTROLLER, r"refresh deadline"),
    (REPO_SERVER, r"code = unavailable|\btransport: |^connection error: desc"),
    (CLUSTER, r"server version|cluster info|cluster version|cache state|live state|(api|server) resources"),
    (CLUSTER, r"system:serviceaccount:|failed calling webhook"),
    (DEPENDENCIES, r"helm dependency|helm pull|failed to fetch \w+://"),
    (GIT, r"ls-remote|list refs|git-upload-pack|git fetch|repository not accessible|repository connectivity"),
    (KUBERNETES, r"/apis?/v?\w"),
)
_WORDS: Mapping[Cause, tuple[str, ...]] = {  # words with a space in them: no name and no address has one
    Cause.CHART: (r"`helm template [^`]*` failed exit status",),
    Cause.REVISION: (
        r"unable to resolve '[^']*' to a commit",
        "couldn't find remote ref",
        "unknown revision",
        "not our ref",  # a whole commit id is not resolved first: git itself does not have it
        "(unable to read tree|is not a tree)",
    ),
    Cause.SHARED: ("shared resource found",),
    Cause.PROJECT: (
        "not permitted in project",
        "do not match any of the allowed destinations",
        "not allowed (in|to use) project",
        r"project \S+ which does not exist",
    ),
    Cause.UNREACHABLE: (
        "i/o timeout",
        "connection (refused|reset|timed out|closed|lost)",
        "closed network connection",
        "sent goaway",
        "(failed|couldn't) (to )?connect to",
        "(no such host|could not resolve host)",
        "no route to host",
        "network is unreachable",
        "deadline ?exceeded",
        "(handshake timeout|timeout exceeded|timed out|failed timeout after)",
        "name resolution",
        "server misbehaving",
        r"(unexpected eof|early eof|: eof\b|broken pipe|hung up unexpectedly|empty reply)",
        "leader changed",
        "code = (unavailable|canceled)",
        "too many requests",
        "unable to handle the request",
        rf"{_STATUS}(5\d\d|429|408)\b",
        "(bad gateway|service unavailable|gateway time-?out)",
    ),
    Cause.REFUSED: (
        "authentication (required|failed)",
        "(authorization failed|invalid credentials)",
        "could not read (username|password)",
        "repository not found(?! for url)",
        r"repository '[^']*' not found",
        "(x509: |certificate problem|certificate verification failed)",
        "asked for the client to provide credentials",
        "is forbidden: user ",
        "repository is empty",
        "cannot be initialized",
        rf"{_STATUS}(401|403|404)\b",
    ),
}
_OF_A_CHART = (
    "(unable to generate manifests|failed to generate manifest|manifest generation error)",
    "app path",
    "failed running helm",
    r"chart\.yaml",
)
_PLACE_PATTERNS = tuple((place, re.compile(words)) for place, words in _PLACES)
_RULES = {cause: re.compile("|".join(words)) for cause, words in _WORDS.items()}
_CHART = re.compile("|".join(_OF_A_CHART))
_BEFORE_INNERMOST = ("desc = ", "failed to list refs: ", "InvalidSpecError: ")
_CALL = re.compile(r'\b(?:Get|Post|Put|Patch|Delete) "')
_HELM = re.compile(r"failed exit status \d{1,3}: ")
_HELM_HINT = "Use --debug flag to render out invalid YAML"


def read_failure(text: str, *, secrets: tuple[str, ...] = ()) -> Failure:
    """Return what a text of Argo CD's means. `secrets` were sent and must not be shown."""
    text = bounded(text, secrets=secrets)
    folded = text.lower()
    cause = next((cause for cause, words in _RULES.items() if words.search(folded)), None)
    cause = cause or (Cause.CHART if _CHART.search(folded) else Cause.UNKNOWN)
    place = _place(folded, cause)
    if (cause, place) == (Cause.REFUSED, DEPENDENCIES):
        cause, place = Cause.CHART, ""
    return Failure(cause=cause, words=cleaned(_innermost(cause, text), secrets=secrets), place=place)


def _place(folded: str, cause: Cause) -> str:
    if cause not in (Cause.UNREACHABLE, Cause.REFUSED):
        return ""
    otherwise = GIT if cause is Cause.REFUSED else SOMETHING
    return next((place for place, words in _PLACE_PATTERNS if words.search(folded)), otherwise)


def _innermost(cause: Cause, text: str) -> str:
    """Return the part that says why: the chain before it is longer than what is shown of a reason."""
    if cause is Cause.CHART and (helm := _HELM.search(text)):
        said = text[helm.end() :].replace(_HELM_HINT, "")
        return said.replace("<", "'").replace(">", "'")  # helm's <.Values.x> is no markup
    calls = [call.start() for call in _CALL.finditer(text)] if cause is Cause.UNREACHABLE else []
    if calls:
        return text[calls[-1] :]
    ends = [at + len(words) for words in _BEFORE_INNERMOST if (at := text.rfind(words)) >= 0]
    return text[max(ends, default=0) :] if cause is not Cause.UNKNOWN else text
