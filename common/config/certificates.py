"""The check of a CA bundle when settings are read: later, each call would fail as if the upstream were away."""

from __future__ import annotations

import ssl
from pathlib import Path


def require_certificates(file: Path) -> None:
    """Raise ValueError unless the file can be read and holds certificates in PEM."""
    if file.is_dir():  # of hashed certificates, which OpenSSL reads when it needs one
        return
    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_verify_locations(cafile=file)
    except ssl.SSLError:
        raise ValueError("holds no certificate in PEM, which begins with -----BEGIN CERTIFICATE-----") from None
    except OSError as error:
        raise ValueError(f"cannot be read: {error.strerror}") from None
