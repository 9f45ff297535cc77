"""Data sets on disk: checked, whole or absent, made again only when the source has changed."""

from __future__ import annotations

import io
import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from model.receivers import decode_image
from pipeline.data import checks, records
from pipeline.data.annotations import HEADER, Annotation, find_sources, read
from pipeline.data.prepare import prepare as prepare_stage
from pipeline.data.split import crop_name, split_of
from pipeline.errors import DataError
from seamline_client.keypoints import CATEGORIES


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
    found = [records.parse(r) for split in dataset.categories for r in tf.data.TFRecordDataset(dataset.shards(split))]
    return {Path(each["image_id"].numpy().decode()).name: each for each in found}


def test_records_keep_the_photos_bytes_and_ratios(photos: Path, tmp_path: Path) -> None:
    """What is read back is the file on disk, and its points as fractions of its size."""
    dataset = prepare(photos, tmp_path)
    assert dataset.count("train") + dataset.count("eval") == 40
    (source,) = find_sources(photos)
    found = examples(dataset)
    for annotation in read(source)[0]:
        example = found[annotation.image.name]
        assert example["image"].numpy() == annotation.image.read_bytes()
        assert CATEGORIES[int(example["category"])] == annotation.category
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


@pytest.mark.parametrize("where", ["link to the folder", "link to each file", "another folder than Images"])
def test_a_photo_that_is_replaced_or_deleted_is_noticed(photos: Path, tmp_path: Path, where: str) -> None:
    """Wherever it is: what is compared is what is read."""
    store = photos.rename(tmp_path / "store")
    photos.mkdir()
    shutil.copytree(store / "Annotations", photos / "Annotations")
    if where == "link to the folder":
        (photos / "Images").symlink_to(store / "Images")
    elif where == "link to each file":
        for file in files(store):
            link = photos / file.relative_to(store)
            link.parent.mkdir(parents=True, exist_ok=True)
            link.symlink_to(file)
    else:
        shutil.copytree(store / "Images", photos / "pictures")
        store = photos
        keep_rows(photos, lambda row: row.__setitem__(0, row[0].replace("Images", "pictures")) or True)
    first = prepare(photos, tmp_path)
    file = sorted(store.glob("[Ip]*/*/*.jpg"))[0]
    with Image.open(file) as image:
        image.transpose(Image.Transpose.FLIP_TOP_BOTTOM).save(file, quality=95)
    second = prepare(photos, tmp_path)
    assert second.fingerprint != first.fingerprint
    file.unlink()
    assert [refusal.reason.rpartition(": ")[2] for refusal in prepare(photos, tmp_path).refusals] == ["no such file"]


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


def damaged(rng: np.random.Generator, file: bytes) -> bytes:
    """The file with some bytes missing in its middle, or cut short there, and a few of its first ones changed."""
    content, at = bytearray(file), int(rng.integers(2, len(file)))
    del content[at : rng.choice([at, at + 10, len(file)])]
    for place in rng.integers(2, min(len(content), 400) + 1, int(rng.integers(0, 3))):
        content[place - 1] = rng.integers(256)
    return bytes(content)


@pytest.mark.parametrize(("kind", "mode"), [("JPEG", "RGB"), ("JPEG", "CMYK"), ("PNG", "RGB"), ("PNG", "P")])
def test_what_passes_the_check_is_read_by_the_graph(
    garments_folder: Path, tmp_path: Path, kind: str, mode: str
) -> None:
    """Pillow forgives what TensorFlow does not, such as a PNG without its end. Only the graph's word counts."""
    with Image.open(files(garments_folder)[0]) as image:
        small = image.resize((30, 40)).convert(mode)
    buffer = io.BytesIO()
    small.save(buffer, kind)
    whole = buffer.getvalue()
    rng = np.random.default_rng(1)
    contents = [whole, whole[:-12], *(damaged(rng, whole) for _ in range(150))]
    rows = []
    for number, content in enumerate(contents):
        file = tmp_path / f"{number}.img"
        file.write_bytes(content)
        rows.append(Annotation(file.name, file, "skirt", ((1.0, 1.0),) * 24, (1,) * 24, f"a.csv:{number}"))
    checked = list(checks.check_all(rows))
    usable = [each for each in checked if isinstance(each, checks.Photo)]
    assert isinstance(checked[0], checks.Photo)
    assert 0 < len(usable) < len(checked)
    for photo in usable:
        decode_image(photo.encoded)
    for row, each in zip(rows, checked):
        if not isinstance(each, checks.Photo):
            assert f"{row.image}: cannot be used: " in str(each)
            assert "{{" not in str(each)


def test_a_photo_that_lies_on_its_side_is_turned_upright(photos: Path, tmp_path: Path) -> None:
    """Annotations are made on what people see: EXIF orientation applied."""
    file = files(photos)[0]
    with Image.open(file) as image:
        exif = image.getexif()
        exif[0x0112] = 6
        lying = image.transpose(Image.Transpose.ROTATE_90)
        lying.save(file, exif=exif, quality=95)
        size = image.size
    turned = examples(prepare(photos, tmp_path))[file.name]
    assert tuple(turned["size"].numpy()) == size
    assert tuple(tf.io.decode_jpeg(turned["image"]).shape[:2]) == size[::-1]


def test_what_is_transparent_is_white(photos: Path, tmp_path: Path) -> None:
    """As the client lays it on white: a cut-out garment is trained on as it is asked about."""
    file = files(photos)[0]
    with Image.open(file) as image:
        size = image.size
    Image.new("RGBA", size, (0, 0, 0, 0)).save(file, "PNG")
    cut_out = examples(prepare(photos, tmp_path))[file.name]
    assert tf.io.decode_image(cut_out["image"]).numpy().min() == 255


def test_a_damaged_exif_is_the_end_of_one_photo_only(photos: Path, tmp_path: Path) -> None:
    """One byte of its EXIF is changed, and Pillow fails by an error of the module struct."""
    file = files(photos)[0]
    with Image.open(file) as image:
        exif = image.getexif()
        exif[0x0112], exif[0x010F] = 6, "maker"
        image.save(file, exif=exif)
    content = file.read_bytes()
    make = content.index(b"\x01\x0f\x00\x02")
    file.write_bytes(content[: make + 1] + b"\x00" + content[make + 2 :])
    (refusal,) = prepare(photos, tmp_path).refusals
    assert f"{file}: cannot be used" in refusal.reason


def test_a_phones_photo_with_a_second_picture_is_a_jpeg(photos: Path, tmp_path: Path) -> None:
    """Pillow calls it MPO; the first picture is the photo, also to TensorFlow's decoder."""
    file = files(photos)[0]
    with Image.open(file) as image:
        image.save(file, "MPO", save_all=True, append_images=[Image.new("RGB", (8, 8))], quality=95)
        size = image.size
    photo = examples(prepare(photos, tmp_path))[file.name]
    assert tuple(photo["size"].numpy()) == size
    assert photo["image"].numpy() == file.read_bytes()


def test_a_shard_that_is_cut_between_two_records_is_named(photos: Path, tmp_path: Path) -> None:
    """TensorFlow reads it as a whole one with fewer records."""
    shard = Path(prepare(photos, tmp_path).shards("train")[1])
    first = next(iter(tf.data.TFRecordDataset(str(shard)))).numpy()
    shard.write_bytes(shard.read_bytes()[: len(first) + 16])
    with pytest.raises(DataError, match=rf"{shard.name} has .* bytes, .* were written.*Delete"):
        prepare(photos, tmp_path)


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        (0, r"no photo to train on, of 0 row\(s\)"),
        (1, r"no photo to evaluate on, of 1 row\(s\).*one photo in ten is held out.*val/"),
    ],
)
def test_too_few_photos_are_told_as_such(photos: Path, tmp_path: Path, rows: int, message: str) -> None:
    """How many rows there are, and what to do; no half-written data set remains."""
    train = [file for file in files(photos) if split_of(str(file.relative_to(photos))) == "train"]
    keep_rows(photos, lambda row: row[0] in {str(file.relative_to(photos)) for file in train[:rows]})
    with pytest.raises(DataError, match=message):
        prepare(photos, tmp_path)
    assert list((tmp_path / "out").iterdir()) == []


def test_photos_that_ne_cannot_be_measured_on_are_told_before_training(photos: Path, tmp_path: Path) -> None:
    """Somebody who annotates hems alone: the points that are missing are named, for each category."""
    absent = [HEADER.index(f"{name}_{side}") for name in ("armpit", "waistband") for side in ("left", "right")]
    keep_rows(photos, lambda row: [row.__setitem__(index, "-1_-1_-1") for index in absent])
    with pytest.raises(DataError, match=r"NE cannot be measured.*skirt: waistband_left and waistband_right"):
        prepare(photos, tmp_path)


def test_a_category_that_is_absent_is_told_and_strictly_refused(photos: Path, tmp_path: Path) -> None:
    """Somebody who has no dresses can train; with --strict it is an error."""
    keep_rows(photos, lambda row: row[1] != "dress")
    assert prepare(photos, tmp_path).missing == ("dress",)
    with pytest.raises(DataError, match="no photo of dress, and --strict"):
        prepare(photos, tmp_path, strict=True)


def test_a_category_that_is_named_and_has_no_photo_to_train_on_is_refused(photos: Path, tmp_path: Path) -> None:
    """Its photos are missing: how many rows name it, and why the first photo is left out."""
    shutil.rmtree(photos / "Images" / "skirt")
    with pytest.raises(DataError, match=r"8 row\(s\) name the category skirt.*refused \(the first: .*no such file"):
        prepare(photos, tmp_path)
    assert list((tmp_path / "out").iterdir()) == []


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


def test_what_a_killed_process_left_is_in_nobodys_way(photos: Path, tmp_path: Path) -> None:
    """A container's process has the same number each time."""
    (tmp_path / "out" / f"set.partial-{os.getpid()}").mkdir(parents=True)
    dataset = prepare(photos, tmp_path)
    assert dataset.count("train") + dataset.count("eval") == 40
    assert dataset.folder.stat().st_mode & 0o777 == 0o755


def test_the_split_depends_on_the_name_alone() -> None:
    """About one photo in ten is for evaluation, always the same ones; crops of a photo follow it together."""
    names = [f"Images/skirt/{i}.jpg" for i in range(5000)]
    assert 0.08 < sum(split_of(name) == "eval" for name in names) / 5000 < 0.12
    for photo in ("a-b", "p7-2", "été"):
        crops = [f"Images/{each}/{crop_name(photo, number)}.jpg" for each in CATEGORIES for number in (0, 1, 12)]
        assert len({split_of(crop) for crop in crops}) == 1


def test_photos_do_not_pile_up_in_memory(garments_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where writing is slower than reading, only so many photos are read ahead; they come in the order of the rows."""
    (source,) = find_sources(garments_folder)
    annotations, _ = read(source)
    monkeypatch.setattr(checks, "READ_AHEAD", 4)
    asked = 0

    def rows() -> Iterator[Annotation]:
        nonlocal asked
        for annotation in annotations:
            asked += 1
            yield annotation

    for written, checked in enumerate(checks.check_all(rows())):
        assert asked <= written + 4
        assert isinstance(checked, checks.Photo)
        assert checked.annotation == annotations[written]
    assert asked == len(annotations)
