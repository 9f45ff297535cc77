"""Who may call: tokens (JWT, ES256) signed here, and the public keys that the gateway checks them against."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from pipeline.atomic import write_atomically
from pipeline.errors import ServingError
from pipeline.extras import needed
from pipeline.gateway.callers import ISSUER

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._@-]{0,99}")
_DAY = 86_400
KEPT = 2
"""Keys whose tokens count: the newest, which signs, and the one before it, while callers are given new tokens."""


def token(folder: Path, name: str, days: float) -> str:
    """A token for the caller of that name, good for `days`, signed with the newest key; the first makes the first key.

    Raises ServingError for a name or a number of days that a token cannot have.
    """
    if not _NAME.fullmatch(name):
        raise ServingError(
            f"--name {name!r}: expected 1 to 100 letters, digits and . _ @ -, as it is written into logs"
        )
    if not 0 < days <= 3650:
        raise ServingError(f"--days {days:g}: expected more than 0 and at most 3650")
    with needed("gateway"):
        import jwt
    path = next(_newest_first(folder), None) or rotate(folder)
    now = int(time.time())
    claims = {"iss": ISSUER, "sub": name, "iat": now, "exp": now + round(days * _DAY)}
    return str(jwt.encode(claims, path.read_text(), "ES256", headers={"kid": path.stem}))


def rotate(folder: Path) -> Path:
    """Makes a key that signs from now on, and returns its file. Of those before it the newest counts a while longer."""
    folder.mkdir(parents=True, exist_ok=True)
    folder.chmod(0o700)
    last = next(_newest_first(folder), None)
    path = folder / f"{int(last.stem) + 1 if last else 1}.pem"
    write_atomically(path, new_key()[1], mode=0o600)
    for old in list(_newest_first(folder))[KEPT:]:
        old.unlink()
    return path


def new_key() -> tuple[Any, str]:
    """A private key, and the same as PEM."""
    with needed("gateway"):
        from cryptography.hazmat.primitives import serialization
        from cryptography.hazmat.primitives.asymmetric import ec
    key = ec.generate_private_key(ec.SECP256R1())
    form = serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    return key, key.private_bytes(*form).decode()


def public_keys(folder: Path) -> str:
    """The keys that count, as a JWKS."""
    with needed("gateway"):
        import jwt
        from cryptography.hazmat.primitives import serialization
    keys: list[dict[str, Any]] = []
    for path in list(_newest_first(folder))[:KEPT]:
        public = serialization.load_pem_private_key(path.read_bytes(), None).public_key()
        described = jwt.algorithms.ECAlgorithm.to_jwk(public, as_dict=True)
        keys.append({**described, "kid": path.stem, "alg": "ES256", "use": "sig"})
    return json.dumps({"keys": keys})


def _newest_first(folder: Path) -> Iterator[Path]:
    ours = (path for path in folder.glob("*.pem") if path.stem.isdecimal())  # a copy may lie beside them
    return iter(sorted(ours, key=lambda path: int(path.stem), reverse=True))
