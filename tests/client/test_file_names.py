"""Whatever files are called, each command ends in an exit code, with answers or one message, and names can be told."""

from __future__ import annotations

import csv
import io
import json
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from unittest import mock

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as some
from PIL import Image

from pipeline import cli
from pipeline.data.fashionai import header
from seamline_client.command import main as client
from seamline_client.errors import one_line
from seamline_client.keypoints import GARMENTS
from tests.client.conftest import Server, run

PIECES = [
    *(
        "a",
        " ",
        "-",
        "--",
        ".",
        "..",
        "@1",
        "é",
        "\N{COAT}",
        "{a,b}",
        "[red]",
        "[bold]",
        "[0-9]",
        "*",
        "?",
        "%",
        "%s",
        "%2F",
    ),
    *(
        '"',
        "'",
        ",",
        ";",
        "=",
        "&<b>",
        "$HOME",
        "~",
        "`",
        "\\",
        "\\n",
        "\n",
        "\r",
        "\t",
        "\x1b[31m",
        "\u202e",
        "\ufeff",
    ),
    *(os.fsdecode(each) for each in (b"\xff", b"\xe9\x80", b"\xed\xb2\x80")),
]
MANY = settings.get_current_profile_name() == "soak"
in_few = settings(max_examples=300 if MANY else 8, deadline=None, suppress_health_check=list(HealthCheck))
SKIRT = {"waistband_left": (10, 10), "waistband_right": (40, 10), "hemline_left": (5, 50), "hemline_right": (45, 50)}


@some.composite
def names(draw: Any) -> str:
    """A file's name without its ending; one in four is as long as a file's name can be."""
    name = "".join(draw(some.lists(some.sampled_from(PIECES), min_size=1, max_size=5)))
    name = "x" + name if name.startswith(".") else name
    longest = 255 - len(".json")
    if draw(some.integers(0, 3)) == 0:
        name += "x" * (longest - len(os.fsencode(name)))
    return name


@contextmanager
def empty_folder() -> Iterator[Path]:
    with tempfile.TemporaryDirectory() as name, mock.patch.dict(os.environ, SEAMLINE_HOME=f"{name}/home"):
        yield Path(name)


@pytest.fixture
def asked(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SEAMLINE_GRPC_PORT", server.grpc.split(":")[1])


def draw_photo(path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.linear_gradient("L").resize((50, 60)).convert("RGB").save(path, "JPEG")


@in_few
@given(photo=names(), folder=names(), labels=names())
@example(photo="[red]\n", folder=os.fsdecode(b"\xe9"), labels="é" * 125)
@example(photo="x" * 251, folder="y" * 250, labels=".hidden")
@example(photo=os.fsdecode(b"-\xff%s"), folder="-", labels="-")
def test_files_of_any_name_are_converted_and_read(photo: str, folder: str, labels: str) -> None:
    """A photo, the folder that it is in, and the file of its points."""
    with empty_folder() as here:
        for split in ("train", "val"):
            draw_photo(here / "photos" / folder / f"{photo}.jpg")
            draw_photo(here / "photos" / f"{photo}.jpg")
            images = [f"{folder}/{photo}.jpg", f"{photo}.jpg", f"no/{photo}.jpg"]
            coco = {
                "images": [{"id": number, "file_name": name} for number, name in enumerate(images)],
                "categories": [{"id": 1, "name": "skirt", "keypoints": list(SKIRT)}],
                "annotations": [
                    {
                        "image_id": number,
                        "category_id": 1,
                        "keypoints": [value for point in SKIRT.values() for value in (*point, 2)],
                    }
                    for number in range(3)
                ],
            }
            (here / f"{labels}.json").write_text(json.dumps(coco))
            to = here / folder / split
            ran = run(
                cli.main, *("convert", "--coco", here / f"{labels}.json", "--images", here / "photos", f"--to={to}")
            )
            assert (ran.code, ran.err) == (0, "")
            assert "2 garments" in ran.out
            (refused,) = (line for line in ran.out.splitlines() if "refused: " in line)
            assert f"{one_line(images[2])}: no such file" in refused
            shutil.rmtree(here / "photos")
        ran = run(cli.main, "data", "--source", here / folder)
        assert (ran.code, ran.err) == (0, "")
        assert "train: 2 garments" in ran.out
        assert "refused" not in ran.out


@in_few
@given(photo=names(), table=names())
@example(photo='[red]\n,"', table="new\nline")
@example(photo=os.fsdecode(b"\xff"), table=os.fsdecode(b"\xff"))
def test_rows_may_name_photos_of_any_name(photo: str, table: str) -> None:
    """A photo whose name is no text cannot be in a CSV file, which is told in one message; any other can."""
    cells = [f"{SKIRT[name][0]}_{SKIRT[name][1]}_1" if name in SKIRT else "-1_-1_-1" for name in GARMENTS.keypoints]
    assert len(cells) == len(GARMENTS.index)
    with empty_folder() as here:
        for split in ("train", "val"):
            draw_photo(here / "ds" / split / f"{photo}.jpg")
            with (here / "ds" / split / f"{table}.csv").open("w", newline="", errors="surrogateescape") as file:
                rows = csv.writer(file)
                rows.writerows(
                    [header(GARMENTS), [f"{photo}.jpg", "skirt", *cells], [f"no/{photo}.jpg", "skirt", *cells]]
                )
        ran = run(cli.main, "data", "--source", here / "ds")
        if not any("\ud800" <= each <= "\udfff" for each in photo):
            assert (ran.code, ran.err) == (0, "")
            assert ran.out.count("refused: ") == 2
            told = photo.replace("\\", "/")  # a file that is not there is looked for as Windows would have it
            assert f"{one_line(told)}.jpg: no such file" in ran.out
        else:
            assert (ran.code, ran.out) == (3, "")
            assert ran.err.startswith(f"Error: {here}/ds/train/{one_line(table)}.csv: cannot be read as CSV")


@in_few
@given(photo=names(), folder=names())
@example(photo=os.fsdecode(b"\xff"), folder="[red]\n")
@example(photo="x" * 251, folder="y" * 250)
@example(photo="\x1b[31m[0-9]", folder="[a]")
def test_photos_of_any_name_are_answered(asked: None, photo: str, folder: str) -> None:
    """JSON has the very name, a table and a row of CSV one that is printable and in one line."""
    with empty_folder() as here:
        path = here / folder / f"{photo}.jpg"
        draw_photo(path)
        answers = {form: run(client, path, *form) for form in ((), ("--json",), ("--csv",), ("--coco",))}
        for ran in answers.values():
            assert (ran.code, ran.err) == (0, "")
        assert answers[()].out.startswith(f"{one_line(str(path))}  50x60  ")
        rows = list(csv.DictReader(io.StringIO(answers[("--csv",)].out)))
        assert answers[("--csv",)].out.count("\n") == len(rows) + 1
        assert json.loads(answers[("--json",)].out)["photo"] == str(path)
        assert json.loads(answers[("--coco",)].out)["images"][0]["file_name"] == str(path)
        assert {row["photo"] for row in rows} == {one_line(str(path))}
        (here / "answers.json").write_text(answers[("--coco",)].out)
        ran = run(cli.main, "convert", "--coco", here / "answers.json", "--images", here, "--to", here / "out")
        assert (ran.code, ran.err) == (0, "")
        ran = run(client, here / folder, f"--draw={here / photo / folder}")
        assert (ran.code, ran.err) == (0, "")
        (drawn,) = (here / photo / folder).iterdir()
        with Image.open(drawn) as picture:
            assert picture.format == "JPEG"
        path.write_bytes(b"nothing")
        ran = run(client, path)
        assert (ran.code, ran.out) == (3, "")
        assert ran.err.startswith(f"predict: {one_line(str(path))}: ")
        assert ran.err.count("\n") == 1


@pytest.mark.parametrize("name", ["x" * 256, "*" * 300, "x\0"])
def test_a_name_that_no_file_can_have(asked: None, name: str) -> None:
    """One message, where a photo, a folder or a label file should be."""
    with empty_folder() as here:
        (here / "photos").mkdir()
        (here / "labels.json").write_text("{}")
        for main, command in (
            (client, (here / name,)),
            (client, (here, "--watch", here / name)),
            (cli.main, ("data", "--source", here / name)),
            (cli.main, ("convert", "--coco", here / name, "--images", here / "photos", "--to", here / "out")),
            (cli.main, ("convert", "--coco", here / "labels.json", "--images", here / name, "--to", here / "out")),
            (cli.main, ("convert", "--coco", here / "labels.json", "--images", here / "photos", "--to", here / name)),
            (cli.main, ("convert", "--map", name, "--coco", "a", "--images", "b", "--to", "c")),
        ):
            ran = run(main, *command)
            assert ran.code in {1, 2, 3}
            assert ran.err.count("\n") == 1 or ran.code == 2
            assert sorted(path.name for path in here.iterdir()) == ["labels.json", "photos"]


@pytest.mark.parametrize("part", ["x [1]", "a*", "what?", os.fsdecode(b"\xff")])
def test_a_home_that_tensorflow_cannot_work_in(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, part: str) -> None:
    """Its checkpoints are patterns: one message before anything is done, wherever in the path it is. A link helps."""
    (tmp_path / part).mkdir()
    (tmp_path / "link").symlink_to(part)
    monkeypatch.setenv("SEAMLINE_HOME", str(tmp_path / part / "home"))
    ran = run(cli.main, "versions")
    assert ran.code == 1
    assert f"{one_line(str(tmp_path / part))}/home: TensorFlow cannot work below a path with" in ran.err
    assert list((tmp_path / part).iterdir()) == []
    monkeypatch.setenv("SEAMLINE_HOME", str(tmp_path / "link" / "home"))
    assert "TensorFlow cannot work" not in run(cli.main, "versions").err
