"""The gateway's certificate: one of its own, for trying, or one that people have."""

from __future__ import annotations

import datetime
import ipaddress
import re
from collections.abc import Sequence

from pipeline.errors import ServingError
from pipeline.extras import needed
from pipeline.gateway import tokens

DAYS = 365
_CERTIFICATE = re.compile(r"-----BEGIN CERTIFICATE-----.*?-----END CERTIFICATE-----\n?", re.S)
_KEY = re.compile(r"-----BEGIN [A-Z ]*PRIVATE KEY-----.*?-----END [A-Z ]*PRIVATE KEY-----\n?", re.S)
HERE = ("localhost", "127.0.0.1")

_HOST = re.compile(r"(\*\.)?[A-Za-z0-9:_]([A-Za-z0-9.:_-]*[A-Za-z0-9:])?")
"""A name, one of all below a domain, or an address."""


def own(hosts: Sequence[str]) -> tuple[str, str]:
    """A certificate for these names and addresses that signs itself, and its key; both PEM.

    Callers have to be given the certificate, to trust it. Raises ServingError for what is no name of a host.
    """
    for host in hosts:
        if not _HOST.fullmatch(host) or len(host) > 253:
            raise ServingError(f"--host {host[:80]!r}: not a name or an address, as in models.example.com")
    with needed("gateway"):
        from cryptography import x509
        from cryptography.hazmat.primitives import hashes, serialization
    key, pem = tokens.new_key()
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
    return certificate.public_bytes(serialization.Encoding.PEM).decode(), pem


def named(certificate: str, key: str) -> tuple[str, str]:
    """The certificates and the key that are in two texts, or both in the same; PEM.

    Raises ServingError where there are none, or where they do not belong together.
    """
    with needed("gateway"):
        from cryptography import x509
        from cryptography.hazmat.primitives import serialization
    chain, keys = "".join(_CERTIFICATE.findall(certificate)), "".join(_KEY.findall(key))
    try:
        (first, *_) = x509.load_pem_x509_certificates(chain.encode())
        secret = serialization.load_pem_private_key(keys.encode(), None)
    except (ValueError, TypeError) as error:
        raise ServingError(
            "--cert, --key: expected a certificate and its key, both PEM, the key unencrypted"
        ) from error
    if first.public_key() != secret.public_key():
        raise ServingError("The key is not that of the first certificate. What signed a certificate comes after it.")
    return chain, keys
