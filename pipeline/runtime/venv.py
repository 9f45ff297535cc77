"""Makes `.venv` with the locked packages. Standard library only: this is what runs before anything is installed.

Any Python 3 can read this file, to say which one is needed. `python3 -m pipeline.runtime.venv` makes it with what most
people use, or does nothing where it is there; after it stand what of EXTRAS or GROUPS is to be there too.
"""

import hashlib
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

from pipeline.runtime import EXIT_CANNOT_INSTALL, EXIT_WRONG_PYTHON

ROOT = Path(__file__).resolve().parents[2]
VENV = ROOT / ".venv"
PYTHON = VENV / "bin" / "python"
LOCK = ROOT / "requirements.lock"
STAMP = VENV / "installed"
EXTRAS = {
    "drift": ("what compares samples (SciPy), 145 MB", (3, 9)),
    "gateway": ("Envoy and what signs tokens, 110 MB", (3, 10)),
    "monitoring": ("what writes a page for Prometheus", (3, 9)),
    "spark": ("Apache Spark and Apache Arrow, 640 MB", (3, 10)),
    "sync": ("rclone, 86 MB", (3, 9)),
}
"""What most people never install, by its lock file in requirements/: what it brings, and the oldest Python for it."""
GROUPS = {"all": list(EXTRAS), "fast-tests": [name for name in EXTRAS if name != "spark"]}
LOCKS = ROOT / "requirements"
OLDEST, NEWEST = (3, 9), (3, 11)
NEWS_SECONDS = 10
PROOF = "import sys, tensorflow, seamline_client; sys.exit(not tensorflow.__file__.startswith(sys.prefix))"
"""What `.venv` is taken for, asked of its own Python alone: pip may be configured to install somewhere else."""


def check_python(newest: "tuple[int, int] | None" = None) -> None:
    """Exits with a message where this Python is too old, or newer than `newest`."""
    found = sys.version_info[:2]
    if found < OLDEST or (newest and found > newest):
        _fail(
            EXIT_WRONG_PYTHON,
            "Error: found Python {}.{} ({}), but TensorFlow 2.15, the last with Estimator, needs 3.9 to 3.11. "
            "Install Python 3.11, or name one: make PYTHON=/path/to/python3.11 ...".format(*found, sys.executable),
        )


def ensure() -> None:
    """`.venv` holds exactly what the lock says when this returns. Exits with a message when it cannot be made."""
    digest = hashlib.sha256(LOCK.read_bytes()).hexdigest()
    wanted = f"{digest} {ROOT}"
    there = STAMP.read_text() if STAMP.is_file() and PYTHON.is_file() else ""
    # A link leads to another checkout's, which serves this one as well where the lock is the same.
    if there == wanted or (VENV.is_symlink() and there.startswith(digest)):
        return
    check_python(NEWEST)
    if VENV.is_symlink():
        VENV.unlink()
    elif STAMP.is_file():  # made from another lock, or in a folder that was moved: its programs name the old one
        shutil.rmtree(str(VENV))
    # Not that of `.venv` itself, which may just have gone.
    python = getattr(sys, "_base_executable", sys.executable)
    print("Installing the locked packages into .venv: about 2 GB, one to four minutes", flush=True)
    environment = _environment()
    try:
        if not PYTHON.is_file() or not (VENV / "bin" / "pip").is_file():
            subprocess.run([python, "-m", "venv", str(VENV)], check=True)
        _install(environment, LOCK)
        for site in VENV.glob("lib/python3*/site-packages"):
            # The client is imported from the checkout, as after `pip install --editable`.
            (site / "seamline.pth").write_text(os.path.relpath(str(ROOT / "client"), str(site)) + "\n")
        subprocess.run([str(PYTHON), "-I", "-c", PROOF], env=environment, check=True)
    except subprocess.CalledProcessError as error:
        if not PYTHON.is_file():
            shutil.rmtree(str(VENV), ignore_errors=True)
        _fail(
            EXIT_CANNOT_INSTALL,
            "Error: {} failed with exit code {}, see above. It needs Python's venv module (Debian: apt-get install "
            "python3-venv), 2 GB of disk, and PyPI or the index that pip is configured for. The same command "
            "continues from here.".format(" ".join(error.cmd[:3]), error.returncode),
        )
    # Written last: an interrupted installation is gone through again.
    STAMP.write_text(wanted)


def ensure_extra(name: str) -> None:
    """The same with one of EXTRAS, which has no other version of anything. Exits where that fails."""
    ensure()
    what, oldest = EXTRAS[name]
    lock, stamp = LOCKS / f"{name}.lock", VENV / f"installed-{name}"
    wanted = hashlib.sha256(lock.read_bytes()).hexdigest()
    if stamp.is_file() and stamp.read_text() == wanted:
        return
    print(f"Installing {what}, into .venv", flush=True)
    try:
        _install(_environment(), lock)
    except subprocess.CalledProcessError as error:
        _fail(
            EXIT_CANNOT_INSTALL,
            "Error: {} failed with exit code {}, see above. These packages ({}) need Python {}.{} or newer, and a "
            "system that they are built for.".format(" ".join(error.cmd[:3]), error.returncode, name, *oldest),
        )
    stamp.write_text(wanted)


def ensure_groups(names: "list[str]") -> None:
    """With each of EXTRAS that is named; of those that a group of GROUPS stands for, with what this Python can have."""
    ensure()
    for name in names:
        for extra in GROUPS.get(name, [name]):
            if name not in GROUPS or sys.version_info[:2] >= EXTRAS[extra][1]:
                ensure_extra(extra)


def _environment() -> "dict[str, str]":
    """Without what would make pip, or the Python in `.venv`, look somewhere else."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
    return {**kept, "PIP_DISABLE_PIP_VERSION_CHECK": "1", "PIP_PROGRESS_BAR": "off", "TF_CPP_MIN_LOG_LEVEL": "3"}


def _install(environment: "dict[str, str]", lock: Path) -> None:
    # The lock is whole. Where pip looks for what a package needs, it finds versions newer than the lock's.
    command = [str(PYTHON), "-m", "pip", "install", "--require-hashes", "--no-deps", "--requirement", str(lock)]
    # Settings of pip that people have, and that would put packages somewhere else.
    command += ["--no-user", "--target=", "--prefix", str(VENV), "--root", "/"]
    log = VENV / "pip.log"
    with log.open("w") as output:
        process = subprocess.Popen(command, env=environment, stdout=output, stderr=subprocess.STDOUT)
    begun = time.monotonic()
    while process.poll() is None:
        try:
            process.wait(NEWS_SECONDS)
        except subprocess.TimeoutExpired:
            print(f"  {_progress(lock, log.read_text(errors='replace'))}, {time.monotonic() - begun:.0f} s", flush=True)
    if process.returncode:
        print("\n".join(log.read_text(errors="replace").splitlines()[-15:]), file=sys.stderr)
        raise subprocess.CalledProcessError(process.returncode, command[1:])


def _progress(lock: Path, said: str) -> str:
    # pip ignores what is locked for other Pythons, and says so first.
    wanted = len(re.findall(r"^[\w.-]+==", lock.read_text(), re.MULTILINE)) - said.count("Ignoring ")
    if "\nInstalling collected" in said:
        there = len(list(VENV.glob("lib/python3*/site-packages/*.dist-info")))
        return f"unpacked {min(there, wanted)} of {wanted} packages"
    return f"fetched {said.count('Collecting ')} of {wanted} packages"


def _fail(code: int, message: str) -> None:
    print(message, file=sys.stderr)
    sys.exit(code)


if __name__ == "__main__":
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    unknown = [each for each in sys.argv[1:] if each not in (*EXTRAS, *GROUPS)]
    if unknown:
        _fail(2, "Error: {}: expected none, or of {}".format(" ".join(unknown), ", ".join([*EXTRAS, *GROUPS])))
    ensure_groups(sys.argv[1:])
