"""What the victims do: jobs with arguments of text, as they are run in processes that are killed."""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path

from garments import write_dataset
from pipeline import cli
from pipeline.errors import PipelineError
from pipeline.release.releases import Releases
from pipeline.release.store import ModelStore, write_checksums

MODEL = "m"


def small_candidate(staging: Path) -> Path:
    """A folder with the files of a version, though no server could load it. Each is another one."""
    folder = staging / "1700000000"
    for name in ("saved_model.pb", "variables/variables.index", "assets.extra/golden/0.jpg"):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(f"{name} of {staging}")
    write_checksums(folder)
    return folder


def publish(base: str) -> None:
    """Stages, publishes and releases a small candidate, as `make export` does with a real one."""
    store = ModelStore(Path(base), MODEL)
    try:
        with store.stage() as staging:
            Releases(store, None).published(store.publish(small_candidate(staging)))
    except PipelineError as error:
        print(error)
        sys.exit(error.exit_code)


def promote(base: str, number: str) -> None:
    """Moves the label stable."""
    Releases(ModelStore(Path(base), MODEL), None).promote(int(number))


def draw(folder: str) -> None:
    """Dies as soon as the first of its processes has drawn something."""
    write_dataset(Path(folder), 60, 1, 2, lambda *_: os.kill(os.getpid(), signal.SIGKILL))


def pipeline(home: str, *commands: str) -> None:
    """`python -m pipeline` with each of the command lines in turn, in one process. Ends with the first that fails.

    The fixture `pipeline` has the stages imported already, where commands import them when they run.
    """
    os.environ["SEAMLINE_HOME"] = home
    for command in commands:
        sys.argv = ["pipeline", *command.split()]
        try:
            cli.main()
        except SystemExit as ended:
            if ended.code:
                raise
            sys.stdout.flush()


def import_stages() -> None:
    """What takes seconds, TensorFlow above all; it starts no thread before its first session, so forking is safe."""
    from pipeline.data import prepare  # noqa: F401
    from pipeline.evaluation import saved_model as evaluate  # noqa: F401
    from pipeline.release import export, publish, versions  # noqa: F401
    from pipeline.serving import local  # noqa: F401
    from pipeline.training import runs, train  # noqa: F401
