"""Where versions are kept for several machines: any remote of rclone's, which does all the work.

<remote>/keypoints/<version>/    as in the store; a version is whole once its list of checksums is there
<remote>/serving.json            which of them answers, and all that was promoted: one object, written last
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

from pipeline.errors import PipelineError, RemoteError
from pipeline.extras import needed

PATIENCE = ("--contimeout=10s", "--timeout=60s", "--retries=1", "--low-level-retries=2")
"""An outage is for whoever asks again: the next `push`, or the loop of `pull --every`."""
ANSWER_SECONDS = 120.0
COPY_SECONDS = 3600.0
NOT_FOUND = 3
"""rclone's exit code where there is no such folder or bucket."""
S3 = ":s3,env_auth=true,no_check_bucket=true:"
S3_ENVIRONMENT = {
    "RCLONE_S3_ENDPOINT": ("AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL"),
    "RCLONE_S3_REGION": ("AWS_REGION", "AWS_DEFAULT_REGION"),
}
"""What AWS's own tools read of it, and rclone does not. Keys it finds where those do."""
_STAMP = re.compile(r"^\d{4}/\d\d/\d\d \d\d:\d\d:\d\d (?:ERROR|CRITICAL|NOTICE) *: ")


@dataclass(frozen=True)
class Remote:
    """`where` is as rclone understands it (`name:folder`, `/a/folder`), or `s3://bucket/folder`.

    Everything raises RemoteError where rclone does not succeed, and PipelineError where there is no rclone.
    """

    where: str

    def __post_init__(self) -> None:
        if not self.where.strip():
            raise RemoteError("An empty remote: name s3://bucket/folder, a remote of rclone's, or a folder.")

    def read(self, name: str) -> bytes:
        """A small object; empty where there is none."""
        done = self._run("cat", "--", self._path(name), seconds=ANSWER_SECONDS, fine=(0, NOT_FOUND))
        return done.stdout if done.returncode == 0 else b""

    def write(self, name: str, content: bytes) -> None:
        """Replaces a small object in one step: whatever ends that, the old one is whole until the new one is.

        Raises PipelineError where there is no room for a temporary file, too.
        """
        with tempfile.TemporaryDirectory(prefix="seamline-") as folder:
            file = Path(folder, name)
            try:
                file.write_bytes(content)
            except OSError as error:
                raise PipelineError(f"{file}: {error.strerror}. TMPDIR names another place for it.") from error
            # Not `rcat`, which writes over the object that is there where the remote is a folder.
            self._run("copyto", "--ignore-times", "--", str(file), self._path(name), seconds=ANSWER_SECONDS)

    def upload(self, folder: Path, name: str, *rules: str) -> None:
        """Those files that rclone's filter rules let pass and that are not there yet. One that differs is an error."""
        options = ("--checksum", "--immutable", *(f"--filter={rule}" for rule in rules))
        self._run("copy", *options, "--", str(folder), self._path(name), seconds=COPY_SECONDS)

    def download(self, name: str, folder: Path) -> None:
        self._run("copy", "--checksum", "--", self._path(name), str(folder), seconds=COPY_SECONDS)

    def folders(self, name: str) -> list[str]:
        done = self._run("lsf", "--dirs-only", "--", self._path(name), seconds=ANSWER_SECONDS, fine=(0, NOT_FOUND))
        return [line.rstrip("/") for line in done.stdout.decode(errors="replace").splitlines()]

    def remove(self, name: str) -> None:
        self._run("purge", "--", self._path(name), seconds=COPY_SECONDS, fine=(0, NOT_FOUND))

    def _path(self, name: str) -> str:
        place = S3 + self.where[len("s3://") :] if self.where.startswith("s3://") else self.where
        return f"{place}{'' if place.endswith((':', '/')) else '/'}{name}"

    def _run(self, *arguments: str, seconds: float, fine: tuple[int, ...] = (0,)) -> subprocess.CompletedProcess[bytes]:
        command, *rest = arguments
        try:
            done = subprocess.run(
                [_rclone(), command, "--quiet", *PATIENCE, *rest],
                env={**_for_s3(), **os.environ},
                stdin=subprocess.DEVNULL,
                capture_output=True,
                timeout=seconds,
                check=False,
            )
        except subprocess.TimeoutExpired as error:
            raise RemoteError(f"{self.where}: rclone {command} took longer than {seconds:.0f} s") from error
        if done.returncode not in fine:
            lines = done.stderr.decode(errors="replace").strip().splitlines() or [f"exit code {done.returncode}"]
            raise RemoteError(f"{self.where}: rclone {command}: {_STAMP.sub('', lines[0])}")
        return done


def _rclone() -> str:
    """The program beside this Python, or the one on the path."""
    found = shutil.which("rclone", path=Path(sys.executable).parent) or shutil.which("rclone")
    with needed("sync"):
        if not found:
            raise ModuleNotFoundError(name="rclone")
    return str(found)


def _for_s3() -> dict[str, str]:
    chosen = {
        name: value
        for name, others in S3_ENVIRONMENT.items()
        for value in [next(filter(None, map(os.environ.get, others)), None)]
        if value
    }
    return {"RCLONE_S3_PROVIDER": "Other" if "RCLONE_S3_ENDPOINT" in {*chosen, *os.environ} else "AWS", **chosen}
