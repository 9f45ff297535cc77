"""Makes `.venv` with the locked packages. Standard library only: this is what runs before anything is installed.

Runs on any Python 3, to be able to say which one is needed. `python3 -m pipeline.runtime.venv` makes it, or does
nothing.
"""

import hashlib
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
VENV = ROOT / ".venv"
PYTHON = VENV / "bin" / "python"
LOCK = ROOT / "requirements.lock"
STAMP = VENV / "installed"
OLDEST, NEWEST = (3, 9), (3, 11)
EXIT_WRONG_PYTHON = 7
EXIT_CANNOT_INSTALL = 8


def ensure() -> None:
    """`.venv` holds exactly what the lock says when this returns. Exits with a message when it cannot be made."""
    wanted = f"{hashlib.sha256(LOCK.read_bytes()).hexdigest()} {ROOT}"
    if STAMP.is_file() and STAMP.read_text() == wanted:
        return
    _check_python()
    print("Installing the locked packages into .venv: about 2 GB, one to three minutes", flush=True)
    try:
        if not PYTHON.is_file():
            subprocess.run([sys.executable, "-m", "venv", str(VENV)], check=True)
        pip = [
            str(PYTHON),
            "-m",
            "pip",
            "--disable-pip-version-check",
            "install",
            "--quiet",
            "--quiet",
            "--require-hashes",
            # The lock is whole. Where pip looks for what a package needs, it finds versions newer than the lock's.
            "--no-deps",
            "--requirement",
            str(LOCK),
        ]
        subprocess.run(pip, check=True)
    except subprocess.CalledProcessError as error:
        if not PYTHON.is_file():
            shutil.rmtree(str(VENV), ignore_errors=True)
        _fail(
            EXIT_CANNOT_INSTALL,
            "Error: {} failed with exit code {}, see above. It needs Python's venv module (Debian: apt-get install "
            "python3-venv) and access to PyPI. The same command goes on from here.".format(
                " ".join(error.cmd[1:5]), error.returncode
            ),
        )
    # The client is imported from the checkout, as after `pip install --editable`.
    for packages in VENV.glob("lib/python3*/site-packages"):
        (packages / "seamline.pth").write_text(str(ROOT / "client") + "\n")
    # Written last: an interrupted installation is gone through again.
    STAMP.write_text(wanted)


def _check_python() -> None:
    found = sys.version_info[:2]
    if not OLDEST <= found <= NEWEST:
        _fail(
            EXIT_WRONG_PYTHON,
            "Error: found Python {}.{} ({}), but TensorFlow 2.15, the last with Estimator, needs 3.9 to 3.11. "
            "Install Python 3.11, or name one: make PYTHON=/path/to/python3.11 ...".format(*found, sys.executable),
        )


def _fail(code: int, message: str) -> None:
    print(message, file=sys.stderr)
    sys.exit(code)


if __name__ == "__main__":
    ensure()
