"""The gateway's certificate: one of its own, for trying, or one that people have."""

from __future__ import annotations

import datetime
import ipaddress
import ssl
from collections.abc import Sequence
from pathlib import Path

from pipeline.errors import ServingError
from pipeline.gateway.packages import needed

DAYS = 365
HERE = ("localhost", "127.0.0.1")


def own(hosts: Sequence[str]) -> tuple[str, str]:
    """A certificate for these names and addresses that signs itself, and its key; both PEM.

    Callers have to be given the certificate, to trust it.
    """
    with needed():
        from cryptography import x509
        from cryptography.hazmat.primitives import hashes, serialization
        from cryptography.hazmat.primitives.asymmetric import ec
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, hosts[0][:64])])
    now = datetime.datetime.now(datetime.timezone.utc)
    names: list[x509.GeneralName] = []
    for host in hosts:
        try:
            names.append(x509.IPAddress(ipaddress.ip_address(host)))
        except ValueError:
            names.append(x509.DNSName(host))
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(hours=1))
        .not_valid_after(now + datetime.timedelta(days=DAYS))
        .add_extension(x509.SubjectAlternativeName(names), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .sign(key, hashes.SHA256())
    )
    secret = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    return certificate.public_bytes(serialization.Encoding.PEM).decode(), secret.decode()


def named(certificate: Path, key: Path) -> tuple[str, str]:
    """What is in the files, which have to belong together. Raises ServingError where they do not."""
    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(certificate, key, password="")
        return certificate.read_text(), key.read_text()
    except (OSError, ValueError) as error:  # ssl's own errors are of the first kind
        raise ServingError(
            f"{certificate} and {key} are not a certificate (with what it is signed by) and its key, "
            f"unencrypted, in PEM: {error}"
        ) from error
