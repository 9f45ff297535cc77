"""What the commands share: the application, and how each finds the run, the store and the server that it is about."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from pipeline.background.ports import LOOPBACK
from pipeline.errors import PipelineError, ServingError
from pipeline.release.store import ModelStore
from pipeline.settings import Settings, address
from seamline_client.contract import MODEL_NAME

if TYPE_CHECKING:
    from pipeline.data.parts import Engine
    from pipeline.release.releases import Releases
    from pipeline.training.checkpoints import Checkpoint
    from pipeline.training.presets import Preset
    from pipeline.training.runs import Run

app = typer.Typer(
    add_completion=False, no_args_is_help=True, pretty_exceptions_enable=False, help="From photos to a served model."
)
"""Commands import their stage when they run, so that `status` does not wait for TensorFlow."""

DATA = typer.Option(
    None, "--data", "--source", help="Folder of annotated photos, COCO or FashionAI. Default: drawn garments."
)
PRESET = typer.Option(
    None,
    "--preset",
    help="demo, photos, gpu, tiny, or a TOML file with settings of its own. Default: demo, photos with --data.",
)
SPARK = typer.Option(
    None, "--spark", help="Work on Apache Spark: spark://host:port, local[*], yarn, k8s://... Default: on this machine."
)


def chosen_preset(name: str | None, source: Path | None) -> Preset:
    """The preset of this name or in this file; without either, the one for such a `source`."""
    from pipeline.training.preset_file import SUFFIX, load
    from pipeline.training.presets import PRESETS

    chosen = name or ("photos" if source else "demo")
    if chosen in PRESETS:
        return PRESETS[chosen]()
    if chosen.endswith(SUFFIX):
        return load(Path(chosen))
    known = ", ".join(PRESETS)
    raise typer.BadParameter(f"{chosen!r} is not one of {known}, nor a {SUFFIX} file", param_hint="'--preset'")


@contextmanager
def latest_checkpoint() -> Iterator[tuple[Run, Checkpoint]]:
    """The latest run and its best checkpoint, which stays meanwhile. Raises PipelineError where there is none."""
    from pipeline.training.checkpoints import best
    from pipeline.training.runs import latest_run

    run = latest_run(Settings.from_environment().runs)
    with best(run.folder) as checkpoint:
        if checkpoint is None:
            raise PipelineError(f"{run.folder}: no checkpoint has been evaluated yet. `make train` goes on training.")
        yield run, checkpoint


def releases(why: str | None = None) -> Releases:
    """Of this project's store and the server of it that runs. `why` is what the history says of changes."""
    from pipeline.release.history import By
    from pipeline.release.releases import Releases
    from pipeline.serving import local

    settings = Settings.from_environment()
    by = By(settings.who, why or None)
    return Releases(ModelStore(settings.models, MODEL_NAME), local.target(settings), by=by)


def listens_at(listen: str, lowest: int = 1) -> tuple[str, int]:
    """Host and port that the option `--listen` names; a port alone is one of the loopback interface."""
    try:
        return address("--listen", listen, lowest, everywhere=LOOPBACK)
    except PipelineError as error:
        raise typer.BadParameter(str(error)) from error


@contextmanager
def engine(spark: str | None) -> Iterator[Engine]:
    """What does the work: Spark where it is asked for, otherwise this process."""
    from pipeline.data.parts import here

    if spark is None:
        yield here
        return
    from pipeline.scale.spark import engine

    with engine(spark) as found:
        yield found


def running_target(*, rest: bool = False) -> str:
    """`host:port` of the running server, for gRPC or for REST. Raises ServingError where none runs."""
    from pipeline.serving import local

    target = local.target(Settings.from_environment(), rest=rest)
    if target is None:
        raise ServingError("No server is running. `make serve` starts one.")
    return target


def server_to_ask() -> str:
    """The same for gRPC, or one on this machine that was not started from here, such as a container's."""
    from pipeline.serving import fleet, local

    settings = Settings.from_environment()
    beside = f"{LOOPBACK}:{settings.grpc_port}"
    if settings.serving_target is None and local.target(settings) is None and fleet.listens(beside):
        return beside
    return running_target()
