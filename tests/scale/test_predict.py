"""`python -m pipeline predict`: the answers that a server would give, to any number of photos, in files."""

from __future__ import annotations

import io
import json
from pathlib import Path

import pytest

from pipeline.data.parts import here
from pipeline.errors import DataError
from pipeline.release import card
from pipeline.scale import places, predict
from seamline_client import PredictClient
from seamline_client.reports import JsonLines
from tests.faults.test_disks import PAGE, full, small_disk
from tests.homes import Made, Seamline
from tests.scale.conftest import Home, flat, rows
from tests.waiting import until


def silent(done: int, total: int, note: str = "") -> None:
    """No progress is shown."""


@pytest.fixture
def model(made: Made) -> predict.Model:
    folder = made.home / "models" / "keypoints" / "1"
    return predict.Model(folder, 1, card.keypoints(folder))


def run(model: predict.Model, photos: Path | str, to: Path | str, form: str = "jsonl") -> int:
    return predict.begin(model, str(photos), str(to), form).run(here, silent)


def test_lines_are_what_a_server_answers(seamline: Seamline, photos: Path, tmp_path: Path) -> None:
    """As `predict.py --json` writes them, by the version that serves; those that cannot be read say why."""
    said = seamline.pipeline("predict", "--photos", str(photos), "--to", str(tmp_path / "answers"))
    assert "Version 1: 40 photos, 2 refused" in said
    found = rows(tmp_path / "answers")
    good = [row for row in found if "refused" not in row]
    assert {str(row["refused"])[:12] for row in found if "refused" in row} == {"not an image", "the file is "}
    assert len({str(row["photo"]) for row in found}) == 40
    with PredictClient(f"127.0.0.1:{seamline.grpc_port}") as client:
        for row in good[:4]:
            line = io.StringIO()
            (answer,) = client.predict(photos / str(row["photo"]))
            JsonLines(line).write(str(row["photo"]), answer)
            expected = json.loads(line.getvalue())
            assert flat(row) == pytest.approx(flat(expected), abs=0.02)


def test_it_goes_on_where_it_was_killed(small_parts: None, home: Home, photos: Path, tmp_path: Path) -> None:
    """Files that are there stay as they are, the others come; the whole is what one that was not killed writes."""
    options = ["predict", "--photos", str(photos), "--to"]
    process = home.start(*options, str(tmp_path / "killed"))
    until(lambda: process.poll() is not None or list(tmp_path.glob("killed/part-*.jsonl")), 100, pause=0.01)
    assert process.poll() is None, process.communicate()
    process.kill()
    process.communicate()
    there = {path: path.stat().st_mtime_ns for path in tmp_path.glob("killed/part-*.jsonl")}
    said = home.here(*options, str(tmp_path / "killed"))
    assert f"{len(there)} of 5 files of answers are there already" in said
    assert {path: path.stat().st_mtime_ns for path in there} == there
    home.here(*options, str(tmp_path / "whole"))
    assert rows(tmp_path / "killed") == rows(tmp_path / "whole")


def test_answers_of_another_job_are_not_mixed_in(
    model: predict.Model, photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of another version, of other photos, in another format, or what is no answer at all: it is named, and kept."""
    (tmp_path / "list").write_text(f"{next(photos.glob('Images/*/*.jpg'))}\n")
    run(model, tmp_path / "list", tmp_path / "to")
    other = predict.Model(model.folder, 2, model.keypoints)
    for asked, of_what, form in ((other, tmp_path / "list", "jsonl"), (model, photos, "jsonl")):
        with pytest.raises(DataError, match=r"another job: (version 1|photos 1, of other photos)\. .*name another"):
            run(asked, of_what, tmp_path / "to", form)
    (tmp_path / "own").mkdir()
    (tmp_path / "own" / "thesis.txt").touch()
    with pytest.raises(DataError, match="something else than answers"):
        run(model, tmp_path / "list", tmp_path / "own")
    with pytest.raises(DataError, match="a file, where a folder was expected"):
        run(model, tmp_path / "list", tmp_path / "list")


def test_what_photos_are_meant(photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A folder's with those below, a list's as its lines have them, one alone; nothing, nobody there, and twice."""
    monkeypatch.chdir(photos.parent)
    names = [str(path.relative_to(photos)) for path in sorted(photos.glob("Images/*/*.jpg"))]
    assert places.photos(str(photos)) == (str(photos), names)
    (tmp_path / "list.txt").write_text("photos/a b.jpg\r\n\n/else/ä.png\n", encoding="utf-8")
    assert places.photos(str(tmp_path / "list.txt")) == (str(photos.parent), ["photos/a b.jpg", "/else/ä.png"])
    assert places.photos("photos/a.jpg") == (str(photos), ["a.jpg"])
    (tmp_path / "twice").write_text("a\nb\na\n")
    (tmp_path / "empty").touch()
    for name, reason in (
        ("twice", "names a 2 times; name each photo once"),
        ("empty", "no photo in it"),
        ("none", "No such file.*a list"),
    ):
        with pytest.raises(DataError, match=reason):
            places.photos(str(tmp_path / name))


def test_a_photo_is_refused_and_a_disk_is_not(
    model: predict.Model, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One that is not there has a row; where the disk itself fails, the job ends, and nothing says "refused"."""
    (tmp_path / "list").write_text("missing.jpg\n\udce9.jpg\n", errors="surrogateescape")
    assert run(model, tmp_path / "list", tmp_path / "to") == 2
    assert [row["photo"] for row in rows(tmp_path / "to")] == ["missing.jpg", "\\udce9.jpg"]
    assert {row["refused"] for row in rows(tmp_path / "to")} == {"No such file or directory"}

    def fails(path: Path) -> bytes:
        raise OSError(5, "Input/output error")

    monkeypatch.setattr(Path, "read_bytes", fails)
    with pytest.raises(OSError, match="Input/output"):
        run(model, tmp_path / "list", tmp_path / "other")
    assert [path.name for path in (tmp_path / "other").iterdir()] == ["job.json"]


def long(part: predict.Part, tick: object, *, to: str, **_: object) -> int:
    """Writes more than there is room for."""
    places.write(to, part.file, b"x" * 10_000)
    return 0


@pytest.mark.parametrize("scheme", ["", "file://"])
def test_a_full_disk_leaves_nothing_in_the_way(
    model: predict.Model, photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, scheme: str
) -> None:
    """Neither a part of a file nor, once there is room, a reason to refuse the folder, whichever file it was; nor does
    what a process that was killed as it wrote left there."""
    if scheme:
        pytest.importorskip("pyarrow", reason="pyarrow is not installed; `make test` installs it")
    one = next(photos.glob("Images/*/*.jpg")).read_bytes()
    (tmp_path / "photo.jpg").write_bytes(one)
    monkeypatch.setattr(predict, "_answer", long)
    with small_disk(tmp_path / "disk", 200):
        to = tmp_path / "disk" / "answers"
        to.mkdir()
        for free, left in ((0, set()), (2 * PAGE, {"job.json"})):
            with full(tmp_path / "disk", free), pytest.raises(OSError, match="No space left"):
                run(model, tmp_path / "photo.jpg", f"{scheme}{to}")
            assert {path.name for path in to.iterdir()} == left
        (to / "job.json").rename(to / ".job.json-0123")
        run(model, tmp_path / "photo.jpg", f"{scheme}{to}")
        assert {path.name for path in to.iterdir()} == {".job.json-0123", "job.json", "part-00000-of-00001.jsonl"}


def test_parquet_and_an_object_store_have_the_same_answers(model: predict.Model, photos: Path, tmp_path: Path) -> None:
    """To a URL and from one, through the same calls that s3:// and gs:// take; and a store that nobody knows."""
    parquet = pytest.importorskip("pyarrow.parquet", reason="pyarrow is not installed; `make test` installs it")
    few = tmp_path / "few [1]"
    few.mkdir()
    for number, photo in enumerate(sorted(photos.glob("Images/*/*.jpg"))[:3]):
        (few / f"{number} ä#.jpg").write_bytes(photo.read_bytes())
    assert run(model, few, tmp_path / "lines") == 1
    assert run(model, f"file://{few}", f"file://{tmp_path}/stored", "parquet") == 1
    table = parquet.read_table(tmp_path / "stored" / "part-00000-of-00001.parquet").to_pylist()
    for row, line in zip(table, rows(tmp_path / "lines")):
        kept = {name: value for name, value in row.items() if value is not None}
        points = kept.pop("keypoints", []), line.pop("keypoints", [])
        assert kept == line
        assert flat(points[0]) == pytest.approx(flat(points[1]), abs=0.02)
    assert predict.begin(model, f"file://{few}", f"file://{tmp_path}/stored", "parquet").parts == []
    with pytest.raises(DataError, match="nowhere://x: cannot be opened"):
        places.photos("nowhere://x/y")
