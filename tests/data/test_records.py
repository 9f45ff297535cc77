"""Data sets on disk: checked, whole or absent, made again only when the source has changed."""

from __future__ import annotations

import io
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tensorflow as tf
from PIL import ExifTags, Image

from pipeline.data import records
from pipeline.data.fashionai import find_sources, header, read
from pipeline.data.folders import new_folder
from pipeline.data.prepare import prepare as prepare_stage
from pipeline.data.split import crop_name, split_of
from pipeline.errors import DataError
from seamline_client.keypoints import GARMENTS


def silent(done: int, total: int, note: str = "") -> None:
    """No progress is shown."""


@pytest.fixture
def photos(garments_folder: Path, tmp_path: Path) -> Path:
    """A copy that a test may spoil."""
    return Path(shutil.copytree(garments_folder, tmp_path / "photos"))


def prepare(photos: Path, tmp_path: Path, *, strict: bool = False) -> records.Dataset:
    return records.prepare(photos, tmp_path / "out" / "set", silent, strict=strict)


def files(photos: Path) -> list[Path]:
    return sorted(photos.glob("Images/*/*.jpg"))


def keep_rows(photos: Path, wanted: Callable[[list[str]], Any]) -> None:
    """Changes the CSV: `wanted` has the fields of a row, and may change them."""
    (csv,) = photos.glob("Annotations/*.csv")
    header, *rows = (line.split(",") for line in csv.read_text().splitlines())
    csv.write_text("".join(",".join(row) + "\n" for row in [header, *filter(wanted, rows)]))


def examples(dataset: records.Dataset) -> dict[str, Any]:
    """All that is in the records, by the file's name."""
    found = [dataset.parse(r) for split in dataset.categories for r in tf.data.TFRecordDataset(dataset.shards(split))]
    return {Path(each["image_id"].numpy().decode()).name: each for each in found}


def test_records_keep_the_photos_bytes_and_ratios(photos: Path, tmp_path: Path) -> None:
    """What is read back is the file on disk, and its points as fractions of its size."""
    dataset = prepare(photos, tmp_path)
    assert dataset.count("train") + dataset.count("eval") == 40
    assert dataset.folder.stat().st_mode & 0o777 == 0o755, "a container's user is another one"
    (source,) = find_sources(photos)
    found = examples(dataset)
    for annotation in read(source).annotations:
        example = found[annotation.image.name]
        assert example["image"].numpy() == annotation.image.read_bytes()
        assert GARMENTS.category_names[int(example["category"])] == annotation.category
        assert example["v"].numpy().tolist() == [v + 1 for v in annotation.v]
        marked = np.array(annotation.v) >= 0
        with Image.open(annotation.image) as image:
            assert tuple(example["size"].numpy()) == image.size
            points = example["xy"].numpy()[marked] * image.size
        assert points == pytest.approx(np.array(annotation.points)[marked], abs=1e-3)


def test_a_data_set_is_made_again_only_when_its_source_changes(photos: Path, tmp_path: Path) -> None:
    """The same photos: the same fingerprint, and nothing is written. One row less: another fingerprint."""
    first = prepare(photos, tmp_path)
    written = [Path(shard).stat().st_mtime_ns for shard in first.shards("train")]
    again = prepare(photos, tmp_path)
    assert again == first
    assert [Path(shard).stat().st_mtime_ns for shard in again.shards("train")] == written
    keep_rows(photos, lambda row: "000039" not in row[0])
    assert prepare(photos, tmp_path).fingerprint != first.fingerprint


def test_a_data_set_of_another_version_is_made_again(photos: Path, tmp_path: Path) -> None:
    """Whatever is in it: only one of this very source is read. One that nobody can read is named."""
    first = prepare(photos, tmp_path)
    index = first.folder / "dataset.json"
    index.write_text(json.dumps({"stamp": "of another version"}))
    assert prepare(photos, tmp_path) == first
    index.write_text("{")
    with pytest.raises(DataError, match="damaged"):
        prepare(photos, tmp_path)


def test_a_photo_that_is_replaced_or_deleted_is_noticed(photos: Path, tmp_path: Path) -> None:
    """Wherever it is and whatever links lead there: what is compared is what is read."""
    store = photos.rename(tmp_path / "store")
    shutil.copytree(store / "Annotations", photos / "Annotations")
    for file in files(store):
        link = photos / file.relative_to(store)
        link.parent.mkdir(parents=True, exist_ok=True)
        link.symlink_to(file)
    first = prepare(photos, tmp_path)
    file = files(store)[0]
    with Image.open(file) as image:
        image.transpose(Image.Transpose.FLIP_TOP_BOTTOM).save(file, quality=95)
    assert prepare(photos, tmp_path).fingerprint != first.fingerprint
    file.unlink()
    assert [refusal.reason.rpartition(": ")[2] for refusal in prepare(photos, tmp_path).refusals] == ["no such file"]


def test_photos_are_trained_on_as_people_see_them(photos: Path, tmp_path: Path) -> None:
    """A photo that lies on its side is turned as its EXIF says. What is transparent is white, as the client makes it.
    A phone's JPEG with a second picture behind it, which Pillow calls MPO, stays as it is. One whose EXIF is damaged,
    so that Pillow fails with an error of the module struct, is refused alone."""
    lying, cut_out, phone, damaged = files(photos)[:4]
    opened = {file: Image.open(io.BytesIO(file.read_bytes())) for file in files(photos)[:4]}
    sizes = {file.name: image.size for file, image in opened.items()}
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation], exif[ExifTags.Base.Make] = 6, "maker"
    opened[lying].transpose(Image.Transpose.ROTATE_90).save(lying, exif=exif, quality=95)
    Image.new("RGBA", opened[cut_out].size, (0, 0, 0, 0)).save(cut_out, "PNG")
    opened[phone].save(phone, "MPO", save_all=True, append_images=[Image.new("RGB", (8, 8))], quality=95)
    opened[damaged].save(damaged, exif=exif)
    damaged.write_bytes(damaged.read_bytes().replace(b"\x01\x0f\x00\x02", b"\x01\x00\x00\x02", 1))
    dataset = prepare(photos, tmp_path)
    found = examples(dataset)
    assert [str(refusal).split(": ")[1:3] for refusal in dataset.refusals] == [[str(damaged), "cannot be used"]]
    for file in (lying, cut_out, phone):
        assert tuple(found[file.name]["size"].numpy()) == sizes[file.name]
    assert tuple(tf.io.decode_jpeg(found[lying.name]["image"]).shape[:2]) == sizes[lying.name][::-1]
    assert tf.io.decode_image(found[cut_out.name]["image"]).numpy().min() == 255
    assert found[phone.name]["image"].numpy() == phone.read_bytes()


def test_broken_photos_are_refused_and_the_rest_is_used(photos: Path, tmp_path: Path) -> None:
    """Missing, cut short, not an image, a point outside: each refusal names the file and the reason."""
    images = files(photos)
    images[0].unlink()
    images[1].write_bytes(images[1].read_bytes()[:3000])
    images[2].write_bytes(b"not an image")
    Image.new("RGB", (10, 10)).save(images[3])
    dataset = prepare(photos, tmp_path)
    reasons = {refusal.reason for refusal in dataset.refusals}
    assert len(reasons) == 4
    for image, reason in zip(images, ("no such file", "cannot be used", "cannot be used", "lies outside")):
        assert any(reason in found and (str(image) in found or "outside" in reason) for found in reasons)
    assert dataset.count("train") + dataset.count("eval") == 36
    with pytest.raises(DataError, match="--strict"):
        prepare(photos, tmp_path, strict=True)


def test_a_shard_that_is_cut_between_two_records_is_named(photos: Path, tmp_path: Path) -> None:
    """TensorFlow reads it as a whole one with fewer records."""
    shard = Path(prepare(photos, tmp_path).shards("train")[1])
    first = next(iter(tf.data.TFRecordDataset(str(shard)))).numpy()
    shard.write_bytes(shard.read_bytes()[: len(first) + 16])
    with pytest.raises(DataError, match=rf"{shard.name} has .* bytes, .* were written.*Delete"):
        prepare(photos, tmp_path)


def set_cells(row: list[str], value: str, *columns: str) -> bool:
    """For `keep_rows`, which then keeps the row."""
    for column in columns:
        row[header(GARMENTS).index(column)] = value
    return True


ENDS = [f"{name}_{side}" for name in ("armpit", "waistband") for side in ("left", "right")]


@pytest.mark.parametrize(
    ("wanted", "message"),
    [
        (lambda row: False, r"no photo to train on, of 0 row\(s\)"),
        (lambda row: "000003" in row[0], r"no photo to evaluate on, of 1 row\(s\).*one photo in ten is held out.*val/"),
        (lambda row: set_cells(row, "-1_-1_-1", *ENDS), "NE cannot be measured.*skirt: waistband_left and"),
        (
            lambda row: set_cells(
                row, "20_20_0", *(name for name, cell in zip(header(GARMENTS), row) if cell.endswith("_1"))
            ),
            "NE cannot be measured.*No photo of the evaluation split has a visible point",
        ),
        (
            lambda row: row[1] != "skirt" or set_cells(row, f"Images/no{row[0][-8:]}", "image_id"),
            r"8 row\(s\) name the category skirt.*8 refused \(the first: .*no such file\), 0 in the evaluation split",
        ),
    ],
    ids=["no photo", "one photo", "hems alone", "nothing visible", "no photo of a category"],
)
def test_photos_that_are_too_few_are_told_as_such(photos: Path, tmp_path: Path, wanted: Any, message: str) -> None:
    """Before training: what there is, what is missing, and what to do. No half-written data set remains."""
    keep_rows(photos, wanted)
    with pytest.raises(DataError, match=message):
        prepare(photos, tmp_path)
    assert [path.name for path in (tmp_path / "out").iterdir()] == [".set.lock"]


def test_points_of_two_kinds_are_kept_and_counted(photos: Path, tmp_path: Path) -> None:
    """A skirt with a crotch is trained on as it is annotated, and training says how many there are."""
    keep_rows(photos, lambda row: row[1] != "skirt" or set_cells(row, "20_30_1", "crotch"))
    dataset = prepare(photos, tmp_path)
    assert dataset.refusals == ()
    assert records.load(dataset.folder) == dataset
    (note,) = dataset.notes
    assert note.endswith("nothing of their category has, and trained on as they are: 8 garments.")
    skirt = GARMENTS.category_names.index("skirt")
    examples_of_skirts = [each for each in examples(dataset).values() if int(each["category"]) == skirt]
    assert {int(each["v"][GARMENTS.index["crotch"]]) for each in examples_of_skirts} == {2}


def test_a_category_that_is_absent_is_told_and_strictly_refused(photos: Path, tmp_path: Path) -> None:
    """Somebody who has no dresses can train; with --strict it is an error."""
    keep_rows(photos, lambda row: row[1] != "dress")
    assert prepare(photos, tmp_path).missing == ("dress",)
    with pytest.raises(DataError, match="no photo of dress, and --strict"):
        prepare(photos, tmp_path, strict=True)


@pytest.mark.parametrize("name", ["photos [2024]", "a*b?", "[red]x", "new\nline", "été", "{a,b}"])
def test_any_name_of_a_folder_will_do(
    garments_folder: Path, tmp_path: Path, name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """It is neither a pattern nor markup, in the source or in SEAMLINE_HOME; so it is with the names of photos."""
    source = Path(shutil.copytree(garments_folder, tmp_path / name))
    keep_rows(source, lambda row: row.__setitem__(0, row[0].replace("drawn", "[x]drawn*")) or True)
    for file in files(source):
        file.rename(file.with_name(file.name.replace("drawn", "[x]drawn*")))
    (source / "Annotations" / "._[red].csv").touch()
    dataset = prepare_stage(source, tmp_path / f"home {name}", drawn=0)
    assert dataset.refusals == ()
    assert len(examples(dataset)) == 40
    assert "._[red].csv" in capsys.readouterr().out


def test_the_split_depends_on_the_name_alone() -> None:
    """About one photo in ten is for evaluation, always the same ones; crops of a photo follow it together."""
    names = [f"Images/skirt/{i}.jpg" for i in range(5000)]
    assert 0.08 < sum(split_of(name) == "eval" for name in names) / 5000 < 0.12
    for photo in ("a-b", "p7-2", "été"):
        crops = [
            f"Images/{each}/{crop_name(photo, number)}.jpg" for each in GARMENTS.category_names for number in (0, 1, 12)
        ]
        assert len({split_of(crop) for crop in crops}) == 1


def test_a_data_set_stays_what_it_is_while_it_is_read(photos: Path, tmp_path: Path) -> None:
    """Who would write other photos in its place is told so, and is let once nobody reads it; who reads on is told."""
    made = prepare(photos, tmp_path)
    files(photos)[0].unlink()
    with records.reading(made):
        with pytest.raises(DataError, match=r"set: another command reads or writes .* and .*photos is to replace it"):
            prepare(photos, tmp_path)
        assert records.load(made.folder) == made
    assert prepare(photos, tmp_path) != made
    with pytest.raises(DataError, match="holds other photos now"), records.reading(made):
        pass


def test_what_a_killed_process_left_beside_a_folder_goes_with_the_next(tmp_path: Path) -> None:
    """But for what is being made just now, and for what is not ours."""
    left, other = tmp_path / ".set.partial-0123abcd", tmp_path / ".set-of-mine"
    left.mkdir()
    other.mkdir()
    with new_folder(tmp_path / "set") as first:
        assert {*tmp_path.iterdir()} == {first, other}
        with new_folder(tmp_path / "set"):
            assert first.is_dir()
