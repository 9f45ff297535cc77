"""Runs a stage where it can run, as make does.

Standard library only, on the system's own Python: it decides whether containers or a virtual environment do the work,
says which and why in one line, makes what is missing, and hands over.
"""

import argparse
import os
import signal
import sys
from typing import NoReturn

from pipeline.runtime import EXIT_NO_DOCKER, EXIT_SERVING, EXIT_USAGE, venv

venv.check_python()  # before the modules that an old Python cannot read
sys.path.insert(0, str(venv.ROOT / "client"))  # the contract, and nothing that has to be installed

from pipeline.runtime import (  # noqa: E402
    cluster_lines,
    docker_stages,
    engine,
    gpu_check,
    images,
    local_stages,
    ownership,
    targets,
)
from pipeline.runtime.compose import Compose  # noqa: E402
from pipeline.runtime.engine import EngineError  # noqa: E402

BUILT_FOR = (("--gateway", "gateway"), ("--monitoring", "train"))
"""By option of `serve`, the service whose image it needs besides."""


def main() -> None:
    for stream in (sys.stdout, sys.stderr):
        stream.reconfigure(errors="backslashreplace")  # type: ignore[union-attr]  # names that the locale cannot show
    for number in (signal.SIGINT, signal.SIGPIPE):
        signal.signal(number, signal.SIG_DFL)  # Ctrl-C and a closed pipe end it without a traceback
    parser = argparse.ArgumentParser(prog="python3 -m pipeline.runtime.launch", description=__doc__.splitlines()[0])
    parser.add_argument("--runtime", choices=("auto", "docker", "local"), default="auto", help="default: auto")
    parser.add_argument("stage", help="of the pipeline, or logs, clean or gpu-check")
    parser.add_argument("options", nargs=argparse.REMAINDER, metavar="...", help="options of the stage")
    arguments = parser.parse_args()
    runtime, stage = arguments.runtime, arguments.stage
    for name in targets.EVERYWHERE:
        if not os.environ.get(name):  # empty is unset, for Compose as for us
            os.environ.pop(name, None)
    try:
        options = [*targets.arguments(stage, os.environ), *arguments.options]
    except ValueError as error:
        _fail(f"ARGS={os.environ['ARGS']}: {error}", EXIT_USAGE)
    if stage == "train" and os.environ.get("CLUSTER") and not _in_cluster():
        try:
            sys.exit(cluster_lines.write(os.environ["CLUSTER"], os.environ))
        except ValueError as error:
            _fail(str(error), EXIT_USAGE)
    if stage == "gpu-check":
        sys.exit(gpu_check.main(runtime))
    compose, why = choose(runtime, stage)
    print(f"Runtime: {'docker' if compose else 'local'} ({why})", flush=True)
    if compose:
        try:
            images.prepare(stage, compose, also=[name for each, name in BUILT_FOR if each in options])
        except EngineError as error:
            if runtime == "docker" or compose.used:
                _no_docker(error)
            print(f"Runtime: local instead ({error})", flush=True)
        else:
            try:
                sys.exit(docker_stages.run(compose, stage, options))
            except ValueError as error:
                _fail(str(error), EXIT_USAGE)
            except EngineError as error:
                _fail(str(error), EXIT_SERVING)
    sys.exit(local_stages.run(stage, options))


def choose(asked: str, stage: str) -> "tuple[Compose | None, str]":
    """Compose, or None for the local runtime; and the reason in words. Nothing is built or installed yet.

    Exits when Docker was asked for and cannot be used.
    """
    if asked == "local":
        return None, "RUNTIME=local"
    if stage == "train" and _in_cluster():
        if asked == "docker":
            _fail("TF_CONFIG: make starts no task of a cluster in a container; see docs/scale.md", EXIT_USAGE)
        return None, "TF_CONFIG makes it a task of a cluster"
    if asked == "auto" and local_stages.used():
        return None, f"its runs and models are in {local_stages.home()}; RUNTIME=docker uses containers"
    try:
        found = engine.find()
    except EngineError as error:
        if asked == "auto":
            return None, str(error)
        _no_docker(error)
    try:
        compose = Compose(found, gpu=bool(found.gpu))
    except EngineError as error:  # an old Compose, or a setting that makes no sense to it
        # Once runs are in volumes, going on without them would be a surprise.
        if asked == "auto" and not engine.has(f"{os.environ.get('COMPOSE_PROJECT_NAME', 'seamline')}-train"):
            return None, str(error)
        _no_docker(error)
    try:
        ownership.check(compose)
        served = images.plan(stage, compose)
    except EngineError as error:
        if asked == "auto" and not compose.used:
            return None, str(error)
        _no_docker(error)
    words = (f"engine {found.version} answers", found.gpu and f"training on GPUs through {found.gpu}", served)
    return compose, "; ".join(filter(None, words))


def _in_cluster() -> bool:
    return (os.environ.get("TF_CONFIG") or "{}") != "{}"


def _no_docker(error: EngineError) -> NoReturn:
    _fail(f"containers cannot be used: {error}. RUNTIME=local needs none.", EXIT_NO_DOCKER)


def _fail(message: str, code: int) -> NoReturn:
    sys.stdout.flush()  # what was said before it comes before it, in a log of both
    print(f"Error: {message}", file=sys.stderr)
    sys.exit(code)


if __name__ == "__main__":
    try:
        main()
    except OSError as error:  # of another user's .venv, of a disk that is full
        _fail(f"{error.filename}: {error.strerror}" if error.filename else str(error), 1)
