"""The report of a run: pictures and numbers of its best checkpoint, in `<run>/report`.

curves.png  sheet.png  categories.png  keypoints.png  reliability.png  report.html
"""

from __future__ import annotations

from pathlib import Path

from pipeline.evaluation import answers, samples, scoreboard
from pipeline.evaluation.calibration import Reliability, calibrate
from pipeline.evaluation.scores import Scores, score
from pipeline.report import bars, curves, page, reliability, sheet
from pipeline.training import estimator as estimators
from pipeline.training.checkpoints import Checkpoint
from pipeline.training.runs import Run


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
    keypoints = run.dataset.keypoints
    answered = answers.read(estimators.build(run.folder, run.preset, keypoints), checkpoint.prefix, run.dataset)
    xy, v, truth = answered.xy, answered.v, answered.truth
    found = score([(xy, v, truth)], keypoints)
    _, scores = calibrate(answered, keypoints)
    folder = path_of(run.folder).parent
    folder.mkdir(exist_ok=True)
    curves.draw(run.folder, checkpoint.step, folder / "curves.png")
    bars.draw(found.categories, found.overall.ne, "Error by category", folder / "categories.png")
    bars.draw(found.keypoints, found.overall.ne, "Error by keypoint", folder / "keypoints.png")
    reliability.draw(scores, folder / "reliability.png")
    categories = keypoints.category_names
    chosen = sheet.choose([categories[index] for index in truth["category"]], found.photo_ne)
    shown = [
        (
            sample,
            sample.predicted(xy[sample.index, :, 0], xy[sample.index, :, 1], v[sample.index]),
            chosen[sample.index],
        )
        for sample in samples.read(run.dataset)
        if sample.index in chosen
    ]
    sheet.draw(shown, found.photo_ne, folder / "sheet.png")
    title, facts = f"Training run {run.folder.name}", _facts(run, checkpoint, found, scores)
    return page.write(folder, title, facts, run.dataset.keypoints)


def _facts(run: Run, checkpoint: Checkpoint, found: Scores, scores: Reliability) -> dict[str, str]:
    number = scoreboard.number
    seconds = curves.read(run.folder).seconds
    unscored = found.photos - found.scored
    return {
        "NE": f"{number(found.overall.ne, 1)} %",
        "PCK@0.05": number(found.overall.pck_005, 2),
        "PCK@0.1": number(found.overall.pck_01, 2),
        "Visibility recall": number(found.visibility_recall, 2),
        **({} if found.oks is None else {"OKS": number(found.oks, 3)}),
        "ECE of scores": number(scores.ece, 3),
        "Evaluation photos": f"{found.photos}{f', {unscored} without NE' if unscored else ''}",
        "Visible points": str(found.overall.points),
        "Training photos": str(run.dataset.count("train")),
        "Data set": run.dataset.folder.name,
        "Preset": run.preset.name,
        "Batch size": str(run.preset.batch_size),
        "Best at step": f"{checkpoint.step} of {run.preset.steps}",
        "Time": f"{seconds / 60:.0f} min" if seconds >= 120 else f"{seconds:.0f} s",
    }
