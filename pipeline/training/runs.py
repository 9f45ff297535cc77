"""The folder of a training run: what it is made from, and which run is the latest."""

from __future__ import annotations

import hashlib
import json
import os
from dataclasses import asdict, dataclass
from pathlib import Path

from pipeline.atomic import write_atomically
from pipeline.data.records import Dataset, load
from pipeline.errors import PipelineError, TrainingError
from pipeline.training import weights
from pipeline.training.checkpoints import problem
from pipeline.training.preset_file import recorded
from pipeline.training.presets import Preset

_RECORD = "run.json"
_LATEST = "latest"


@dataclass(frozen=True)
class Run:
    """A data set and a preset, and the folder where training on them happens."""

    folder: Path
    dataset: Dataset
    preset: Preset

    def check(self, prefix: str) -> None:
        """Raises TrainingError for a checkpoint that is damaged or not of the preset's network."""
        found = problem(prefix, self.preset.model, self.dataset.keypoints)
        if found:
            raise TrainingError(f"{found}. Delete {self.folder} to train preset {self.preset.name} anew.")


def open_run(runs: Path, dataset: Dataset, preset: Preset) -> Run:
    """The run of this data set and preset, which becomes the latest.

    Other photos, other settings or other weights to start from are another run, in a folder of its own.
    Raises TrainingError when the weights to start from cannot be read.
    """
    settings = preset.fingerprint
    if preset.init:
        settings = hashlib.sha256(f"{settings} {weights.fingerprint(preset.init)}".encode()).hexdigest()
    folder = runs / f"{dataset.folder.name}-{preset.name}-{dataset.fingerprint[:6]}{settings[:6]}"
    folder.mkdir(parents=True, exist_ok=True)
    record = {
        # From the home that both are in, which people move.
        "dataset": os.path.relpath(dataset.folder, runs.parent),
        "data": dataset.fingerprint,
        "preset": asdict(preset),
    }
    write_atomically(folder / _RECORD, json.dumps(record, indent=1))
    write_atomically(runs / _LATEST, folder.name)
    return Run(folder, dataset, preset)


def latest_run(runs: Path) -> Run:
    """The run that was opened last.

    Its preset is the one that was recorded, whatever became of the file or the function that it came from. Raises
    PipelineError when there is none, when its record or its data set is not what it was, and DataError when its data
    set is damaged.
    """
    latest = runs / _LATEST
    if not latest.is_file():
        raise PipelineError(f"{runs}: no training run found. `make train` makes one.")
    folder = runs / latest.read_text(errors="replace").strip()
    if folder == runs or not folder.is_dir():
        raise PipelineError(
            f"{latest}: it names the run {folder.name!r}, which is gone. `make train` starts a new one."
        )
    return read_run(folder)


def read_run(folder: Path) -> Run:
    """The run that was opened in this folder. Raises as `latest_run` does."""
    runs = folder.parent
    try:
        record = json.loads((folder / _RECORD).read_text())
        data, fingerprint = Path(os.path.normpath(runs.parent / record["dataset"])), record["data"]
        preset = recorded(record["preset"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise PipelineError(
            f"{folder / _RECORD}: damaged ({error}). `make train` with the same photos and options writes it again."
        ) from error
    if not data.is_dir():
        raise PipelineError(f"{folder}: its data set {data} is gone. `make train` with the same photos makes it again.")
    dataset = load(data)
    if dataset.fingerprint != fingerprint:
        raise PipelineError(
            f"{data}: now holds other photos than those {folder} was trained on. `make train` with the same photos as "
            f"then goes on with that run; with others it starts a new one."
        )
    return Run(folder, dataset, preset)
