"""A published version on any annotated photos."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from typer.testing import CliRunner

from model.metrics import NE
from pipeline.cli import app
from pipeline.data.photos import Photos
from pipeline.errors import DataError, ExportError, PipelineError
from pipeline.evaluation.saved_model import evaluate, load
from pipeline.release.store import ModelStore
from seamline_client.contract import MODEL_NAME
from tests.homes import TinyRun


@pytest.fixture
def store(tiny_run: TinyRun) -> ModelStore:
    """With version 1 of the tiny run."""
    return ModelStore(tiny_run.home / "models", MODEL_NAME)


@pytest.fixture(autouse=True)
def home(tiny_run: TinyRun, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SEAMLINE_HOME", str(tiny_run.home))


def asked(*arguments: str) -> str:
    """What `python -m pipeline evaluate` prints. Raises what it would end with."""
    done = CliRunner().invoke(app, ["evaluate", *arguments])
    if done.exception:
        raise done.exception
    return done.stdout


def test_the_evaluation_photos_score_in_a_folder_what_they_score_in_the_data_set(
    tiny_run: TinyRun, store: ModelStore
) -> None:
    """`--split val` of a folder without val/ is the split that training makes of it, read straight from the files."""
    found = json.loads(asked("--data", str(tiny_run.photos), "--split", "val", "--json"))
    version = store.find(None)
    expected = evaluate(version.folder, tiny_run.dataset)
    assert found["overall"]["ne"] == pytest.approx(expected[NE], rel=1e-5)
    assert found["visibility_recall"] == pytest.approx(expected["visibility_recall"])
    assert (found["version"], found["photos"], found["refused"]) == (1, tiny_run.dataset.count("eval"), 0)
    assert set(found["keypoints"]) > {"crotch", "armpit_left"}


def test_tables_for_people(tiny_run: TinyRun, store: ModelStore) -> None:
    """All photos unless told otherwise: overall, by category, by keypoint."""
    said = asked("--data", str(tiny_run.photos))
    assert "Version 1, trained on drawn-40: 40 photos" in said
    for word in ("overall", "NE %", "PCK@0.05", "balanced visibility recall", "trousers", "cuff_left_in"):
        assert word in said


def test_photos_that_cannot_be_used_are_counted_and_named(tiny_run: TinyRun, store: ModelStore, tmp_path: Path) -> None:
    """A folder with val/ alone, two photos in it, one of which is missing."""
    (csv,) = (tiny_run.photos / "Annotations").glob("*.csv")
    lines = csv.read_text().splitlines()[:3]
    (tmp_path / "val" / "Annotations").mkdir(parents=True)
    (tmp_path / "val" / "Annotations" / "val.csv").write_text("\n".join(lines) + "\n")
    image = lines[1].split(",")[0]
    (tmp_path / "val" / image).parent.mkdir(parents=True)
    (tmp_path / "val" / image).write_bytes((tiny_run.photos / image).read_bytes())
    said = asked("--data", str(tmp_path))
    assert "trained on drawn-40: 1 photos" in said
    assert "1 row(s) or photo(s) skipped" in said
    assert "val.csv:3" in said
    with pytest.raises(DataError, match="no photo of split train"):
        Photos(tmp_path, "train")
    (tmp_path / "val" / image).unlink()
    with pytest.raises(DataError, match="none of its photos can be used") as refused:
        asked("--data", str(tmp_path))
    assert refused.value.exit_code == 3


def test_a_version_or_a_folder_that_is_not_there(tiny_run: TinyRun, store: ModelStore, tmp_path: Path) -> None:
    """Each is named, and what there is instead."""
    with pytest.raises(PipelineError, match=r"No version 7 in .*; there are 1"):
        asked("--data", str(tiny_run.photos), "--version", "7")
    with pytest.raises(DataError, match="no such folder"):
        asked("--data", str(tmp_path / "nothing"))
    with pytest.raises(PipelineError, match="No version is published"):
        ModelStore(tmp_path, MODEL_NAME).find(None)


@pytest.mark.parametrize("name", ["variables/variables.data-00000-of-00001", "variables/variables.index"])
@pytest.mark.parametrize("damage", ["absent", "cut", "changed"])
def test_a_version_that_is_damaged(store: ModelStore, tmp_path: Path, name: str, damage: str) -> None:
    """Is named in one line, whatever TensorFlow makes of it."""
    version = Path(shutil.copytree(store.find(None).folder, tmp_path / "1"))
    file = version / name
    whole = file.read_bytes()
    file.write_bytes(whole[: len(whole) // 2] if damage == "cut" else whole[:64] + b"\xff" * 8 + whole[72:])
    if damage == "absent":
        file.unlink()
    with pytest.raises(ExportError, match=rf"^{version}: cannot be loaded: \S[^\n]*$"):
        load(version)
