"""The whole job in reading order: from a folder of annotated photos to a version that answers.

Each stage takes what the one before it made.
"""

from __future__ import annotations

from pathlib import Path

from pipeline.console import console
from pipeline.data.prepare import prepare
from pipeline.release import gate, signing
from pipeline.release.export import export as export_candidate
from pipeline.release.releases import Releases
from pipeline.release.store import Version
from pipeline.serving import local, process
from pipeline.serving.local import Served
from pipeline.settings import Settings
from pipeline.training import cluster, together, weights
from pipeline.training.checkpoints import Checkpoint
from pipeline.training.presets import Preset
from pipeline.training.runs import Run, open_run
from pipeline.training.train import train as train_run
from seamline_client.contract import MODEL_NAME


def train(source: Path | None, preset: Preset, settings: Settings) -> tuple[Run, Checkpoint | None]:
    """A folder of annotated photos (None: drawn garments) -> TFRecords -> the best checkpoint of a run.

    On a cluster (TF_CONFIG) only the evaluator has a checkpoint to return. Raises DataError for photos that cannot be
    used, TrainingError for a run that cannot go on.
    """
    task = cluster.from_environment()
    if task:
        return together.train(task, preset, settings.runs, lambda: _open(source, preset, settings))
    run = _open(source, preset, settings)
    return run, train_run(run)


def _open(source: Path | None, preset: Preset, settings: Settings) -> Run:
    if preset.init:
        weights.fingerprint(preset.init)  # what cannot be read is said before thousands of photos are
    dataset = prepare(source, settings.data, drawn=preset.drawn)
    refused = f", {len(dataset.refusals)} refused (`python -m pipeline data` lists them)" if dataset.refusals else ""
    train = dataset.keypoints.counted(dataset.count("train"))
    console.print(f"Training on {dataset.folder}: {train}, evaluating on {dataset.count('eval')}{refused}")
    return open_run(settings.runs, dataset, preset)


def export(
    run: Run,
    checkpoint: Checkpoint,
    releases: Releases,
    settings: Settings,
    *,
    hold: bool = False,
    force: bool = False,
    dry_run: bool = False,
) -> Version | None:
    """A checkpoint -> a SavedModel in staging -> its proofs -> a published version -> what answers.

    With `hold` nobody is answered by it yet; with `dry_run` it ends before anything is published, and returns None.
    Raises ExportError and its kinds for a candidate that is refused; nothing is published then.
    """
    with releases.store.stage() as staging:
        console.print(f"Exporting step {checkpoint.step} of {run.folder}")
        candidate = export_candidate(checkpoint, run.preset, run.dataset, staging)
        console.print("Proving it")
        gate.prove(candidate, releases.serving(), run.dataset, _throw_away_server(settings), force=force)
        version = None if dry_run else releases.publish(candidate.folder)
    change = None
    if version is None:
        console.print("Every proof passed; nothing was published (--dry-run)")
    else:
        console.print(f"Published version {version.number}: {version.folder}")
        if hold:
            console.print(f"Nobody is answered by it yet; `make promote VERSION={version.number}` changes that")
        else:
            change = releases.promote(version.number, what="export", wait=True)
            console.print(str(change))
        for old in releases.prune(settings.keep):
            console.print(f"Retired version {old}: {settings.keep} versions are kept (SEAMLINE_KEEP)")
    if candidate.warning:
        console.print(f"\nWarning: {candidate.warning}", style="bold red")
    if change:
        change.check()
    return version


def serve(releases: Releases, settings: Settings, *, batching: bool = False) -> Served:
    """The version that was promoted last -> a server in the background that answers with it.

    Raises ServingError when nothing was promoted, a port is taken, or the model does not become available; and where
    keys are trusted SignatureError for a version that none of them signed.
    """
    config = releases.config()
    if settings.trusted_keys:
        signing.check_serving(releases, settings.trusted_keys)
    return local.serve(settings, config, batching=batching)


def _throw_away_server(settings: Settings) -> gate.Serve:
    """How a candidate is served for its proof: by the serving image in containers, else by a process."""
    if settings.serving_image:
        from pipeline.serving import sibling

        image = settings.serving_image
        return lambda base: sibling.throw_away(image, base, MODEL_NAME)
    program = process.program(settings.model_server)
    return lambda base: process.throw_away(program, base, MODEL_NAME, base / "server.log")
