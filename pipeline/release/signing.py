"""Whose version is it? Checksums say that a version is whole; a signature says who made it, and which version it is.

In the format of the OpenSSF's model signing (a Sigstore bundle over an in-toto statement), so that its own tool checks
what is signed here: docs/decisions/signed-in-the-format-of-others.md.
"""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

from pipeline.atomic import write_atomically
from pipeline.errors import ServingError, SignatureError
from pipeline.release.envelopes import seal, trusted_keys, unseal
from pipeline.release.releases import Releases
from pipeline.release.store import CHECKSUMS, SIGNATURE, Version, digests, first_difference, sha256

_BUNDLE = "application/vnd.dev.sigstore.bundle.v0.3+json"
_STATEMENT = "application/vnd.in-toto+json"
_TYPE, _PREDICATE = "https://in-toto.io/Statement/v1", "https://model_signing/signature/v1.0"


def sign(version: Version, private: Path) -> None:
    """Writes the signature of a published version. Raises PipelineError for a file that has no key in it.

    Called with the store's lock.
    """
    envelope, key = seal(json.dumps(_statement(version)).encode(), _STATEMENT, private)
    material = {"publicKey": {"hint": key}, "tlogEntries": []}
    bundle = {"mediaType": _BUNDLE, "verificationMaterial": material, "dsseEnvelope": envelope}
    # Made in the store's base, which is swept: what a kill left in the version would be a file that nothing lists.
    write_atomically(version.folder / SIGNATURE, json.dumps(bundle), making=version.folder.parents[1])


def check(folder: Path, number: int, trusted: Path) -> None:
    """Raises SignatureError unless these files were signed, as that version, by one of the `trusted` keys.

    Raises PipelineError where `trusted` has no key.
    """
    trusted_keys(trusted)  # a setting that leads to none is named before any version is
    file = folder / SIGNATURE
    try:
        envelope = json.loads(file.read_text())["dsseEnvelope"]
    except FileNotFoundError as error:
        raise SignatureError(
            f"{folder}: is not signed, and this machine takes only what a key in {trusted} has signed. "
            "`push` signs, where SEAMLINE_SIGNING_KEY names a key."
        ) from error
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise SignatureError(f"{file}: cannot be read: {error!r}") from error
    statement = json.loads(unseal(envelope, _STATEMENT, trusted, str(file)))
    try:
        kind, (subject,) = statement["predicateType"], statement["subject"]
        signed = {each["name"]: f"{each['algorithm']}:{each['digest']}" for each in statement["predicate"]["resources"]}
        name = subject["name"]
    except (ValueError, KeyError, TypeError) as error:
        raise SignatureError(f"{file}: what was signed is not the list of a model's files: {error!r}") from error
    if kind != _PREDICATE:
        raise SignatureError(f"{file}: a signature of another kind: {kind}")
    if name != str(number):
        raise SignatureError(f"{folder}: was signed as version {name}, and is here as version {number}.")
    difference = first_difference(signed, {each: f"sha256:{digest}" for each, digest in _files(folder).items()})
    if difference:
        raise SignatureError(f"{folder / difference[0]}: {difference[1]} the signature.")


def check_serving(releases: Releases, trusted: Path) -> list[int]:
    """`check` of the versions that answer, and their numbers. Raises ServingError where nothing was promoted."""
    names = releases.names()
    numbers = [number for number in (names.version, names.canary) if number is not None]
    if not numbers:
        raise ServingError(f"{releases.store.folder}: no version was promoted, so there is no signature to check.")
    for number in numbers:
        check(releases.store.find(number).folder, number, trusted)
    return numbers


def _statement(version: Version) -> dict[str, Any]:
    """The names, sizes left out, are what `model_signing sign` of the folder would sign, and the number as its name."""
    files = sorted(_files(version.folder).items(), key=lambda each: Path(each[0]))
    whole = hashlib.sha256(b"".join(bytes.fromhex(digest) for _, digest in files)).hexdigest()
    return {
        "_type": _TYPE,
        "subject": [{"name": str(version.number), "digest": {"sha256": whole}}],
        "predicateType": _PREDICATE,
        "predicate": {
            "serialization": {
                "method": "files",
                "hash_type": "sha256",
                "allow_symlinks": False,
                "ignore_paths": [SIGNATURE],
            },
            "resources": [{"name": name, "algorithm": "sha256", "digest": digest} for name, digest in files],
        },
    }


def _files(folder: Path) -> dict[str, str]:
    """SHA-256 of all files but the signature itself."""
    listed = folder / CHECKSUMS
    return {**digests(folder), **({CHECKSUMS: sha256(listed)} if listed.is_file() else {})}
