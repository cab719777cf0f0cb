"""Files for browsers: read once, sent plain or zipped, kept by browsers until they are other files."""

from __future__ import annotations

import gzip
from collections.abc import Callable
from dataclasses import dataclass
from hashlib import sha256

from flask import Response, request

A_YEAR = "public, max-age=31536000, immutable"  # for an address that changes with the file
ASK_FIRST = "public, no-cache"  # for an address that does not: the ETag spares the transfer
CONTENT_SECURITY_POLICY = "; ".join(
    (
        "default-src 'none'",
        "script-src 'self'",
        "style-src 'self'",
        "img-src 'self' data:",  # style sheets embed icons as data URLs
        "connect-src 'self'",
        "base-uri 'none'",
        "form-action 'none'",
        "frame-ancestors 'none'",
    )
)


@dataclass(frozen=True, kw_only=True)
class Asset:
    """One file, plain and compressed."""

    content: bytes
    zipped: bytes
    media_type: str
    digest: str


def load(read: Callable[[], bytes], media_type: str) -> Asset:
    """Return a file as it is sent."""
    content = read()
    return Asset(
        content=content,
        zipped=gzip.compress(content, compresslevel=6, mtime=0),
        media_type=media_type,
        digest=digest_of(content),
    )


def digest_of(content: bytes) -> str:
    """Return what tells a file from its next version in an address or an ETag."""
    return sha256(content).hexdigest()[:16]


def send(asset: Asset, *, cache_control: str) -> Response:
    """Return the response for a file, 304 for a browser that has it."""
    is_zipped = request.accept_encodings["gzip"] > 0
    answer = Response(asset.zipped if is_zipped else asset.content, mimetype=asset.media_type)
    if is_zipped:
        answer.content_encoding = "gzip"
    answer.vary.add("Accept-Encoding")
    answer.headers["Cache-Control"] = cache_control
    answer.set_etag(asset.digest, weak=True)  # the same file, zipped or not
    answer.make_conditional(request)
    return answer


def page(html: str, *, policy: str = CONTENT_SECURITY_POLICY) -> Response:
    """Return the response for a page that runs our own files and nothing else."""
    answer = Response(html, mimetype="text/html")
    answer.headers["Content-Security-Policy"] = policy
    answer.headers["Cross-Origin-Opener-Policy"] = "same-origin"  # the page that opened it cannot control it
    return answer
