"""The description of an application for Argo CD, and its comparison with what Argo CD has.

Argo CD adds defaults, omits what is empty and compares repositories by a spelling of its own.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

Spec = dict[str, Any]
"""As `checked_spec` lets it in."""


def checked_spec(spec: Spec) -> Spec:
    """Return a spec of Argo CD's whose parts have the types that are read here. Raises ValueError: another shape."""
    source = spec.get("source") or {}
    helm = source.get("helm") or {} if isinstance(source, dict) else None
    rows = helm.get("parameters") or [] if isinstance(helm, dict) else None
    if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
        raise ValueError("a source of another shape")
    if not isinstance(spec.get("syncPolicy") or {}, dict):
        raise ValueError("a policy of another shape")  # noqa: TRY004 - as pydantic wants it
    if not all(isinstance(row.get("name"), str) for row in rows):
        raise ValueError("a parameter without a name")
    return spec


SYNC_OPTIONS = ("CreateNamespace=true", "FailOnSharedResource=true")
"""The second one stops a sync that would take over what another application of Argo CD has."""


def canonical_url(url: str) -> str:
    """Return the one spelling of a repository's URL that we send: lower-case host, `.git`, no slash at the end."""
    parts = urlsplit(url.strip())
    path = parts.path.rstrip("/").removesuffix(".git") + ".git"
    return parts._replace(scheme=parts.scheme.lower(), netloc=parts.netloc.lower(), path=path).geturl()


def is_same_repository(one: str, other: str) -> bool:
    """Compare as Argo CD does (`NormalizeGitURL`), but for a slash at the end, which means nothing to git."""
    return _identity(one) == _identity(other)


def chart(url: str, path: str, revision: str, release_name: str, parameters: Mapping[str, str]) -> Spec:
    """Return a helm source."""
    return {
        "repoURL": canonical_url(url),
        "path": path,
        "targetRevision": revision,
        "helm": {"releaseName": release_name, "parameters": _rows(parameters)},
    }


def application(*, project: str, source: Spec, cluster: str, namespace: str) -> Spec:
    """Return the parts of a spec that are ours. Nothing syncs by itself: a deploy is somebody's decision."""
    return {
        "project": project,
        "source": source,
        "destination": {"name": cluster, "namespace": namespace},
        "syncPolicy": {"syncOptions": list(SYNC_OPTIONS)},
    }


def holds(actual: Any, wanted: Any) -> bool:
    """Say whether `actual` has all of `wanted`; empty and absent are the same."""
    if isinstance(wanted, dict):
        have = actual or {}
        return isinstance(have, dict) and all(holds(have.get(key), value) for key, value in wanted.items())
    if isinstance(wanted, list):
        have = actual or []
        return isinstance(have, list) and len(have) == len(wanted) and all(map(holds, have, wanted))
    return bool((actual or "") == (wanted or ""))


def corrected(actual: Spec, wanted: Spec) -> Spec:
    """Return `actual` with our parts corrected: source and destination whole, of the sync policy only our options."""
    policy = {**(actual.get("syncPolicy") or {}), **wanted["syncPolicy"]}
    return {**actual, **wanted, "syncPolicy": policy}


def with_parameters(actual: Spec, parameters: Mapping[str, str], revision: str | None) -> Spec:
    """Return `actual` with these helm parameters set, following `revision` when it is not None."""
    source = actual.get("source") or {}
    helm = source.get("helm") or {}
    rows = {row.get("name"): row for row in [*(helm.get("parameters") or []), *_rows(parameters)]}
    followed = {"targetRevision": revision} if revision is not None else {}
    return {**actual, "source": {**source, "helm": {**helm, "parameters": list(rows.values())}, **followed}}


def _rows(parameters: Mapping[str, str]) -> list[dict[str, Any]]:
    """Return what Argo CD calls parameters. `forceString` keeps `true`, `1e3` and commas what they were."""
    return [{"name": key, "value": parameters[key], "forceString": True} for key in sorted(parameters)]


def _identity(url: str) -> str:
    return url.strip().lower().rstrip("/").removesuffix(".git")
