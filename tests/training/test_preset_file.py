"""A preset from a file: what it names is changed, what it cannot mean is refused, and a run keeps what it was."""

from __future__ import annotations

import json
import re
from dataclasses import asdict, replace
from pathlib import Path

import pytest

from pipeline.errors import TrainingError
from pipeline.release import card
from pipeline.training import preset_table
from pipeline.training.preset_file import load, recorded
from pipeline.training.presets import PRESETS, photos
from pipeline.training.runs import latest_run, open_run
from tests.homes import Seamline, TinyRun


def written(folder: Path, text: str, name: str = "mine.toml") -> Path:
    path = folder / name
    path.write_text(text)
    return path


def test_a_file_changes_the_settings_that_it_names(tmp_path: Path) -> None:
    """Numbers, lists, switches, nothing, at the top and in tables; all else is as in its base, and the name its own."""
    found = load(
        written(
            tmp_path,
            """
            base = "photos"
            batch_size = 8
            init = "none"
            patience = 3
            gpus = true
            model.loss.sigma = 2  # a whole number is a number

            [model.optimiser]
            steps = 100

            [model.network]
            widths = [16, 32]

            [augmentation]
            scale = [0.9, 1.1]
            """,
            "my shoes [1].toml",
        )
    )
    base = photos()
    model = replace(
        base.model,
        optimiser=replace(base.model.optimiser, steps=100),
        network=replace(base.model.network, widths=(16, 32)),
        loss=replace(base.model.loss, sigma=2.0),
    )
    augmentation = replace(base.augmentation, scale=(0.9, 1.1))
    assert found == replace(
        base, name="my-shoes-1-", model=model, batch_size=8, init=None, patience=3, gpus=True, augmentation=augmentation
    )
    assert repr(found.model.loss.sigma) == "2.0"  # another spelling is not another run


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("steps =", r"Invalid value \(at"),
        ("batch_size = 8", r"base is missing; expected one of tiny, demo, photos, gpu"),
        ("base = 'huge'", r"base is 'huge'; expected one of tiny, demo"),
        ("base = ['tiny']", r"base is \['tiny'\]; expected one of"),
        ("batchsize = 8", r"batchsize is no setting; at the top there are model, drawn, batch_size, init, .*, gpus"),
        ("name = 'mine'", r"name is no setting"),
        ("model.optimizer.steps = 3", r"model.optimizer is no setting; in model there are optimiser, network, loss$"),
        ("augmentation.flop = 3", r"augmentation.flop is no setting; in augmentation there are flip, rotate"),
        ("model.loss = 3", r"model.loss is 3; expected a table of sigma, occluded"),
        ("seed.first = 3", r"seed is {'first': 3}; expected a whole number from 1"),
        ("batch_size = 0", r"batch_size is 0; expected a whole number from 1"),
        ("batch_size = 8.0", r"batch_size is 8.0; expected a whole number"),
        ("batch_size = true", r"batch_size is True; expected a whole number"),
        ("batch_size = 'none'", r"batch_size is 'none'; expected a whole number from 1$"),
        ("patience = 'long'", r"patience is 'long'; expected a whole number from 1, or \"none\"$"),
        ("gpus = 1", r"gpus is 1; expected true or false"),
        ("init = 3", r"init is 3; expected a string, or \"none\""),
        ("model.optimiser.learning_rate = 'fast'", r"learning_rate is 'fast'; expected a number from 0"),
        ("model.optimiser.learning_rate = nan", r"learning_rate is nan; expected a number"),
        ("model.optimiser.learning_rate = -1e-3", r"learning_rate is -0.001; expected a number from 0"),
        ("model.network.widths = []", r"widths is \[\]; expected a list of whole numbers from 1"),
        ("model.network.widths = [16, 17]", r"channels must be multiples of 16, found 17"),
        ("augmentation.scale = [1.1, 0.9]", r"scale is \[1.1, 0.9\]; expected a list of two numbers above 0, the"),
        ("augmentation.scale = 1", r"scale is 1; expected a list of two"),
    ],
)
def test_what_a_file_cannot_mean_is_refused(tmp_path: Path, text: str, message: str) -> None:
    """One line: the file, the entry, what it is, and what was expected or which entries there are."""
    base = "" if "base" in text + message else "base = 'tiny'\n"
    with pytest.raises(TrainingError, match=message) as refused:
        load(written(tmp_path, base + text))
    assert str(refused.value).startswith(f"{tmp_path / 'mine.toml'}: not a preset: ")
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize("content", [None, b"\xff\xfe"])
def test_a_file_that_cannot_be_read_is_named(tmp_path: Path, content: bytes | None) -> None:
    """Missing, or no text."""
    if content is not None:
        (tmp_path / "mine.toml").write_bytes(content)
    with pytest.raises(TrainingError, match=rf"{tmp_path}/mine.toml: (cannot be read: No such file|not a preset)"):
        load(tmp_path / "mine.toml")


@pytest.mark.parametrize("name", PRESETS)
def test_what_is_recorded_is_the_preset(name: str) -> None:
    """Every field of every preset, through JSON; patience too, which is no part of what a run is."""
    preset = replace(PRESETS[name](), patience=7)
    again = recorded(json.loads(json.dumps(asdict(preset))))
    assert again == preset
    assert again.fingerprint == preset.fingerprint


def test_a_setting_that_came_later_has_its_default() -> None:
    """A run that was recorded before there was an XLA switch, say, is still known."""
    values = asdict(photos())
    del values["seed"], values["model"]["loss"]["absent"]
    assert recorded(values) == photos()


def test_a_run_knows_its_preset_when_the_file_has_changed_or_gone(tiny_run: TinyRun, tmp_path: Path) -> None:
    """Its values are in its record; with other values the same file makes another run."""
    path = written(tmp_path, "base = 'tiny'\nbatch_size = 2\n")
    run = open_run(tmp_path / "runs", tiny_run.dataset, load(path))
    assert "-mine-" in run.folder.name
    written(tmp_path, "base = 'tiny'\nbatch_size = 3\n")
    assert latest_run(tmp_path / "runs") == run
    other = open_run(tmp_path / "runs", tiny_run.dataset, load(path))
    assert other.folder != run.folder
    path.unlink()
    assert latest_run(tmp_path / "runs").preset == other.preset
    assert other.preset.batch_size == 3


def test_the_card_says_what_was_used(tiny_run: TinyRun) -> None:
    """The whole preset, not just its name."""
    (version,) = (tiny_run.home / "models" / "keypoints").glob("[0-9]*")
    made = card.read(version)
    assert made
    assert recorded(made["preset"]) == tiny_run.preset


def test_presets_are_listed_in_the_notation_of_a_file(tmp_path: Path) -> None:
    """Each column, read as a file, is that preset again; the list fits into 80 columns."""
    presets = [make() for make in PRESETS.values()]
    said = list(preset_table.lines(presets))
    assert max(map(len, said)) <= 80
    for column, preset in enumerate(presets, 1):
        rows = [line if line.startswith("[") else re.split(r"  +", line) for line in said[1:]]
        text = "\n".join(row if isinstance(row, str) else f"{row[0]} = {row[column]}" for row in rows)
        found = load(written(tmp_path, f"base = 'tiny'\n{text}", f"{preset.name}.toml"))
        assert found == preset


def test_the_commands_take_a_file(tmp_path: Path) -> None:
    """`--preset` of data and train; a name that is neither a preset nor a file says what there is."""
    seamline = Seamline(tmp_path / "home")
    path = written(tmp_path, "base = 'tiny'\ndrawn = 4\nbatch_sise = 3")
    assert f"{path}: not a preset: batch_sise" in seamline.pipeline("train", "--preset", str(path), code=4)
    assert not seamline.home.exists()
    assert "nor a .toml file" in seamline.pipeline("data", "--preset", "mine", code=2)
    assert "batch_norm_momentum" in seamline.pipeline("presets")
    written(tmp_path, "base = 'tiny'\ndrawn = 30")
    assert "data/records/drawn-30" in seamline.pipeline("data", "--preset", str(path))
