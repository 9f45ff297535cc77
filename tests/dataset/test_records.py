"""Data sets on disk: checked, whole or absent, made again only when the source has changed."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
import tensorflow as tf
from PIL import Image

from garments import write_dataset
from pipeline.data import checks, records
from pipeline.data.annotations import HEADER, Annotation, find_sources, read
from pipeline.errors import DataError
from seamline_client.keypoints import CATEGORIES, KEYPOINTS


def silent(done: int, total: int, note: str = "") -> None:
    """No progress is shown."""


@pytest.fixture(scope="module")
def drawn(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("drawn") / "photos"
    write_dataset(folder, 40, 1, processes=1)
    return folder


@pytest.fixture
def photos(drawn: Path, tmp_path: Path) -> Path:
    """A copy that a test may spoil."""
    return Path(shutil.copytree(drawn, tmp_path / "photos"))


def prepare(photos: Path, tmp_path: Path, *, strict: bool = False) -> records.Dataset:
    return records.prepare(photos, tmp_path / "out" / "set", silent, strict=strict)


def test_records_keep_the_photos_bytes_and_ratios(photos: Path, tmp_path: Path) -> None:
    """What is read back is the file on disk, and its points as fractions of its size."""
    dataset = prepare(photos, tmp_path)
    assert dataset.count("train") + dataset.count("eval") == 40
    example = records.parse(next(iter(tf.data.TFRecordDataset(dataset.shards("train")))))
    file = photos / example["image_id"].numpy().decode()
    assert example["image"].numpy() == file.read_bytes()
    with Image.open(file) as image:
        assert tuple(example["size"].numpy()) == image.size
    row = next(
        line for line in next(photos.glob("Annotations/*.csv")).read_text().splitlines() if str(file.name) in line
    )
    cells = row.split(",")
    assert CATEGORIES[int(example["category"])] == cells[1]
    for k in range(len(KEYPOINTS)):
        x, y, v = map(float, cells[2 + k].split("_"))
        assert int(example["v"][k]) == v + 1
        if v >= 0:
            assert example["xy"][k].numpy() * example["size"].numpy() == pytest.approx([x, y], abs=1e-3)


def test_a_data_set_is_made_again_only_when_its_source_changes(photos: Path, tmp_path: Path) -> None:
    """The same photos: the same fingerprint, and nothing is written. One more row missing: another fingerprint."""
    first = prepare(photos, tmp_path)
    written = [Path(shard).stat().st_mtime_ns for shard in first.shards("train")]
    again = prepare(photos, tmp_path)
    assert again == first
    assert [Path(shard).stat().st_mtime_ns for shard in again.shards("train")] == written
    csv = next(photos.glob("Annotations/*.csv"))
    csv.write_text("".join(csv.read_text().splitlines(keepends=True)[:-1]))
    assert prepare(photos, tmp_path).fingerprint != first.fingerprint


def test_broken_photos_are_refused_and_the_rest_is_used(photos: Path, tmp_path: Path) -> None:
    """Missing, cut short, not an image, a point outside: each refusal names the file and the reason."""
    images = sorted(photos.glob("Images/*/*.jpg"))
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


def test_a_photo_that_lies_on_its_side_is_turned_upright(photos: Path, tmp_path: Path) -> None:
    """Annotations are made on what people see: EXIF orientation applied."""
    file = sorted(photos.glob("Images/*/*.jpg"))[0]
    with Image.open(file) as image:
        exif = image.getexif()
        exif[0x0112] = 6
        lying = image.transpose(Image.Transpose.ROTATE_90)
        lying.save(file, exif=exif, quality=95)
        size = image.size
    dataset = prepare(photos, tmp_path)
    examples = [records.parse(r) for split in ("train", "eval") for r in tf.data.TFRecordDataset(dataset.shards(split))]
    (turned,) = [e for e in examples if e["image_id"].numpy().decode().endswith(file.name)]
    assert tuple(turned["size"].numpy()) == size
    assert tuple(tf.io.decode_jpeg(turned["image"]).shape[:2]) == size[::-1]


def test_what_is_transparent_is_white(photos: Path, tmp_path: Path) -> None:
    """As the client lays it on white: a cut-out garment is trained on as it is asked about."""
    file = sorted(photos.glob("Images/*/*.jpg"))[0]
    with Image.open(file) as image:
        size = image.size
    Image.new("RGBA", size, (0, 0, 0, 0)).save(file, "PNG")
    dataset = prepare(photos, tmp_path)
    examples = [records.parse(r) for split in ("train", "eval") for r in tf.data.TFRecordDataset(dataset.shards(split))]
    (cut_out,) = [e for e in examples if e["image_id"].numpy().decode().endswith(file.name)]
    assert tf.io.decode_image(cut_out["image"]).numpy().min() == 255


def test_a_damaged_exif_is_the_end_of_one_photo_only(photos: Path, tmp_path: Path) -> None:
    """One byte of its EXIF is changed, and Pillow fails by an error of the module struct."""
    file = sorted(photos.glob("Images/*/*.jpg"))[0]
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
    file = sorted(photos.glob("Images/*/*.jpg"))[0]
    with Image.open(file) as image:
        image.save(file, "MPO", save_all=True, append_images=[Image.new("RGB", (8, 8))], quality=95)
        size = image.size
    with Image.open(file) as image:
        assert image.format == "MPO"
    assert prepare(photos, tmp_path).refusals == ()
    assert tuple(tf.io.decode_jpeg(file.read_bytes()).shape[:2]) == size[::-1]


def test_a_shard_that_is_cut_between_two_records_is_named(photos: Path, tmp_path: Path) -> None:
    """TensorFlow reads it as a whole one with fewer records."""
    shard = Path(prepare(photos, tmp_path).shards("train")[1])
    first = next(iter(tf.data.TFRecordDataset(str(shard)))).numpy()
    shard.write_bytes(shard.read_bytes()[: len(first) + 16])
    with pytest.raises(DataError, match=rf"{shard.name} has .* bytes, .* were written.*Delete"):
        prepare(photos, tmp_path)


def test_nothing_is_left_behind_when_no_photo_can_be_used(tmp_path: Path) -> None:
    """The error says how many rows there were; no half-written data set remains."""
    (tmp_path / "photos" / "Annotations").mkdir(parents=True)
    (tmp_path / "photos" / "Annotations" / "a.csv").write_text(",".join(HEADER) + "\n")
    with pytest.raises(DataError, match="no photo for train in 0 rows"):
        prepare(tmp_path / "photos", tmp_path)
    assert list((tmp_path / "out").iterdir()) == []


def test_a_category_that_is_absent_is_told_and_strictly_refused(photos: Path, tmp_path: Path) -> None:
    """Somebody who has no dresses can train; with --strict it is an error."""
    (csv,) = photos.glob("Annotations/*.csv")
    rows = csv.read_text().splitlines(keepends=True)
    csv.write_text("".join(row for row in rows if row.split(",")[1] != "dress"))
    assert prepare(photos, tmp_path).missing == ("dress",)
    with pytest.raises(DataError, match="no photo of dress, and --strict"):
        prepare(photos, tmp_path, strict=True)


def test_a_category_that_is_named_and_has_no_photo_to_train_on_is_refused(photos: Path, tmp_path: Path) -> None:
    """Its photos are missing: how many rows name it, and why the first photo is left out."""
    shutil.rmtree(photos / "Images" / "skirt")
    with pytest.raises(DataError, match=r"8 row\(s\) name the category skirt.*refused \(the first: .*no such file"):
        prepare(photos, tmp_path)
    assert list((tmp_path / "out").iterdir()) == []


def test_what_a_killed_process_left_is_in_nobodys_way(photos: Path, tmp_path: Path) -> None:
    """A container's process has the same number each time."""
    (tmp_path / "out" / f"set.partial-{os.getpid()}").mkdir(parents=True)
    dataset = prepare(photos, tmp_path)
    assert dataset.count("train") + dataset.count("eval") == 40
    assert dataset.folder.stat().st_mode & 0o777 == 0o755


def test_a_file_whose_name_is_not_utf8_does_no_harm(photos: Path, tmp_path: Path) -> None:
    """Unpacked from an archive of another system, say; no row names it."""
    (photos / "Images" / os.fsdecode(b"caf\xe9.jpg")).write_bytes(b"")
    assert prepare(photos, tmp_path).refusals == ()


def test_the_split_depends_on_the_name_alone() -> None:
    """About one photo in ten is for evaluation, and always the same ones."""
    share = sum(records.split_of(f"Images/skirt/{i}.jpg") == "eval" for i in range(5000)) / 5000
    assert 0.08 < share < 0.12
    assert records.split_of("Images/skirt/1.jpg") == records.split_of("Images/skirt/1.jpg")


def test_photos_do_not_pile_up_in_memory(drawn: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where writing is slower than reading, only so many photos are read ahead; they come in the order of the rows."""
    (source,) = find_sources(drawn)
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
