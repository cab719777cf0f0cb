"""A certificate that vouches for itself, and a server's context with it."""

from __future__ import annotations

import ipaddress
import ssl
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec


def certify(
    place: Path, *, address: str = "127.0.0.1", valid_from: timedelta = timedelta(hours=-1)
) -> tuple[ssl.SSLContext, str]:
    """Return a server's context for the address, and the file of the authority that vouches for it: itself.

    The certificate is valid for two hours, `valid_from` from now.
    """
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, address)])
    begins_at = datetime.now(UTC) + valid_from
    certificate = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
        .not_valid_before(begins_at)
        .not_valid_after(begins_at + timedelta(hours=2))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address(address))]), False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), True)
        .sign(key, hashes.SHA256())
    )
    pem, own = serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8
    (place / "ca.pem").write_bytes(certificate.public_bytes(pem))
    (place / "key.pem").write_bytes(key.private_bytes(pem, own, serialization.NoEncryption()))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(place / "ca.pem", place / "key.pem")
    return context, str(place / "ca.pem")
