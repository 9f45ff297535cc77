"""The model store: the versions that a server may load, and the staging beside them where it does not look.

    <base>/<name>/<version>/          published versions, what tensorflow/serving loads from
    <base>/.staging/<id>/<number>/    candidates; the same file system, so that publishing is one rename
    <base>/.last_version              the highest number ever given: none is used twice

Standard library only. A version is whole or absent: it is checked, then renamed into place.
"""

from __future__ import annotations

import errno
import fcntl
import hashlib
import re
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from pipeline.atomic import PARTIAL, locked, sync, write_atomically
from pipeline.errors import BusyError, ChecksumError, ServingError, StoreError

_LISTED = re.compile(r"([0-9a-f]{64})  (.+)")
CHECKSUMS = "assets.extra/SHA256SUMS"
"""Of every other file of a version, in the format of sha256sum."""
SIGNATURE = "assets.extra/model.sig"
"""Whose version it is, where anybody signs: of every other file, and so written when they are all there."""

_HINTS = {
    errno.ENOSPC: ". Free some space there; nothing is left over from this attempt.",
    errno.EXDEV: ". The folder of versions must be on the file system of its store: publishing is one rename.",
}


@dataclass(frozen=True)
class Version:
    """A published version."""

    number: int
    folder: Path


class ModelStore:
    """The versions of one model below a base folder."""

    def __init__(self, base: Path, name: str) -> None:
        self.base = base
        self.folder = base / name
        self._staging = base / ".staging"
        self._last = base / ".last_version"
        self._holds_lock = False

    def versions(self) -> list[Version]:
        """Published versions, oldest first. A file, or a folder whose name is not a number, is not one."""
        if not self.folder.is_dir():
            return []
        numbered = [path for path in self.folder.iterdir() if path.name.isdecimal() and path.is_dir()]
        return sorted((Version(int(path.name), path) for path in numbered), key=lambda version: version.number)

    def numbers(self) -> list[int]:
        return [version.number for version in self.versions()]

    def find(self, number: int | None) -> Version:
        """That version, or the newest. Raises ServingError where there is none such."""
        chosen = [version for version in self.versions() if number in (None, version.number)]
        if chosen:
            return chosen[-1]
        there = ", ".join(map(str, self.numbers()))
        if not there:
            raise ServingError(f"No version is published in {self.folder}. `make export` publishes one.")
        raise ServingError(f"No version {number} in {self.folder}; there are {there}.")

    @contextmanager
    def stage(self) -> Iterator[Path]:
        """An empty folder on the store's file system for a candidate; removed at the end, with what is left in it.

        First it removes what processes that were killed left behind: a living one holds the lock of its folder.
        Raises StoreError when the store cannot be written.
        """
        with self.locked(wait=True):
            self._staging.mkdir(exist_ok=True)
            self._sweep()
            folder = Path(tempfile.mkdtemp(dir=self._staging))
            lock = (folder / "lock").open("w")
            fcntl.flock(lock, fcntl.LOCK_EX)
        try:
            yield folder
        finally:
            shutil.rmtree(folder, ignore_errors=True)
            lock.close()

    def publish(self, candidate: Path) -> Version:
        """Makes a candidate visible under the next version number, if its files match its checksums.

        Raises ChecksumError when they do not, BusyError when another process is changing the store, StoreError when it
        cannot be written.
        """
        verify_checksums(candidate)
        with self.locked(wait=False):
            number = self.next_number()
            # The number is taken before it is used: a crash between the two skips one rather than use it twice.
            write_atomically(self._last, str(number))
            return self._place(candidate, number)

    def adopt(self, folder: Path, number: int, highest: int) -> Version:
        """Makes visible what another store published under that number, when `highest` was the highest there.

        Raises as `publish`.
        """
        verify_checksums(folder)
        with self.locked(wait=True):
            write_atomically(self._last, str(max(highest, self.next_number() - 1)))
            return self._place(folder, number)

    def highest(self) -> int:
        """The highest number that was ever given; 0 where none was."""
        return self.next_number() - 1

    def remove(self, number: int) -> None:
        """Takes a version out of sight by one rename, then deletes it. No error where another process did so before."""
        with self.stage() as trash, self.locked(wait=True), suppress(FileNotFoundError):
            (self.folder / str(number)).rename(trash / str(number))

    def was_given(self, number: int) -> bool:
        """Whether some version had that number, though it may be gone."""
        return 0 < number < self.next_number()

    def _place(self, folder: Path, number: int) -> Version:
        # Or a machine that loses power could keep the rename and lose what the files hold.
        for path in [*folder.rglob("*"), folder]:
            sync(path)
        self.folder.mkdir(exist_ok=True)
        version = Version(number, self.folder / str(number))
        folder.rename(version.folder)
        sync(self.folder)
        return version

    def _sweep(self) -> None:
        """Called with the store's lock, which anyone who writes into the base holds."""
        for partial in self.base.glob(f"*{PARTIAL}*"):
            partial.unlink()
        for folder in self._staging.iterdir():
            try:
                with (folder / "lock").open() as lock:
                    fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                continue
            except FileNotFoundError:
                pass
            shutil.rmtree(folder, ignore_errors=True)

    @contextmanager
    def locked(self, *, wait: bool) -> Iterator[None]:
        """One process at a time changes the store. Raises BusyError where another does and `wait` is false.

        Within it the lock may be taken again. What the file system refuses there becomes a StoreError.
        """
        if self._holds_lock:
            yield
            return
        try:
            self.base.mkdir(parents=True, exist_ok=True)
            busy = BusyError(f"{self.base}: another process is changing the store; try again when it is done")
            with locked(self.base / ".lock", None if wait else busy):
                self._holds_lock = True
                try:
                    yield
                finally:
                    self._holds_lock = False
        except OSError as error:
            hint = _HINTS.get(error.errno or 0, "")
            raise StoreError(f"{self.base}: the store cannot be changed: {error}{hint}") from error

    def next_number(self) -> int:
        """That of the next version. Raises StoreError where the file with the last one was spoiled."""
        text = self._last.read_text(errors="replace").strip() if self._last.is_file() else "0"
        if not text.isdecimal():
            raise StoreError(
                f"{self._last}: holds {text[:20]!r}, expected the highest version number that was ever given. "
                f"Write that into it, or delete it to count on from the newest version in {self.folder}."
            )
        return max([int(text), *self.numbers()]) + 1


def write_checksums(folder: Path) -> None:
    """Writes `CHECKSUMS` below a candidate's folder, for `sha256sum --check` and `verify_checksums`."""
    write_atomically(folder / CHECKSUMS, "".join(f"{digest}  {name}\n" for name, digest in digests(folder).items()))


def verify_checksums(folder: Path) -> None:
    """Raises ChecksumError naming the first file that is missing, changed, or not listed."""
    try:
        lines = (folder / CHECKSUMS).read_text(errors="replace").splitlines()
    except OSError as error:
        raise ChecksumError(f"{folder}: has no {CHECKSUMS}: {error}") from error
    listed = {found[2]: found[1] for found in map(_LISTED.fullmatch, lines) if found}
    difference = first_difference(listed, digests(folder))
    if difference:
        raise ChecksumError(f"{folder / difference[0]}: {difference[1]} {CHECKSUMS}")


def first_difference(listed: Mapping[str, str], found: Mapping[str, str]) -> tuple[str, str] | None:
    """The first file, by name, that is not as its list says, and in words that end before that list's name."""
    for name in sorted(listed.keys() | found.keys()):
        if name not in found:
            return name, "missing, though it is listed in"
        if name not in listed:
            return name, "not listed in"
        if found[name] != listed[name]:
            return name, "not what it was when its checksum was written into"
    return None


def digests(folder: Path) -> dict[str, str]:
    """SHA-256 of the files of a version by name, sorted; but of its list of checksums and of its signature."""
    paths = sorted(path for path in folder.rglob("*") if path.is_file())
    names = {path.relative_to(folder).as_posix(): path for path in paths}
    return {name: sha256(path) for name, path in names.items() if name not in (CHECKSUMS, SIGNATURE)}


def sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()
