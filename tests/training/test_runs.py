"""A run is its data, its settings and its first weights; the latest is found again, or a message says why not."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from pipeline.errors import DataError, PipelineError
from pipeline.training.presets import choose, tiny
from pipeline.training.runs import latest_run, open_run
from tests.homes import TinyRun


def test_options_override_a_preset() -> None:
    """Steps, batch size and weights; the warm-up keeps its share of the steps, and everything else stays."""
    chosen = choose("demo", steps=300, batch=2, init="none")
    assert (chosen.steps, chosen.batch_size, chosen.init) == (300, 2, None)
    assert chosen.model.optimiser.warmup_steps == 60
    assert choose("demo", steps=150, batch=16, init="starter") == choose("demo")
    assert choose("tiny", init="a.npz").init == "a.npz"


def test_every_option_makes_another_run_which_is_found_again(tiny_run: TinyRun, tmp_path: Path) -> None:
    """The same options are the same run; so are the same weights, but not a file that was written anew."""
    weights = tmp_path / "weights.npz"
    weights.write_bytes(b"some")
    folders = set()
    for steps, batch, init in (
        (None, None, None),
        (9, None, None),
        (None, 2, None),
        (None, None, str(weights)),
        (None, None, "starter"),
        (9, 2, None),
    ):
        preset = choose("tiny", steps=steps, batch=batch, init=init)
        run = open_run(tmp_path, tiny_run.dataset, preset)
        assert open_run(tmp_path, tiny_run.dataset, preset) == run == latest_run(tmp_path)
        folders.add(run.folder)
    assert len(folders) == 6
    weights.write_bytes(b"others")
    assert open_run(tmp_path, tiny_run.dataset, choose("tiny", init=str(weights))).folder not in folders
    assert tiny_run.run.folder.name in {folder.name for folder in folders}


def test_a_home_that_was_moved_still_knows_its_latest_run(tiny_run: TinyRun, tmp_path: Path) -> None:
    """The project's folder under another name, and a data set that is a link to another disk."""
    home, moved = tmp_path / "home", tmp_path / "moved"
    (home / "data").mkdir(parents=True)
    (home / "data" / "set").symlink_to(tiny_run.dataset.folder.resolve())
    run = open_run(home / "runs", replace(tiny_run.dataset, folder=home / "data" / "set"), tiny())
    home.rename(moved)
    found = latest_run(moved / "runs")
    assert found.folder == moved / "runs" / run.folder.name
    assert found.dataset.folder == moved / "data" / "set"
    assert found.dataset.fingerprint == run.dataset.fingerprint


def in_record(**changes: object) -> Callable[[Path], object]:
    def change(folder: Path) -> None:
        record = json.loads((folder / "run.json").read_text())
        (folder / "run.json").write_text(json.dumps({**record, **changes}))

    return change


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda folder: (folder.parent / "latest").unlink(), r"no training run found. `make train` makes one"),
        (lambda folder: shutil.rmtree(folder), r"it names the run .*, which is gone. `make train` starts a new one"),
        (lambda folder: (folder.parent / "latest").write_text(""), r"which is gone"),
        (lambda folder: (folder / "run.json").unlink(), r"run.json: damaged .*No such file.*writes it again"),
        (lambda folder: (folder / "run.json").write_text('{"data'), r"run.json: damaged .*writes it again"),
        (lambda folder: (folder / "run.json").write_text("[]"), r"run.json: damaged"),
        (in_record(preset="tiny"), r"run.json: damaged"),
        (in_record(preset={"name": "tiny", "seed": "many"}), r"run.json: damaged \(seed is 'many'; expected"),
        (in_record(dataset="/nowhere"), r"its data set /nowhere is gone. `make train` with the same photos"),
        (in_record(data="others"), r"now holds other photos than those .* was trained on"),
    ],
)
def test_each_kind_of_damage_has_a_message_of_its_own(
    tiny_run: TinyRun, tmp_path: Path, damage: Callable[[Path], Any], message: str
) -> None:
    """What is wrong, where, and what to do."""
    damage(open_run(tmp_path, tiny_run.dataset, tiny()).folder)
    with pytest.raises(PipelineError, match=message):
        latest_run(tmp_path)


def test_a_damaged_data_set_of_the_latest_run_is_named(tiny_run: TinyRun, tmp_path: Path) -> None:
    """A shard that is gone."""
    copy = replace(tiny_run.dataset, folder=Path(shutil.copytree(tiny_run.dataset.folder, tmp_path / "set")))
    open_run(tmp_path, copy, tiny())
    next(copy.folder.glob("train-*")).unlink()
    with pytest.raises(DataError, match=rf"{copy.folder}/dataset.json: damaged.*Delete {copy.folder}"):
        latest_run(tmp_path)
