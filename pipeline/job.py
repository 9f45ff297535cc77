"""The whole job in reading order: from a folder of annotated photos to a published version.

Each stage takes what the one before it made; none of them imports another's room.
"""

from __future__ import annotations

from pathlib import Path

from pipeline.console import console
from pipeline.data.prepare import prepare
from pipeline.release import gate
from pipeline.release.export import export as export_candidate
from pipeline.release.releases import Releases
from pipeline.release.store import ModelStore, Version
from pipeline.settings import Settings
from pipeline.training.checkpoints import Checkpoint
from pipeline.training.presets import Preset
from pipeline.training.runs import Run, open_run
from pipeline.training.train import train as train_run


def train(source: Path | None, preset: Preset, settings: Settings) -> tuple[Run, Checkpoint]:
    """A folder of annotated photos (None: drawn garments) -> TFRecords -> the best checkpoint of a run.

    Raises DataError for photos that cannot be used, TrainingError for a run that cannot go on.
    """
    dataset = prepare(source, settings.data, drawn=preset.drawn)
    refused = f", {len(dataset.refusals)} refused (`python -m pipeline data` lists them)" if dataset.refusals else ""
    console.print(
        f"Training on {dataset.folder}: {dataset.count('train')} photos, evaluating on {dataset.count('eval')}{refused}"
    )
    run = open_run(settings.runs, dataset, preset)
    return run, train_run(run)


def export(
    run: Run, checkpoint: Checkpoint, store: ModelStore, releases: Releases, settings: Settings, *, force: bool
) -> Version:
    """A checkpoint -> a SavedModel in staging -> its proofs -> a published version. It does not answer anybody yet.

    Raises ExportError and its kinds for a candidate that is refused; nothing is published then.
    """
    with store.stage() as staging:
        candidate = export_candidate(checkpoint, run.preset, run.dataset, staging)
        proofs = gate.prove(candidate, releases.serving(), run.dataset, settings.serving_image, force=force)
        gate.show(proofs)
        version = store.publish(candidate.folder)
    console.print(f"Published version {version.number}: {version.folder}")
    return version
