"""Annotations in the FashionAI layout, good and bad."""

from __future__ import annotations

import os
from collections.abc import Callable
from itertools import chain
from pathlib import Path

import pytest

from pipeline.data.fashionai import Source, find_sources, passed_over, read
from pipeline.data.fashionai import header as columns
from pipeline.data.sources import read_folder
from pipeline.errors import DataError
from seamline_client.keypoints import GARMENTS

ABSENT = "-1_-1_-1"


def row(image_id: str = "Images/skirt/a.jpg", category: str = "skirt", **cells: str) -> str:
    cells = cells or {"waistband_left": "10_20_1", "waistband_right": "50_20_0"}
    return ",".join([image_id, category, *(cells.get(name, ABSENT) for name in GARMENTS.keypoints)])


HEADER = columns(GARMENTS)


def write(path: Path, *rows: str, header: str = ",".join(HEADER)) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("\n".join([header, *rows]) + "\n")


def folder_with(tmp_path: Path, *rows: str, header: str = ",".join(HEADER)) -> Source:
    write(tmp_path / "Annotations" / "all.csv", *rows, header=header)
    return find_sources(tmp_path)[0]


def test_a_row_becomes_an_annotation(tmp_path: Path) -> None:
    """Points in the order of GARMENTS.keypoints, absent ones at (-1, -1)."""
    found = read(folder_with(tmp_path, row()))
    (annotation,) = found.annotations
    assert not found.refusals
    assert annotation.category == "skirt"
    assert annotation.image == tmp_path / "Images/skirt/a.jpg"
    assert annotation.points[GARMENTS.keypoints.index("waistband_right")] == (50, 20)
    assert annotation.v[GARMENTS.keypoints.index("waistband_right")] == 0
    assert annotation.points[0] == (-1, -1)


@pytest.mark.parametrize(
    ("bad", "reason"),
    [
        (row("b.jpg", category="hat"), "image_category is 'hat'"),
        (row("b.jpg", waistband_left="10_20"), "waistband_left is '10_20'; expected x_y_v"),
        (row("b.jpg", waistband_left="10_20_7"), "v one of -1, 0, 1"),
        (row("b.jpg", waistband_left="ten_20_1"), "expected x_y_v"),
        (row("b.jpg", waistband_left="nan_20_1"), "expected x_y_v"),
        (row("b.jpg", crotch=ABSENT), "no point is marked"),
        (row("../../etc/passwd"), "outside of the folder"),
        (row("..\\..\\etc\\passwd"), "outside of the folder"),
        ("Images/skirt/b.jpg,skirt,1_1_1", "expected 26 fields, found 3"),
    ],
)
def test_a_bad_row_is_refused_by_file_line_and_reason(tmp_path: Path, bad: str, reason: str) -> None:
    """The good row beside it stays."""
    found = read(folder_with(tmp_path, row(), bad))
    (refusal,) = found.refusals
    assert len(found.annotations) == 1
    assert refusal.source == f"{tmp_path}/Annotations/all.csv:3"
    assert reason in refusal.reason


@pytest.mark.parametrize("name", ["Images/skirt/a.jpg", "./Images//skirt/a.jpg", "Images\\skirt\\a.jpg"])
def test_two_rows_of_one_photo_are_both_refused(tmp_path: Path, name: str) -> None:
    """Only a person knows which one is right: each is refused with the places of both. Spelling does not matter."""
    write(tmp_path / "Annotations" / "more.csv", row(name, waistband_left="50_20_1"))
    folder_with(tmp_path, row(), row("Images/skirt/b.jpg"))
    found = read_folder(tmp_path)
    splits, refusals = found.splits, found.refusals
    assert [each.image_id for each in chain(*splits.values())] == ["Images/skirt/b.jpg"]
    assert len(refusals) == 2
    for refusal in refusals:
        assert f"{tmp_path}/Annotations/all.csv:2 and {tmp_path}/Annotations/more.csv:2" in refusal.reason


@pytest.mark.parametrize("link", [os.symlink, os.link])
def test_a_photo_is_not_in_both_splits(tmp_path: Path, link: Callable[[Path, Path], None]) -> None:
    """Nor is it twice in one, by another name that leads to it: a model would be measured on what it was shown."""
    for name in ("train", "val"):
        write(tmp_path / name / "train.csv", row("a.jpg"), row(f"{name}.jpg"))
        (tmp_path / name / f"{name}.jpg").write_bytes(b"")
    (tmp_path / "train" / "a.jpg").write_bytes(b"")
    link(tmp_path / "train" / "a.jpg", tmp_path / "val" / "a.jpg")
    found = read_folder(tmp_path)
    splits, refusals = found.splits, found.refusals
    assert {split: [each.image_id for each in rows] for split, rows in splits.items()} == {
        "train": ["train.jpg"],
        "eval": ["val.jpg"],
    }
    places = f"{tmp_path}/train/train.csv:2 and {tmp_path}/val/train.csv:2"
    assert {refusal.reason for refusal in refusals} == {f"a.jpg has 2 rows: {places}. Keep the right one."}


def test_separators_of_windows_are_understood(tmp_path: Path) -> None:
    """Unless there is a file whose name has backslashes in it."""
    (tmp_path / "back\\slash.jpg").touch()
    found = read(folder_with(tmp_path, row("Images\\skirt\\a.jpg"), row("back\\slash.jpg")))
    assert found.refusals == []
    assert [each.image for each in found.annotations] == [tmp_path / "Images/skirt/a.jpg", tmp_path / "back\\slash.jpg"]


def test_a_wrong_header_names_the_first_column_that_differs(tmp_path: Path) -> None:
    """The message has the file, the column, what was expected and what was found."""
    source = folder_with(tmp_path, row(), header=",".join(HEADER).replace("center_front", "centre"))
    with pytest.raises(DataError, match=r"all.csv: wrong header. Column 5 must be center_front, found centre"):
        read(source)


def test_a_folder_without_annotations_says_what_was_expected(tmp_path: Path) -> None:
    """Missing and empty folders are told apart, and what has val/ without train/ cannot be trained on."""
    with pytest.raises(DataError, match="no such folder"):
        read_folder(tmp_path / "nothing")
    with pytest.raises(DataError, match="no annotations found"):
        read_folder(tmp_path)
    write(tmp_path / "val" / "a.csv", row())
    with pytest.raises(DataError, match="none to train on"):
        read_folder(tmp_path)
    assert len(read_folder(tmp_path, training=False).splits["eval"]) == 1


def test_files_that_are_not_meant_for_training_are_passed_over(tmp_path: Path) -> None:
    """macOS's hidden twin of each file, and a test set that is handed out without its points. They are counted."""
    write(tmp_path / "train" / "Annotations" / "train.csv", row())
    (tmp_path / "train" / "Annotations" / "._train.csv").write_bytes(b"\0\5\26\7\0\2\0\0Mac OS X")
    write(tmp_path / "test" / "test.csv", "Images/skirt/b.jpg,skirt", header="image_id,image_category")
    (source,) = find_sources(tmp_path)
    assert [path.name for path in source.csvs] == ["train.csv"]
    names = [row(f"Images/skirt/{number}.jpg") for number in range(40)]
    write(tmp_path / "train" / "Annotations" / "train.csv", *names)
    assert read_folder(tmp_path).splits["eval"], "nothing is left to evaluate on but a part of train/"
    assert [path.name for path in passed_over(tmp_path)] == ["._train.csv", "test.csv"]
