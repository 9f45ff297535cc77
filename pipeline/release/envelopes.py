"""Signed bytes: DSSE envelopes by keys on elliptic curves, as the OpenSSF's model signing has them. All offline.

A private key is a PEM file that one machine has. The public ones are files that everybody may have, and a machine
trusts those that SEAMLINE_TRUSTED_KEYS names.
"""

from __future__ import annotations

import base64
import hashlib
import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from pipeline.errors import PipelineError, SignatureError

_PUBLIC = re.compile(rb"-----BEGIN PUBLIC KEY-----.*?-----END PUBLIC KEY-----", re.S)
_HASHES = {"secp256r1": hashes.SHA256(), "secp384r1": hashes.SHA384(), "secp521r1": hashes.SHA512()}
"""The curves that model signing allows, and what it hashes with on each."""
_READABLE = 0o444

Json = dict[str, Any]


def make_key(private: Path, public: Path) -> str:
    """Writes a new pair of keys, PEM, and returns its name: both or none.

    Raises PipelineError where one of the files is there.
    """
    key = ec.generate_private_key(ec.SECP256R1())
    secret = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    made: list[Path] = []
    try:
        for path, content, mode in ((private, secret, 0o400), (public, _pem(key.public_key()), _READABLE)):
            descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
            made.append(path)
            with os.fdopen(descriptor, "wb") as file:
                file.write(content)
    except OSError as error:
        for path in made:  # half a pair would stand in the way of the next one
            path.unlink()
        if isinstance(error, FileExistsError):
            said = f"{error.filename}: is there already, and no key is written over. Name another file."
            raise PipelineError(said) from error
        raise
    return _name(key.public_key())


def seal(payload: bytes, kind: str, private: Path) -> tuple[Json, str]:
    """An envelope of `payload`, which is of that media type, and the name of the key that signed it.

    Raises PipelineError for a file that has no such key.
    """
    try:
        key = serialization.load_pem_private_key(private.read_bytes(), None)
        if not isinstance(key, ec.EllipticCurvePrivateKey) or key.curve.name not in _HASHES:
            raise ValueError(f"not a key on one of the curves {', '.join(_HASHES)}")
    except (OSError, ValueError, TypeError) as error:
        raise PipelineError(f"{private}: no key that can sign: {error}. `signing-key` makes one.") from error
    signature = key.sign(_signed(payload, kind), ec.ECDSA(_HASHES[key.curve.name]))
    name = _name(key.public_key())
    return {
        **unsigned(payload, kind),
        "signatures": [{"sig": base64.b64encode(signature).decode(), "keyid": name}],
    }, name


def unsigned(payload: bytes, kind: str) -> Json:
    """The same, by nobody."""
    return {"payload": base64.b64encode(payload).decode(), "payloadType": kind, "signatures": []}


def unseal(envelope: Mapping[str, Any], kind: str, trusted: Path, where: str) -> bytes:
    """What is in an envelope that was signed by one of the `trusted` keys: a file of public keys, or a folder of such.

    Raises SignatureError, which says `where`, for any other, and PipelineError where no key is trusted.
    """
    keys = trusted_keys(trusted)
    payload, signatures = contents(envelope, kind, where)
    if not signatures:
        raise SignatureError(f"{where}: is not signed, and this machine takes only what a key in {trusted} has signed.")
    for key in keys:
        try:
            key.verify(signatures[0], _signed(payload, kind), ec.ECDSA(_HASHES[key.curve.name]))
        except InvalidSignature:
            continue
        return payload
    raise SignatureError(f"{where}: no key in {trusted} made this signature, or the file was changed after signing.")


def contents(envelope: Mapping[str, Any], kind: str, where: str) -> tuple[bytes, list[bytes]]:
    """The payload, whoever signed it, and the signatures. Raises SignatureError for what is no such envelope."""
    try:
        if envelope["payloadType"] != kind:
            raise ValueError(f"{envelope['payloadType']!r}, expected {kind!r}")
        signatures = [base64.b64decode(each["sig"], validate=True) for each in envelope["signatures"]]
        return base64.b64decode(envelope["payload"], validate=True), signatures
    except (ValueError, KeyError, TypeError) as error:
        raise SignatureError(f"{where}: cannot be read as a signed envelope: {error!r}") from error


def trusted_keys(place: Path) -> list[ec.EllipticCurvePublicKey]:
    """The public keys in a file, or in the files of a folder. Raises PipelineError where there is none."""
    try:
        files = [place] if place.is_file() else [path for path in sorted(place.iterdir()) if path.is_file()]
        found = [
            serialization.load_pem_public_key(block) for path in files for block in _PUBLIC.findall(path.read_bytes())
        ]
    except (OSError, ValueError) as error:
        raise PipelineError(f"SEAMLINE_TRUSTED_KEYS is {place}: {error}") from error
    keys = [key for key in found if isinstance(key, ec.EllipticCurvePublicKey) and key.curve.name in _HASHES]
    if not keys:
        raise PipelineError(
            f"SEAMLINE_TRUSTED_KEYS is {place}: no public key for signatures is in there. `signing-key` makes a pair; "
            "the file that ends with .pub is what belongs there."
        )
    return keys


def _signed(payload: bytes, kind: str) -> bytes:
    """What DSSE signs: no payload of one type can be taken for one of another."""
    return b"DSSEv1 %d %s %d %s" % (len(kind), kind.encode(), len(payload), payload)


def _pem(key: ec.EllipticCurvePublicKey) -> bytes:
    return bytes(key.public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo))


def _name(key: ec.EllipticCurvePublicKey) -> str:
    return hashlib.sha256(_pem(key)).hexdigest()
