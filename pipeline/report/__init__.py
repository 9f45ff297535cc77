"""The report of a run: pictures and numbers of its best checkpoint, in `<run>/report`.

curves.png  sheet.png  categories.png  keypoints.png  report.html
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf

from model.metrics import Labels
from pipeline.data.input_fn import eval_input_fn
from pipeline.data.records import Dataset, parse, reading
from pipeline.errors import TrainingError
from pipeline.evaluation import samples, scoreboard, scores
from pipeline.report import curves, errors, page, sheet
from pipeline.training import checkpoints
from pipeline.training import estimator as estimators
from pipeline.training.hooks import Checkpoint
from pipeline.training.presets import Preset
from seamline_client.answers import Prediction
from seamline_client.contract import PRED_V, PRED_X_RATIO, PRED_Y_RATIO
from seamline_client.keypoints import CATEGORIES

FOLDER = "report"


def path_of(run: Path) -> Path:
    return run / FOLDER / "report.html"


def is_current(checkpoint: Checkpoint) -> bool:
    """Whether a report of this very checkpoint is there."""
    page, weights = path_of(checkpoint.run), Path(f"{checkpoint.prefix}.index")
    return page.is_file() and page.stat().st_mtime >= weights.stat().st_mtime


def write(checkpoint: Checkpoint, preset: Preset, dataset: Dataset) -> Path:
    """Predicts the evaluation photos, writes the report and returns the page's path.

    Raises TrainingError for a checkpoint that cannot be used, DataError for a damaged data set.
    """
    problem = checkpoints.problem(checkpoint.prefix, preset.model)
    if problem:
        raise TrainingError(f"{problem}. Delete {checkpoint.run} to train preset {preset.name} anew.")
    with reading(dataset):
        predictions = _predict(checkpoint, preset, dataset)
        labels = _labels(dataset)
    found = scores.score(_one_batch(predictions, labels))
    folder = path_of(checkpoint.run).parent
    folder.mkdir(exist_ok=True)
    curves.draw(checkpoint.run, checkpoint.step, folder / "curves.png")
    errors.draw(found.categories, found.overall.ne, "Error by category", folder / "categories.png")
    errors.draw(found.keypoints, found.overall.ne, "Error by keypoint", folder / "keypoints.png")
    chosen = sheet.choose([CATEGORIES[index] for index in labels["category"]], found.photo_ne)
    shown = [
        (sample, _prediction(sample, predictions[sample.index]), chosen[sample.index])
        for sample in samples.read(dataset)
        if sample.index in chosen
    ]
    sheet.draw(shown, found.photo_ne, folder / "sheet.png")
    return page.write(folder, f"Training run {checkpoint.run.name}", _facts(checkpoint, preset, dataset, found))


def _predict(checkpoint: Checkpoint, preset: Preset, dataset: Dataset) -> list[dict[str, Any]]:
    """The outputs of the contract for each evaluation photo."""
    estimator = estimators.build(checkpoint.run, preset.model, seed=preset.seed)
    return list(estimator.predict(eval_input_fn(dataset), checkpoint_path=checkpoint.prefix))


def _labels(dataset: Dataset) -> dict[str, Any]:
    examples = [parse(record) for record in tf.data.TFRecordDataset(dataset.shards("eval"))]
    return {name: np.stack([example[name].numpy() for example in examples]) for name in scores.LABELS}


def _one_batch(predictions: list[dict[str, Any]], labels: Labels) -> Iterator[tuple[Any, Any, Labels]]:
    x, y, v = (np.stack([each[spec.name] for each in predictions]) for spec in (PRED_X_RATIO, PRED_Y_RATIO, PRED_V))
    yield np.stack([x, y], axis=2), v, labels


def _prediction(sample: samples.Sample, answer: dict[str, Any]) -> Prediction:
    return samples.predicted(sample, *(answer[spec.name] for spec in (PRED_X_RATIO, PRED_Y_RATIO, PRED_V)))


def _facts(checkpoint: Checkpoint, preset: Preset, dataset: Dataset, found: scores.Scores) -> dict[str, str]:
    number = scoreboard.number
    seconds = curves.read(checkpoint.run).seconds
    return {
        "NE": f"{number(found.overall.ne, 1)} %",
        "PCK@0.05": number(found.overall.pck_005, 2),
        "PCK@0.1": number(found.overall.pck_01, 2),
        "Visibility recall": number(found.visibility_recall, 2),
        "Evaluation photos": f"{found.photos}, {found.photos - found.scored} without NE",
        "Visible points": str(found.overall.points),
        "Training photos": str(dataset.count("train")),
        "Data set": dataset.folder.name,
        "Preset": preset.name,
        "Best at step": f"{checkpoint.step} of {preset.steps}",
        "Time": f"{seconds / 60:.0f} min" if seconds >= 120 else f"{seconds:.0f} s",
    }
