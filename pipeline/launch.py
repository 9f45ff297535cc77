"""Runs a stage where it can run: `python3 -m pipeline.launch [--runtime auto|docker|local] <stage> [options]`.

Standard library only, on the system's own Python: it decides whether containers or a virtual environment do the work,
says which and why in one line, makes what is missing, and hands over.
"""

import argparse
import os
import shutil
import subprocess
import sys

from pipeline import venv

RUNTIMES = ("auto", "docker", "local")
EXIT_NO_DOCKER = 9


def main() -> None:
    parser = argparse.ArgumentParser(prog="python3 -m pipeline.launch", description=__doc__.splitlines()[0])
    parser.add_argument("--runtime", choices=RUNTIMES, default="auto")
    parser.add_argument("stage", nargs=argparse.REMAINDER)
    arguments = parser.parse_args()
    runtime, why = choose(arguments.runtime)
    print(f"Runtime: {runtime} ({why})", flush=True)
    _local(arguments.stage)


def choose(asked: str) -> "tuple[str, str]":
    """The runtime and the reason in words. Exits when Docker was asked for and cannot be used."""
    if asked == "local":
        return "local", "as asked"
    reason = "the containers are not there yet"
    if asked == "docker":
        print(f"Error: RUNTIME=docker: {reason}. Use RUNTIME=local.", file=sys.stderr)
        sys.exit(EXIT_NO_DOCKER)
    return "local", reason


def _local(stage: "list[str]") -> None:
    if stage[:1] == ["clean"]:
        _clean()
        return
    venv.ensure()
    program = (
        [str(venv.ROOT / "client" / "predict.py"), *stage[1:]]
        if stage[:1] == ["predict"]
        else ["-m", "pipeline", *stage]
    )
    os.execve(str(venv.PYTHON), [str(venv.PYTHON), *program], dict(os.environ, PYTHONPATH=str(venv.ROOT)))


def _clean() -> None:
    """Ends the server, then removes what was made. Photos that were given as DATA are not among it."""
    if venv.PYTHON.is_file():
        subprocess.run([str(venv.PYTHON), "-m", "pipeline", "stop"], cwd=str(venv.ROOT), check=False)
    for folder in (venv.ROOT / "var", venv.VENV):
        shutil.rmtree(str(folder), ignore_errors=True)
        print(f"Removed {folder.relative_to(venv.ROOT)}")


if __name__ == "__main__":
    main()
