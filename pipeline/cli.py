"""python -m pipeline <stage>: the stages by name. Each hands what it made to the next."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Optional

# Before TensorFlow is imported, by whichever command: it greets with pages of notes on CUDA.
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import typer

from client.errors import ClientError
from model.signature import MODEL_NAME
from pipeline.config import PRESETS, Settings
from pipeline.console import console
from pipeline.errors import PipelineError

app = typer.Typer(
    add_completion=False, no_args_is_help=True, pretty_exceptions_enable=False, help="From photos to a served model."
)
"""Commands import their stage when they run: `status` need not wait for TensorFlow."""

DATA = typer.Option(None, "--data", help="Folder of annotated photos, FashionAI layout. Default: drawn garments.")
PRESET = typer.Option(None, "--preset", help=f"{', '.join(PRESETS)}. Default: demo, or photos where --data is given.")


@app.command()
def data(
    source: Optional[Path] = DATA,
    preset: Optional[str] = PRESET,
    strict: bool = typer.Option(False, help="Refused rows or photos are an error."),
) -> None:
    """Check photos and annotations and write them as TFRecord."""
    from pipeline.prepare import prepare

    dataset = prepare(source, _preset(preset, source), Settings.from_environment().data, strict=strict)
    console.print(f"Data set {dataset.folder}")
    for split, counts in dataset.categories.items():
        console.print(f"  {split}: {sum(counts.values())} photos ({', '.join(f'{n} {c}' for c, n in counts.items())})")
    for refusal in dataset.refusals:
        console.print(f"  refused: {refusal}")


@app.command()
def train(source: Optional[Path] = DATA, preset: Optional[str] = PRESET) -> None:
    """Train, or go on training, and keep the best checkpoint."""
    from pipeline.prepare import prepare
    from pipeline.runs import open_run
    from pipeline.train import train as train_stage

    settings = Settings.from_environment()
    chosen = PRESETS[_preset(preset, source)]()
    dataset = prepare(source, chosen.name, settings.data)
    console.print(
        f"Training on {dataset.folder}: {dataset.count('train')} photos, evaluating on {dataset.count('eval')}, "
        f"{len(dataset.refusals)} refused{' (`python -m pipeline data` lists them)' if dataset.refusals else ''}"
    )
    run = open_run(settings.runs, dataset, chosen)
    checkpoint = train_stage(run.dataset, run.preset, run.folder)
    console.print(f"Best checkpoint: step {checkpoint.step}, NE {checkpoint.ne:.1f} %, in {run.folder}")


@app.command()
def export(
    dry_run: bool = typer.Option(False, help="Stop before the version is published."),
    force: bool = typer.Option(False, help="Publish even when it scores worse than the version published before."),
) -> None:
    """Export the latest run's best checkpoint, prove it, and publish it as a new version."""
    from pipeline.export import export as export_stage
    from pipeline.hooks import BestCheckpoint
    from pipeline.publish import publish
    from pipeline.runs import latest_run
    from pipeline.serving import process
    from pipeline.serving.server import wait_until_available
    from pipeline.store import ModelStore
    from pipeline.validate import validate

    settings = Settings.from_environment()
    run = latest_run(settings.runs)
    checkpoint = BestCheckpoint(run.folder).current
    if checkpoint is None:
        raise PipelineError(f"{run.folder}: no checkpoint was evaluated yet. `make train` goes on training.")
    store = ModelStore(settings.models, MODEL_NAME)
    with store.stage() as staging:
        console.print(f"Exporting step {checkpoint.step} of {run.folder}")
        candidate = export_stage(checkpoint, run.preset, run.dataset, staging)
        for proof in validate(candidate, store.latest(), run.dataset, force=force):
            console.print(f"  proven: {proof.what}: {proof.how}")
        if dry_run:
            console.print("Not published, as asked.")
            return
        version = publish(candidate, store)
    console.print(f"Published version {version.number}: {version.folder}")
    server = process.running(settings.server)
    if server:
        wait_until_available(server, MODEL_NAME, 60, version=version.number)
        console.print(f"The running server answers with version {version.number}")


@app.command()
def serve() -> None:
    """Start a server in the background, unless one runs, and wait until the model is available."""
    from pipeline.serving import local

    local.serve(Settings.from_environment())


@app.command()
def stop() -> None:
    """End the background server."""
    from pipeline.serving import local

    local.stop(Settings.from_environment())


@app.command()
def status() -> None:
    """Say what runs, which version, since when. Exit code 6 when nothing does."""
    from pipeline.serving import local

    local.status(Settings.from_environment())


def _preset(name: str | None, source: Path | None) -> str:
    chosen = name or ("photos" if source else "demo")
    if chosen not in PRESETS:
        raise typer.BadParameter(f"{chosen!r} is not one of {', '.join(PRESETS)}", param_hint="--preset")
    return chosen


def main() -> None:
    """Runs a command; what goes wrong is one message and an exit code, never a traceback."""
    try:
        app()
    except PipelineError as error:
        print(f"Error: {error}", file=sys.stderr)
        sys.exit(error.exit_code)
    except ClientError as error:
        print(f"Error: {error}", file=sys.stderr)
        sys.exit(PipelineError.exit_code)
