"""The report of a run: pictures and numbers of its best checkpoint, in `<run>/report`.

curves.png  sheet.png  categories.png  keypoints.png  report.html
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from pipeline.data.input_fn import eval_input_fn
from pipeline.data.records import reading
from pipeline.evaluation import labels, samples, scoreboard
from pipeline.evaluation.scores import Scores, score
from pipeline.report import bars, curves, page, sheet
from pipeline.training import estimator as estimators
from pipeline.training.checkpoints import Checkpoint
from pipeline.training.runs import Run
from seamline_client.contract import PRED_V, PRED_X_RATIO, PRED_Y_RATIO


def path_of(run: Path) -> Path:
    return run / "report" / "report.html"


def is_current(checkpoint: Checkpoint) -> bool:
    """Whether there is a report on this very checkpoint."""
    page, weights = path_of(checkpoint.run), Path(f"{checkpoint.prefix}.index")
    return page.is_file() and page.stat().st_mtime >= weights.stat().st_mtime


def write(run: Run, checkpoint: Checkpoint) -> Path:
    """Predicts the evaluation photos, writes the report and returns the page's path.

    Raises TrainingError for a checkpoint that cannot be used, DataError for a damaged data set.
    """
    run.check(checkpoint.prefix)
    x, y, v = _predict(run, checkpoint)
    truth = labels.read(run.dataset, "eval")
    found = score([(np.stack([x, y], axis=2), v, truth)], run.dataset.keypoints)
    folder = path_of(run.folder).parent
    folder.mkdir(exist_ok=True)
    curves.draw(run.folder, checkpoint.step, folder / "curves.png")
    bars.draw(found.categories, found.overall.ne, "Error by category", folder / "categories.png")
    bars.draw(found.keypoints, found.overall.ne, "Error by keypoint", folder / "keypoints.png")
    categories = run.dataset.keypoints.category_names
    chosen = sheet.choose([categories[index] for index in truth["category"]], found.photo_ne)
    shown = [
        (sample, sample.predicted(x[sample.index], y[sample.index], v[sample.index]), chosen[sample.index])
        for sample in samples.read(run.dataset)
        if sample.index in chosen
    ]
    sheet.draw(shown, found.photo_ne, folder / "sheet.png")
    return page.write(folder, f"Training run {run.folder.name}", _facts(run, checkpoint, found), run.dataset.keypoints)


def _predict(run: Run, checkpoint: Checkpoint) -> tuple[Any, Any, Any]:
    """The outputs of the contract, each (N, K), for the N evaluation photos."""
    estimator = estimators.build(run.folder, run.preset, run.dataset.keypoints)
    with reading(run.dataset):
        answers = list(estimator.predict(eval_input_fn(run.dataset), checkpoint_path=checkpoint.prefix))
    x, y, v = (np.stack([each[spec.name] for each in answers]) for spec in (PRED_X_RATIO, PRED_Y_RATIO, PRED_V))
    return x, y, v


def _facts(run: Run, checkpoint: Checkpoint, found: Scores) -> dict[str, str]:
    number = scoreboard.number
    seconds = curves.read(run.folder).seconds
    unscored = found.photos - found.scored
    return {
        "NE": f"{number(found.overall.ne, 1)} %",
        "PCK@0.05": number(found.overall.pck_005, 2),
        "PCK@0.1": number(found.overall.pck_01, 2),
        "Visibility recall": number(found.visibility_recall, 2),
        **({} if found.oks is None else {"OKS": number(found.oks, 3)}),
        "Evaluation photos": f"{found.photos}{f', {unscored} without NE' if unscored else ''}",
        "Visible points": str(found.overall.points),
        "Training photos": str(run.dataset.count("train")),
        "Data set": run.dataset.folder.name,
        "Preset": run.preset.name,
        "Batch size": str(run.preset.batch_size),
        "Best at step": f"{checkpoint.step} of {run.preset.steps}",
        "Time": f"{seconds / 60:.0f} min" if seconds >= 120 else f"{seconds:.0f} s",
    }
