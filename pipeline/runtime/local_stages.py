"""The stages in the virtual environment, and what needs none: the server's log, and deleting. Standard library only."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

from pipeline.runtime import EXIT_SERVING, deleting, venv

MADE = (
    *("data/records", "data/drawn", "runs", "models", "server", "gateway", "cluster", "drift", "monitoring", "metrics"),
    *("demo.png", "rank.png"),
)
"""What the stages make below SEAMLINE_HOME."""


def home() -> Path:
    """The folder that the stages write to."""
    return venv.ROOT / os.path.expanduser(os.environ.get("SEAMLINE_HOME") or "var")  # noqa: PTH111  # any `~` will do


def used() -> bool:
    """Whether the stages have run here before."""
    return any((home() / each).is_dir() for each in ("runs", "models"))


def run(stage: str, options: list[str]) -> int:
    """The exit code of what needs no packages; all else takes the place of this process."""
    if stage == "clean":
        return _clean()
    if stage == "logs":
        return _logs()
    venv.ensure()
    for extra in venv.EXTRAS:
        if any(each.partition("=")[0] == f"--{extra}" for each in options):
            venv.ensure_extra(extra)
    predict = str(venv.ROOT / "client" / "predict.py")
    program = [predict] if stage == "predict" else ["-m", "pipeline", stage]
    # File names may have any characters, whatever the locale says.
    environment = {"PYTHONUTF8": "1", **os.environ, "PYTHONPATH": f"{venv.ROOT}{os.pathsep}{venv.ROOT / 'client'}"}
    if Path.cwd() != venv.ROOT:
        environment["SEAMLINE_HOME"] = str(home())
    return os.execve(str(venv.PYTHON), [str(venv.PYTHON), *program, *options], environment)


def _logs() -> int:
    log = home() / "server" / "server.log"
    if not log.is_file():
        print(f"Error: {log}: no server was started here. `make serve` starts one.", file=sys.stderr)
        return EXIT_SERVING
    print(log.read_text(errors="replace"), end="")
    return 0


def _clean() -> int:
    """Ends the server, then deletes what was made, nothing where that fails.

    Photos that were given as DATA are not among it.
    Where SEAMLINE_HOME names another folder than `var`, or `var` is a link, things of others may be in there: they
    stay, and so does the folder.
    """
    ours = home() == venv.ROOT / "var" and not home().is_symlink()
    made = [path for path in [*([home()] if ours else [home() / each for each in MADE]), venv.VENV] if path.exists()]
    refused = deleting.refused({os.path.relpath(path, venv.ROOT): _size(path) for path in made})
    if refused is not None:
        return refused
    if venv.PYTHON.is_file():
        stopped = subprocess.run([str(venv.PYTHON), "-m", "pipeline", "stop"], cwd=venv.ROOT, check=False).returncode
        if stopped:
            print(
                f"Error: `make stop` failed, and nobody would find what runs any more: nothing was deleted. "
                f"Mend that or, where nothing runs, delete {venv.VENV} and ask again.",
                file=sys.stderr,
            )
            return stopped
    for path in made:
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        else:
            path.unlink()
        print(f"Deleted {os.path.relpath(path, venv.ROOT)}")
    return 0


def _size(path: Path) -> str:
    files = [path] if path.is_symlink() or path.is_file() else path.rglob("*")
    return f"{sum(each.lstat().st_size for each in files) / 1e6:.0f} MB"
