"""Training can be looked at: a report in the run's folder, and pictures in TensorBoard."""

from __future__ import annotations

import io
import math
import os
import resource
from pathlib import Path

import pytest
import tensorflow as tf
from PIL import Image

from pipeline import report
from pipeline.evaluation import samples, scoreboard
from pipeline.evaluation.scores import Score
from pipeline.report import bars, curves, sheet
from pipeline.report.page import put
from seamline_client.keypoints import GARMENTS
from tests.homes import TinyRun


@pytest.fixture(scope="module")
def page(tiny_run: TinyRun) -> Path:
    return report.write(tiny_run.run, tiny_run.best)


def test_the_report_is_five_pictures_and_a_page_that_holds_them(tiny_run: TinyRun, page: Path) -> None:
    """It is in the run's folder; the page names no other file, so that it can be sent to somebody.

    Its numbers, of photos that were predicted anew, are those that the evaluation during training found.
    """
    assert page == tiny_run.best.run / "report" / "report.html"
    pictures = sorted(path.name for path in page.parent.glob("*.png"))
    assert pictures == ["categories.png", "curves.png", "keypoints.png", "reliability.png", "sheet.png"]
    for name in pictures:
        with Image.open(page.parent / name) as picture:
            picture.load()
            assert picture.width > 500
    text = page.read_text()
    assert text.count('src="data:image/') == text.count("src=") == 5
    assert "href" not in text
    metrics = tiny_run.best.metrics
    for fact in (
        f"<dt>NE</dt><dd>{metrics['ne']:.1f} %<",
        f"<dt>PCK@0.1</dt><dd>{metrics['pck@0.1']:.2f}<",
        f"<dt>Preset</dt><dd>{tiny_run.preset.name}<",
        f"<dt>Best at step</dt><dd>{tiny_run.best.step} of {tiny_run.preset.steps}<",
    ):
        assert fact in text


def test_a_disk_that_is_full_leaves_no_part_of_a_page(tmp_path: Path) -> None:
    """`train` would take one that is newer than its checkpoint for the report."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, hard))
    try:
        with pytest.raises(OSError, match="File too large"):
            put(tmp_path / "report.html", "A run", "long " * 1000, {})
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert list(tmp_path.iterdir()) == []


def test_it_is_written_again_only_for_another_checkpoint(tiny_run: TinyRun, page: Path) -> None:
    """`make train` with nothing left to do does not take the time."""
    assert report.is_current(tiny_run.best)
    weights = Path(f"{tiny_run.best.prefix}.index")
    before = weights.stat().st_mtime
    os.utime(weights, (before, page.stat().st_mtime + 10))
    assert not report.is_current(tiny_run.best)
    os.utime(weights, (before, before))


def test_each_evaluation_leaves_pictures_for_tensorboard(tiny_run: TinyRun) -> None:
    """A photo of each category in the evaluation split, at every step that was evaluated, in `<run>/eval`."""
    found: dict[str, list[int]] = {}
    for path in (tiny_run.best.run / "eval").glob("events.*"):
        for event in tf.compat.v1.train.summary_iterator(str(path)):
            for value in event.summary.value:
                if value.HasField("image"):
                    with Image.open(io.BytesIO(value.image.encoded_image_string)) as picture:
                        assert picture.size == (value.image.width, value.image.height)
                    found.setdefault(value.tag, []).append(event.step)
    assert found == {f"truth_and_predicted/{category}": [3, 6] for category in tiny_run.dataset.categories["eval"]}


def test_a_sample_has_the_truth_of_its_photo(tiny_run: TinyRun) -> None:
    """Its index is its place in the evaluation: nothing else tells the answers apart."""
    chosen = samples.one_of_each(tiny_run.dataset)
    assert [sample.category for sample in chosen] == sorted(
        tiny_run.dataset.categories["eval"], key=GARMENTS.category_names.index
    )
    every = list(samples.read(tiny_run.dataset))
    assert [sample.index for sample in every] == list(range(tiny_run.dataset.count("eval")))
    for sample in chosen:
        assert sample.encoded == (tiny_run.photos / sample.image_id).read_bytes()
        assert every[sample.index].image_id == sample.image_id


def test_the_worst_photos_are_among_those_shown() -> None:
    """Of each category; a photo without NE is never shown, and one alone is called the worst."""
    categories = ["skirt"] * 5 + ["dress"] * 2 + ["blouse"]
    assert sheet.choose(categories, [5, 1, 4, 2, 3, math.nan, 9, math.nan]) == {
        0: "the worst",
        3: "a good one",
        4: "in the middle",
        6: "the worst",
    }


def test_curves_are_read_from_a_file_that_was_cut_short(tiny_run: TinyRun, tmp_path: Path) -> None:
    """As that of a run that goes on, or was killed: what is whole is shown."""
    whole = curves.read(tiny_run.best.run / "eval")
    assert sorted(whole.scalars["ne"]) == [3, 6]
    for path in (tiny_run.best.run / "eval").glob("events.*"):
        (tmp_path / path.name).write_bytes(path.read_bytes()[:-20])
    assert 3 in curves.read(tmp_path).scalars["ne"]
    assert curves.read(tmp_path / "nothing").scalars == {}


def test_a_name_without_visible_points_has_no_bar(tmp_path: Path) -> None:
    """Nor does anything else: a report is drawn even when nothing at all could be measured, and never says 0."""
    nothing = Score(0, None, None, None)
    bars.draw({"skirt": nothing, "dress": Score(3, 5.0, 0.5, 1.0)}, 5.0, "Some", tmp_path / "some.png")
    bars.draw({"skirt": nothing}, None, "None", tmp_path / "none.png")
    assert all((tmp_path / name).stat().st_size > 5000 for name in ("some.png", "none.png"))
    assert scoreboard.number(None, 1) == "-"
