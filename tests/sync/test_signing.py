"""Whose version is it? What is not signed by a key that a machine trusts is not there for it."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path
from types import SimpleNamespace
from typing import cast
from unittest.mock import Mock

import pytest

from pipeline.errors import PipelineError, ServingError, SignatureError, StoreError
from pipeline.release import envelopes, signing
from pipeline.release.store import CHECKSUMS, SIGNATURE, verify_checksums, write_checksums
from pipeline.runtime import docker_stages
from pipeline.runtime.compose import Compose
from pipeline.sync.remote import Remote
from tests.homes import Seamline
from tests.sync.machines import Machine, Publisher


@pytest.fixture
def trusted(key: Path, tmp_path: Path) -> Path:
    """A folder with the public key, and one that was trusted before."""
    folder = tmp_path / "trusted"
    folder.mkdir()
    envelopes.make_key(tmp_path / "old", folder / "old.pub")
    shutil.copy(f"{key}.pub", folder)
    return folder


@pytest.fixture(scope="session")
def pushed(rclone: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two versions of a publisher, signed, and pushed to a share; and the key that is trusted."""
    folder = tmp_path_factory.mktemp("pushed")
    publisher = Publisher(folder / "publisher")
    (folder / "trusted").mkdir()
    envelopes.make_key(folder / "key", folder / "trusted" / "key.pub")
    for _ in range(2):
        publisher.publish()
    publisher.push(folder / "key", Remote(str(folder / "share")))
    return folder


@pytest.fixture
def share(rclone: str, tmp_path: Path) -> Remote:
    """A folder: who can write there is the same as who can write into a bucket."""
    return Remote(str(tmp_path / "share"))


def test_signed_versions_arrive(share: Remote, publisher: Publisher, key: Path, trusted: Path, tmp_path: Path) -> None:
    """And those that were pushed before there was a key, once they are signed; the machine had them unsigned."""
    publisher.publish()
    publisher.push(remote=share)
    Machine(tmp_path / "machine", None, share).pull()
    machine = Machine(tmp_path / "machine", trusted, share)
    with pytest.raises(SignatureError, match=r"serving\.json: is not signed"):
        machine.pull()
    publisher.push(key, share)
    assert machine.pull()[0] == "Version 1 arrived whole and signed"
    assert machine.whole() == [1]
    assert machine.pull() == []


def test_a_signature_in_the_making_is_no_file_of_the_version(
    publisher: Publisher, key: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A kill would leave it there, where nothing but what was published may be; the next who stages sweeps it away."""
    version = publisher.publish()
    seen: list[Path] = []

    def killed(_: int) -> None:
        seen.extend(publisher.store.base.glob("model.sig.partial-*"))
        verify_checksums(version.folder)
        raise OSError

    monkeypatch.setattr("os.fsync", killed)
    with pytest.raises(StoreError), publisher.store.locked(wait=True):
        signing.sign(version, key)
    assert len(seen) == 1


@pytest.mark.parametrize(
    ("case", "said"),
    [
        ("changed file", r"SHA256SUMS: not what it was when its checksum was written into the signature"),
        ("another file", r"more\.pb: not listed in the signature"),
        ("lost file", r"saved_model\.pb: missing, though it is listed in the signature"),
        ("lost checksums", r"SHA256SUMS: missing, though it is listed in the signature"),
        ("swapped number", r"was signed as version 1, and is here as version 2"),
        ("replayed signature", r"was signed as version 1, and is here as version 2"),
        ("no signature", r"is not signed, and this machine takes only what a key in .*trusted has signed"),
        ("another's key", r"model\.sig: no key in .*trusted made this signature, or the file was changed"),
        ("another's list", r"serving\.json: no key in .*trusted made this signature, or the file was changed"),
        ("no list", r"serving\.json: is not signed"),
        ("changed list", r"serving\.json: no key in"),
        ("not a signature", r"model\.sig: cannot be read"),
    ],
)
def test_what_is_refused(pushed: Path, tmp_path: Path, case: str, said: str) -> None:
    """By who can write where versions are kept, and has no key: one sentence, exit code 18, and nothing is there."""
    shutil.copytree(pushed, tmp_path, dirs_exist_ok=True)
    share, trusted = Remote(str(tmp_path / "share")), tmp_path / "trusted"
    kept = Path(share.where)
    one, two, word = kept / "keypoints/1", kept / "keypoints/2", kept / "serving.json"
    envelopes.make_key(tmp_path / "other", tmp_path / "other.pub")
    if case == "changed file":
        (one / "saved_model.pb").write_text("another")
        write_checksums(one)  # whoever changes one can change the other
    elif case == "another file":
        (one / "more.pb").write_text("another")
    elif case == "lost file":
        (one / "saved_model.pb").unlink()
    elif case == "lost checksums":
        (one / CHECKSUMS).unlink()
    elif case == "swapped number":
        shutil.rmtree(two)
        shutil.copytree(one, two)
    elif case == "replayed signature":
        shutil.copy(one / SIGNATURE, two / SIGNATURE)
    elif case == "no signature":
        (two / SIGNATURE).unlink()
    elif case == "another's key":
        stranger = Publisher(tmp_path / "publisher").store.find(2)
        signing.sign(stranger, tmp_path / "other")
        shutil.copy(stranger.folder / SIGNATURE, two / SIGNATURE)
    elif case == "another's list":
        shutil.copytree(tmp_path / "publisher" / "models", tmp_path / "strangers" / "models")
        Publisher(tmp_path / "strangers").push(tmp_path / "other", share)
    elif case == "no list":
        word.write_text(json.dumps({**json.loads(word.read_text()), "signatures": []}))
    elif case == "changed list":
        sealed = json.loads(word.read_text())
        payload, _ = envelopes.contents(sealed, "application/vnd.seamline.serving+json", "")
        other = envelopes.unsigned(payload.replace(b'"version": 2', b'"version": 1'), sealed["payloadType"])
        word.write_text(json.dumps({**sealed, "payload": other["payload"]}))
    else:
        (two / SIGNATURE).write_text("{}")
    machine = Machine(tmp_path / "machine", trusted, share)
    with pytest.raises(SignatureError, match=said) as caught:
        machine.pull()
    assert machine.releases.names().version is None
    assert "\n" not in str(caught.value)
    assert caught.value.exit_code == 18
    assert machine.whole() in ([], [1])


def test_a_server_starts_with_what_is_signed(publisher: Publisher, key: Path, trusted: Path, tmp_path: Path) -> None:
    """`serve` refuses anything else before it starts anything, and so does `signed`, which cron can ask."""
    version = publisher.publish()
    seamline = Seamline(tmp_path / "publisher")
    seamline.environment["SEAMLINE_TRUSTED_KEYS"] = str(trusted)
    for command in ("serve", "signed"):
        assert "is not signed" in seamline.pipeline(command, code=18)
    signing.sign(version, key)
    assert f"Version 1 is signed by one of {trusted}" in seamline.pipeline("signed")
    (version.folder / "saved_model.pb").write_text("another")
    assert "saved_model.pb" in seamline.pipeline("serve", code=18)
    del seamline.environment["SEAMLINE_TRUSTED_KEYS"]
    assert "names no keys" in seamline.pipeline("signed", code=1)


def test_nothing_promoted_is_nothing_proven(publisher: Publisher, trusted: Path, tmp_path: Path) -> None:
    """A check that found nothing to check has not passed: `signed` ends with 6, in an empty store too."""
    with pytest.raises(ServingError, match="no version was promoted"):
        signing.check_serving(publisher.releases, trusted)
    publisher.publish()
    publisher.releases.config().unlink()
    seamline = Seamline(tmp_path / "publisher")
    seamline.environment["SEAMLINE_TRUSTED_KEYS"] = str(trusted)
    assert "no version was promoted" in seamline.pipeline("signed", code=6)


def test_in_docker_too(trusted: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A container with the store and the keys is asked first; where it refuses, the server's is not started."""
    asked: list[str] = []

    def answer(*arguments: str) -> tuple[bytes, int]:
        asked.extend(arguments)
        return b"", 18

    monkeypatch.setattr(docker_stages, "docker_server", Mock(serve=Mock(side_effect=AssertionError)))
    compose = cast(Compose, SimpleNamespace(environment={}, answer=answer))
    monkeypatch.setenv("SEAMLINE_TRUSTED_KEYS", str(trusted))
    assert docker_stages.run(compose, "serve", []) == 18
    assert asked[-2:] == ["release", "signed"]
    assert f"{trusted}:/trusted:ro" in asked
    monkeypatch.setenv("SEAMLINE_TRUSTED_KEYS", "nowhere")
    with pytest.raises(ValueError, match="nowhere: no such file or folder"):
        docker_stages.run(compose, "serve", [])


@pytest.mark.parametrize("signed", [True, False])
@pytest.mark.parametrize("trusted", ["missing", "empty", "text", "private"])
def test_no_key_trusts_nothing(publisher: Publisher, key: Path, tmp_path: Path, trusted: str, signed: bool) -> None:
    """A setting that leads to no key is a mistake, not a door that is open, and is named before any version is."""
    version = publisher.publish()
    if signed:
        signing.sign(version, key)
    (tmp_path / "empty").mkdir()
    (tmp_path / "text").write_text("-----BEGIN PUBLIC KEY-----\nx\n-----END PUBLIC KEY-----\n")
    (tmp_path / "private").symlink_to(key)
    with pytest.raises(PipelineError, match="SEAMLINE_TRUSTED_KEYS is"):
        signing.check(version.folder, 1, tmp_path / trusted)


def test_a_pair_of_keys_is_made_once(tmp_path: Path) -> None:
    """The private one is its owner's alone, and neither is written over. What cannot sign says so."""
    seamline = Seamline(tmp_path / "home")
    assert "SEAMLINE_TRUSTED_KEYS" in seamline.pipeline("signing-key", "--to", str(tmp_path / "key"))
    assert (tmp_path / "key").stat().st_mode & 0o077 == 0
    assert "is there already" in seamline.pipeline("signing-key", "--to", str(tmp_path / "key"), code=1)
    (tmp_path / "other.pub").touch()
    assert "other.pub: is there already" in seamline.pipeline("signing-key", "--to", str(tmp_path / "other"), code=1)
    assert not (tmp_path / "other").exists()  # half a pair, which would stand in the way of the next one
    for name in ("key.pub", "nothing"):
        with pytest.raises(PipelineError, match="no key that can sign"):
            envelopes.seal(b"", "text", tmp_path / name)


def test_the_other_tool_agrees(publisher: Publisher, key: Path, trusted: Path, tmp_path: Path) -> None:
    """The OpenSSF's own program believes what is signed here, and what it signs is believed here."""
    tool = shutil.which("model_signing")
    if tool is None:
        pytest.skip("model_signing is not installed: pip install model-signing==1.1.1 pyOpenSSL, outside of .venv")
    version = publisher.publish()
    signing.sign(version, key)
    signature = version.folder / SIGNATURE
    options = ["--signature", str(signature), str(version.folder)]
    subprocess.run([tool, "verify", "key", "--public_key", f"{key}.pub", *options], check=True, timeout=60)
    signature.unlink()
    subprocess.run([tool, "sign", "key", "--private_key", str(key), *options], check=True, timeout=60)
    signing.check(version.folder, 1, trusted)
    with pytest.raises(SignatureError, match="signed as version 1"):
        signing.check(version.folder, 2, trusted)
