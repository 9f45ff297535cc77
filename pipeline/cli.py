"""python -m pipeline <stage>: the stages by name. Each hands what it made to the next."""

from __future__ import annotations

import json
import os
import sys
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Optional

# Before TensorFlow is imported, by whichever command: it greets with pages of notes on CUDA, and takes all of a GPU's
# memory, where a server may have to load the candidate on the same one.
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("TF_FORCE_GPU_ALLOW_GROWTH", "true")

import typer

from client.errors import ClientError
from model.signature import MODEL_NAME
from pipeline.console import console
from pipeline.errors import PipelineError, ServingError
from pipeline.settings import Settings
from pipeline.store import ModelStore

if TYPE_CHECKING:
    from pipeline.dataset.records import Dataset
    from pipeline.hooks import Checkpoint
    from pipeline.release import Releases
    from pipeline.runs import Run

app = typer.Typer(
    add_completion=False, no_args_is_help=True, pretty_exceptions_enable=False, help="From photos to a served model."
)
"""Commands import their stage when they run: `status` need not wait for TensorFlow."""

DATA = typer.Option(
    None, "--data", "--source", help="Folder of annotated photos, FashionAI layout. Default: drawn garments."
)
WEIGHTS = typer.Option(..., help="The file to write, .npz.")
GARMENTS = typer.Option("garments", help="The folder to make.")
PHOTOS = typer.Option(..., "--data", "--source", help="Folder of annotated photos, FashionAI layout.")
LABEL = typer.Option("stable", help="stable is the production address; canary, or any other name, is for trials.")
PRESET = typer.Option(
    None, "--preset", help="demo, photos, gpu or tiny. Default: demo, or photos where --data is given."
)
COCO = typer.Option(..., "--coco", help="COCO keypoints, a JSON file.")
IMAGES = typer.Option(..., "--images", help="Folder that the file's photos are in.")
TO = typer.Option(..., "--to", help="New folder for --data, in the FashionAI layout.")
SHEET = typer.Option(None, "--to", help="Where the picture goes, - for standard output. Default: var/demo.png.")
NAMES = typer.Option(
    None, "--map", help="theirs=ours for a keypoint or category of another name, or a JSON file of such pairs."
)


@app.command()
def data(
    source: Optional[Path] = DATA,
    preset: Optional[str] = PRESET,
    strict: bool = typer.Option(False, help="Refused rows or photos are an error, and categories without photos."),
) -> None:
    """Check photos and annotations and write them as TFRecord."""
    from pipeline.prepare import prepare

    dataset = prepare(source, _preset(preset, source), Settings.from_environment().data, strict=strict)
    console.print(f"Data set {dataset.folder}")
    for split, counts in dataset.categories.items():
        console.print(f"  {split}: {sum(counts.values())} photos ({', '.join(f'{n} {c}' for c, n in counts.items())})")
    for refusal in dataset.refusals:
        console.print(f"  refused: {refusal}")
    _note_missing(dataset)


@app.command()
def garments(photos: Path, to: Path = GARMENTS) -> None:
    """Make a data set of the public Clothing Dataset's photos and the annotations that come with Seamline."""
    from pipeline.dataset.garments import arrange

    counts = arrange(photos, to)
    console.print(f"Made {to}: {' and '.join(f'{count} photos in {split}/' for split, count in counts.items())}")


@app.command()
def convert(
    coco: Path = COCO,
    images: Path = IMAGES,
    to: Path = TO,
    names: Optional[list[str]] = NAMES,
    crop_all: bool = typer.Option(
        False, "--crop-all", help="Cut each garment out. Default: where a photo has several."
    ),
    margin: float = typer.Option(0.1, min=0.0, max=10.0, help="Room left round a garment, as a share of its sides."),
    strict: bool = typer.Option(False, help="A refused annotation is an error, and nothing is written."),
) -> None:
    """Write COCO keypoints and their photos as a folder that `data` and `train` read."""
    from pipeline.console import progress
    from pipeline.convert import convert as convert_stage
    from pipeline.dataset.coco import read_names

    with progress("Converting") as on_progress:
        converted = convert_stage(
            coco, images, to, read_names(names or []), on_progress, crop_all=crop_all, margin=margin, strict=strict
        )
    counts = converted.categories
    console.print(f"Wrote {to}: {sum(counts.values())} garments ({', '.join(f'{n} {c}' for c, n in counts.items())})")
    if converted.cropped:
        console.print(f"  cut out of their photos: {converted.cropped}")
    if converted.guessed:
        console.print(f"  category told by their points: {converted.guessed} (--map <theirs>=<ours> names it)")
    for refusal in converted.refusals:
        console.print(f"  refused: {refusal}")


@app.command()
def train(
    source: Optional[Path] = DATA,
    preset: Optional[str] = PRESET,
    init: Optional[str] = typer.Option(
        None, help="Weights to start from: starter, none, or a file of `weights`. Default: as the preset says."
    ),
    backbone: Optional[str] = typer.Option(
        None, help="mobilenet_v2: in place of the network's own stages; --init names Keras' .h5 file of its weights."
    ),
) -> None:
    """Train, or go on training, and keep the best checkpoint."""
    from pipeline.config import PRESETS
    from pipeline.prepare import prepare
    from pipeline.runs import open_run
    from pipeline.train import train as train_stage

    settings = Settings.from_environment()
    chosen = PRESETS[_preset(preset, source)]()
    if init:
        chosen = replace(chosen, init=None if init == "none" else init)
    if backbone:
        if not init:
            raise typer.BadParameter("name its weights, --init <file>.h5, or --init none", param_hint="--backbone")
        try:
            chosen = chosen.with_backbone(backbone)
        except ValueError as error:
            raise typer.BadParameter(str(error), param_hint="--backbone") from error
    dataset = prepare(source, chosen.name, settings.data)
    console.print(
        f"Training on {dataset.folder}: {dataset.count('train')} photos, evaluating on {dataset.count('eval')}, "
        f"{len(dataset.refusals)} refused{' (`python -m pipeline data` lists them)' if dataset.refusals else ''}"
    )
    _note_missing(dataset)
    drawn = prepare(None, chosen.name, settings.data, mixed_in=True) if source and chosen.drawn_share else None
    run = open_run(settings.runs, dataset, chosen, drawn)
    checkpoint = train_stage(run.dataset, run.preset, run.folder, drawn=run.drawn)
    console.print(f"Best checkpoint: step {checkpoint.step}, NE {checkpoint.ne:.1f} %, in {run.folder}")
    _report(run, checkpoint, again=False)


@app.command()
def report() -> None:
    """Write the report of the latest run, curves, errors and overlays of its best checkpoint, and say where it is."""
    run, checkpoint = _latest_checkpoint()
    _report(run, checkpoint, again=True)


@app.command()
def evaluate(
    source: Path = PHOTOS,
    version: Optional[int] = typer.Option(None, help="A published version. Default: the newest."),
    split: str = typer.Option("all", help="train, val or all: as its subfolders have it, or as training splits it."),
    as_json: bool = typer.Option(False, "--json", help="For programs: one JSON object on standard output."),
) -> None:
    """Say how good a published version is on any annotated photos: overall, by category, by keypoint."""
    from pipeline import card, scoreboard
    from pipeline.console import progress
    from pipeline.dataset.photos import SPLITS, Photos
    from pipeline.evaluate import answers
    from pipeline.scores import score

    if split not in SPLITS:
        raise typer.BadParameter(f"{split!r} is not one of {', '.join(SPLITS)}", param_hint="--split")
    found = ModelStore(Settings.from_environment().models, MODEL_NAME).find(version)
    photos = Photos(source, split)
    made = card.read(found.folder)
    trained_on = made["dataset"]["name"] if made else "unknown photos"
    if as_json:
        scores = score(answers(found.folder, photos.batches(lambda done, total, note="": None)))
        asked = {"version": found.number, "trained_on": trained_on, "data": str(source), "split": split}
        print(json.dumps({**asked, "refused": len(photos.refusals), **scores.as_json()}, indent=1))
        return
    with progress("Evaluating") as on_progress:
        scores = score(answers(found.folder, photos.batches(on_progress)))
    console.print(f"Version {found.number}, trained on {trained_on}: {scores.photos} photos of {source}, split {split}")
    scoreboard.show(scores)
    scoreboard.show_refusals(photos.refusals)


@app.command()
def weights(to: Path = WEIGHTS) -> None:
    """Write the weights of the latest run's best checkpoint, to start other runs from (`train --init`)."""
    from pipeline.weights import save

    _, checkpoint = _latest_checkpoint()
    save(checkpoint, to)
    console.print(f"Wrote the weights of step {checkpoint.step}, NE {checkpoint.ne:.1f} %, to {to}")


@app.command()
def export(
    dry_run: bool = typer.Option(False, help="Stop before the version is published."),
    force: bool = typer.Option(False, help="Publish even when it scores worse than the version published before."),
) -> None:
    """Export the latest run's best checkpoint, prove it, and publish it as a new version."""
    from pipeline.export import export as export_stage
    from pipeline.publish import publish
    from pipeline.validate import show as show_proofs
    from pipeline.validate import validate

    run, checkpoint = _latest_checkpoint()
    store, releases = _store_and_releases()
    with store.stage() as staging:
        console.print(f"Exporting step {checkpoint.step} of {run.folder}")
        candidate = export_stage(checkpoint, run.preset, run.dataset, staging)
        proofs = validate(candidate, store.latest(), run.dataset, force=force)
        show_proofs(proofs)
        if dry_run:
            console.print("Not published, as asked.")
            return
        version = publish(candidate, store, releases)
    console.print(f"Published version {version.number}: {version.folder}")
    if releases.target:
        console.print(f"The running server at {releases.target} has loaded it")
    _warn_of_canary(store)


@app.command()
def versions() -> None:
    """List the published versions: score, labels, age, size, and their state in the running server."""
    from pipeline.versions import show

    show(*_store_and_releases())


@app.command()
def promote(version: int, label: str = LABEL) -> None:
    """Move a label to a version, in a running server too, without a gap."""
    store, releases = _store_and_releases()
    releases.promote(version, label)
    console.print(f"{label} is version {version}")
    _warn_of_canary(store)


@app.command()
def rollback(label: str = LABEL) -> None:
    """Move a label back to the version it was on before; without labels, serve the version before."""
    _, releases = _store_and_releases()
    console.print(f"Back to version {releases.rollback(label)}")


@app.command()
def remove(version: int) -> None:
    """Delete a version that is neither served nor labelled."""
    _, releases = _store_and_releases()
    releases.remove(version)
    console.print(f"Removed version {version}")


@app.command()
def verify(
    target: Optional[str] = typer.Option(None, help="host:port of any server of ours. Default: the running one."),
    rest: bool = typer.Option(False, "--rest", help="The target speaks REST. Default: gRPC."),
    label: Optional[str] = typer.Option(None, help="Ask the version that this label is on."),
) -> None:
    """Replay the golden requests of the version that answers: is it what was trained? Exit code 11 when it is not."""
    from client.api import PredictClient
    from pipeline.golden import Golden, replay

    store, releases = _store_and_releases()
    target = target or releases.target
    if target is None:
        raise ServingError("No server runs here. `make serve` starts one, --target names another.")
    with PredictClient(target, "rest" if rest else "grpc") as client:
        number = client.metadata(label=label).version
        golden = Golden.load(store.folder / str(number))
        largest = replay(golden, client, version=number)
    console.print(f"{target} answers with version {number} what was trained: differences at most {largest:.1g}")


@app.command()
def serve() -> None:
    """Start a server in the background, unless one runs, and wait until the model is available."""
    from pipeline.serving import local

    local.serve(Settings.from_environment())


@app.command()
def demo(to: Optional[Path] = SHEET) -> None:
    """Draw garments that no training saw, ask the running server, and show where it sees their points, in one PNG."""
    from pipeline import demo as stage
    from pipeline.serving import running

    settings = Settings.from_environment()
    target = running.grpc_target(settings)
    if target is None:
        raise ServingError("No server runs here. `make serve` starts one.")
    if to == Path("-"):
        sys.stdout.buffer.write(stage.contact_sheet(target))
        return
    path = to or settings.demo
    stage.write(target, path)
    console.print(f"\nDrawn garments that no training saw, with the points that {target} answers:\n  {path}")


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


def _latest_checkpoint() -> tuple[Run, Checkpoint]:
    """The latest run and its best checkpoint. Raises PipelineError where there is none."""
    from pipeline.hooks import BestCheckpoint
    from pipeline.runs import latest_run

    run = latest_run(Settings.from_environment().runs)
    checkpoint = BestCheckpoint(run.folder).current
    if checkpoint is None:
        raise PipelineError(f"{run.folder}: no checkpoint was evaluated yet. `make train` goes on training.")
    return run, checkpoint


def _report(run: Run, checkpoint: Checkpoint, *, again: bool) -> None:
    """Writes it unless it is there, is younger than the checkpoint, and is not asked for again."""
    from pipeline import report

    page = report.path_of(run.folder)
    if again or not report.is_current(checkpoint):
        page = report.write(checkpoint, run.preset, run.dataset)
    console.print(f"Report: {page}")


def _note_missing(dataset: Dataset) -> None:
    if dataset.missing:
        missing = ", ".join(dataset.missing)
        console.print(f"Note: {dataset.folder.name} has no photo of {missing}, so it does not teach a model these.")


def _store_and_releases() -> tuple[ModelStore, Releases]:
    from pipeline.release import Releases
    from pipeline.serving import running

    settings = Settings.from_environment()
    store = ModelStore(settings.models, MODEL_NAME)
    return store, Releases(store, running.grpc_target(settings))


def _warn_of_canary(store: ModelStore) -> None:
    from pipeline import policy

    labels = policy.read(store).labels
    latest = store.latest()
    if labels and latest and latest.number not in (labels.get("stable"),):
        console.print(
            f"Note: requests without a label go to the highest loaded version, {latest.number}; "
            f"production callers name one ({', '.join(f'{label} is {version}' for label, version in labels.items())})."
        )


def _preset(name: str | None, source: Path | None) -> str:
    from pipeline.config import PRESETS

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
    except (ClientError, OSError) as error:
        print(f"Error: {error}", file=sys.stderr)
        sys.exit(PipelineError.exit_code)
