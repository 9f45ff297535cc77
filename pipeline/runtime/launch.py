"""Runs a stage where it can run: `python3 -m pipeline.runtime.launch [--runtime auto|docker|local] <stage> [options]`.

Standard library only, on the system's own Python: it decides whether containers or a virtual environment do the work,
says which and why in one line, makes what is missing, and hands over.
"""

import argparse
import os
import shutil
import subprocess
import sys
from pathlib import Path

from pipeline.runtime import containers, engine, gpu_check, images, venv
from pipeline.runtime.compose import Compose
from pipeline.runtime.engine import EngineError

RUNTIMES = ("auto", "docker", "local")
EXIT_SERVING, EXIT_NO_DOCKER = 6, 9
MADE = ("data/records", "data/drawn", "runs", "models", "server", "demo.png")
"""What the stages make below SEAMLINE_HOME."""


def main() -> None:
    parser = argparse.ArgumentParser(prog="python3 -m pipeline.runtime.launch", description=__doc__.splitlines()[0])
    parser.add_argument("--runtime", choices=RUNTIMES, default="auto")
    parser.add_argument("stage", nargs=argparse.REMAINDER)
    arguments = parser.parse_args()
    stage, rest = arguments.stage[:1], arguments.stage[1:]
    if stage == ["gpu-check"]:
        sys.exit(gpu_check.main())
    compose, why = choose(arguments.runtime, "".join(stage))
    print(f"Runtime: {'docker' if compose else 'local'} ({why})", flush=True)
    if compose:
        sys.exit(containers.run(compose, "".join(stage), rest))
    _local(arguments.stage)


def choose(asked: str, stage: str) -> "tuple[Compose | None, str]":
    """Compose, with the images that the stage needs, or None for the local runtime; and the reason in words.

    Exits when Docker was asked for and cannot be used.
    """
    if asked == "local":
        return None, "as asked"
    if asked == "auto" and _used_locally():
        return None, f"as before: its runs are in {_home()}; RUNTIME=docker uses containers"
    begun = False
    try:
        found = engine.find()
        compose = Compose(found, gpu=bool(found.gpu))
        begun = engine.has(compose.image("train"))
        served = images.prepare(stage, compose, found)
    except EngineError as error:
        # Once runs are in volumes, going on without them would be a surprise.
        if asked == "auto" and not begun:
            return None, str(error)
        print(f"Error: containers cannot be used: {error}. RUNTIME=local needs none.", file=sys.stderr)
        sys.exit(EXIT_NO_DOCKER)
    words = (f"engine {found.version} answers", found.gpu and f"training on GPUs through {found.gpu}", served)
    return compose, "; ".join(filter(None, words))


def _home() -> Path:
    return venv.ROOT / os.environ.get("SEAMLINE_HOME", "var")


def _used_locally() -> bool:
    return any((_home() / each).is_dir() for each in ("runs", "models"))


def _local(stage: "list[str]") -> None:
    if stage[:1] == ["clean"]:
        _clean()
        return
    if stage[:1] == ["logs"]:
        _logs()
        return
    venv.ensure()
    program = (
        [str(venv.ROOT / "client" / "predict.py"), *stage[1:]]
        if stage[:1] == ["predict"]
        else ["-m", "pipeline", *stage]
    )
    os.execve(str(venv.PYTHON), [str(venv.PYTHON), *program], dict(os.environ))


def _logs() -> None:
    log = _home() / "server" / "server.log"
    if not log.is_file():
        print(f"Error: {log}: no server was started here. `make serve` starts one.", file=sys.stderr)
        sys.exit(EXIT_SERVING)
    print(log.read_text(errors="replace"), end="")


def _clean() -> None:
    """Ends the server, then removes what was made. Photos that were given as DATA are not among it.

    Where SEAMLINE_HOME names another folder than `var`, things of others may be in that: they stay, and so does `var`.
    """
    if venv.PYTHON.is_file():
        subprocess.run([str(venv.PYTHON), "-m", "pipeline", "stop"], cwd=str(venv.ROOT), check=False)
    home = _home()
    made = [home] if home == venv.ROOT / "var" else [home / each for each in MADE]
    for path in [*made, venv.VENV]:
        if path.is_dir():
            shutil.rmtree(str(path), ignore_errors=True)
        elif path.is_file():
            path.unlink()
        else:
            continue
        print(f"Removed {os.path.relpath(str(path), str(venv.ROOT))}")


if __name__ == "__main__":
    main()
