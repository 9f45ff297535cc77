"""The folder of a training run: what it was made from, and which one is the latest."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from pathlib import Path

from pipeline.atomic import write_atomically
from pipeline.data.records import Dataset, load
from pipeline.errors import PipelineError
from pipeline.training.presets import PRESETS, Preset

_RECORD = "run.json"
_LATEST = "latest"


@dataclass(frozen=True)
class Run:
    """A data set and a preset, and the folder where training on them happens. `drawn` is mixed into training."""

    folder: Path
    dataset: Dataset
    preset: Preset
    drawn: Dataset | None = None


def open_run(runs: Path, dataset: Dataset, preset: Preset, drawn: Dataset | None = None) -> Run:
    """The run of this data set and preset. Other data or other settings are another run, in a folder of its own."""
    identity = f"{dataset.fingerprint[:6]}{preset.fingerprint[:6]}"
    folder = runs / f"{dataset.folder.name}-{preset.name}-{identity}"
    folder.mkdir(parents=True, exist_ok=True)
    record = {
        "dataset": str(dataset.folder.resolve()),
        "data": dataset.fingerprint,
        "preset": preset.name,
        "init": preset.init,
        "backbone": preset.model.network.backbone,
        "settings": preset.fingerprint,
    }
    write_atomically(folder / _RECORD, json.dumps(record, indent=1))
    write_atomically(runs / _LATEST, folder.name)
    return Run(folder, dataset, preset, drawn)


def latest_run(runs: Path) -> Run:
    """The run that was opened last. Raises PipelineError when there is none or it cannot be continued."""
    try:
        folder = runs / (runs / _LATEST).read_text().strip()
        record = json.loads((folder / _RECORD).read_text())
        fingerprint = record["data"]
        preset = replace(PRESETS[record["preset"]](), init=record["init"]).with_backbone(record["backbone"])
    except (OSError, ValueError, KeyError) as error:
        raise PipelineError(f"{runs}: no training run found. `make train` makes one.") from error
    if preset.fingerprint != record["settings"]:
        raise PipelineError(
            f"{folder}: preset {preset.name} was changed since this run; `make train` starts a new one."
        )
    dataset = load(Path(record["dataset"]))
    if dataset.fingerprint != fingerprint:
        raise PipelineError(
            f"{dataset.folder}: holds other photos than {folder} was trained on; `make train` with the photos of then "
            f"makes it again, with others it starts a new run."
        )
    return Run(folder, dataset, preset)
