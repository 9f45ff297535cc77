"""Annotations in the FashionAI layout, good and bad."""

from __future__ import annotations

from pathlib import Path

import pytest

from pipeline.data.annotations import HEADER, Source, find_sources, read
from pipeline.errors import DataError
from seamline_client.keypoints import KEYPOINTS

ABSENT = "-1_-1_-1"


def row(image_id: str = "Images/skirt/a.jpg", category: str = "skirt", **cells: str) -> str:
    cells = cells or {"waistband_left": "10_20_1", "waistband_right": "50_20_0"}
    return ",".join([image_id, category, *(cells.get(name, ABSENT) for name in KEYPOINTS)])


def folder_with(tmp_path: Path, *rows: str, header: str = ",".join(HEADER)) -> Source:
    (tmp_path / "Annotations").mkdir()
    (tmp_path / "Annotations" / "all.csv").write_text("\n".join([header, *rows]) + "\n")
    return find_sources(tmp_path)[0]


def test_a_row_becomes_an_annotation(tmp_path: Path) -> None:
    """Points in the order of KEYPOINTS, absent ones at (-1, -1)."""
    (annotation,), refusals = read(folder_with(tmp_path, row()))
    assert not refusals
    assert annotation.category == "skirt"
    assert annotation.image == tmp_path / "Images/skirt/a.jpg"
    assert annotation.points[KEYPOINTS.index("waistband_right")] == (50, 20)
    assert annotation.v[KEYPOINTS.index("waistband_right")] == 0
    assert annotation.points[0] == (-1, -1)


@pytest.mark.parametrize(
    ("bad", "reason"),
    [
        (row(category="hat"), "image_category is 'hat'"),
        (row(waistband_left="10_20"), "waistband_left is '10_20'; expected x_y_v"),
        (row(waistband_left="10_20_7"), "v one of -1, 0, 1"),
        (row(waistband_left="ten_20_1"), "expected x_y_v"),
        (row(waistband_left="nan_20_1"), "expected x_y_v"),
        (row(crotch="10_20_1"), "a skirt has no such point"),
        (row(crotch=ABSENT), "no point is marked"),
        (row("../../etc/passwd"), "outside of the folder"),
        ("Images/skirt/b.jpg,skirt,1_1_1", "expected 26 fields, found 3"),
        (row(), "was annotated before"),
    ],
)
def test_a_bad_row_is_refused_by_file_line_and_reason(tmp_path: Path, bad: str, reason: str) -> None:
    """The good row beside it stays."""
    annotations, (refusal,) = read(folder_with(tmp_path, row(), bad))
    assert len(annotations) == 1
    assert refusal.source == f"{tmp_path}/Annotations/all.csv:3"
    assert reason in refusal.reason


def test_a_wrong_header_names_the_first_column_that_differs(tmp_path: Path) -> None:
    """The message has the file, the column, what was expected and what was found."""
    source = folder_with(tmp_path, row(), header=",".join(HEADER).replace("center_front", "centre"))
    with pytest.raises(DataError, match=r"all.csv: wrong header. Column 5 must be center_front, found centre"):
        read(source)


def test_a_folder_without_annotations_says_what_was_expected(tmp_path: Path) -> None:
    """Missing and empty folders are told apart."""
    with pytest.raises(DataError, match="no such folder"):
        find_sources(tmp_path / "nothing")
    with pytest.raises(DataError, match="no annotations found"):
        find_sources(tmp_path)


def test_train_and_val_subfolders_are_the_split(real_photos: Path) -> None:
    """The real photos come in two folders of that layout, and every row of them can be used."""
    splits = {source.split: read(source) for source in find_sources(real_photos)}
    assert set(splits) == {"train", "eval"}
    assert [len(refusals) for _, refusals in splits.values()] == [0, 0]
