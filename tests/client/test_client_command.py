"""The command as people run it: a process of its own, from a clone, against a real server."""

from __future__ import annotations

import csv
import io
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from seamline_client.command import main
from seamline_client.contract import VISIBILITY_NAMES
from seamline_client.keypoints import KEYPOINTS
from seamline_client.progress import Progress
from tests.client.client_support import ROOT, Server


def test_a_photo_becomes_a_table(predict: Any, photo: Path) -> None:
    """The photo, its size and its points by name, occluded ones marked, absent ones left out; nothing on stderr."""
    done = predict(photo)
    assert (done.returncode, done.stderr) == (0, "")
    first, *rows = done.stdout.splitlines()
    visible = [row for row in rows if "occluded" not in row]
    assert first == f"{photo}  500x400  {len(visible)} visible, {len(rows) - len(visible)} occluded"
    assert {row.split()[0] for row in rows} <= set(KEYPOINTS)
    assert 0 < len(visible) < len(rows) < 24


def test_machine_formats_say_the_same(predict: Any, photo: Path) -> None:
    """JSON lines, CSV rows and COCO annotations of one photo hold the same points, over either transport."""
    answer = json.loads(predict(photo, "--json").stdout)
    assert (answer["photo"], answer["width"], answer["height"]) == (str(photo), 500, 400)
    points = {point["name"]: (point["x"], point["y"], point["visibility"]) for point in answer["keypoints"]}
    rows = list(csv.DictReader(io.StringIO(predict(photo, "--csv").stdout)))
    assert {row["keypoint"]: (float(row["x"]), float(row["y"]), row["visibility"]) for row in rows} == points
    coco = json.loads(predict(photo, photo, "--coco", "--rest", "--signature", "serving_uint8").stdout)
    assert [image["file_name"] for image in coco["images"]] == [str(photo)] * 2
    triples = coco["annotations"][1]["keypoints"]
    assert {
        name: (x, y, VISIBILITY_NAMES[v])
        for name, x, y, v in zip(KEYPOINTS, triples[::3], triples[1::3], triples[2::3])
        if v
    } == points
    assert coco["annotations"][1]["num_keypoints"] == len(points)
    assert coco["categories"][0]["keypoints"] == list(KEYPOINTS)


def test_folders_globs_and_stdin(predict: Any, photo: Path, tmp_path: Path) -> None:
    """A folder is searched to its bottom in order, a quoted glob is expanded, - is a photo on stdin."""
    for name in ("b/2.jpg", "b/1.JPG", "b/c/3.jpg", "b/notes.txt", "b/.hidden.jpg"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(photo, tmp_path / name)
    done = predict("b", "--json", "--batch", 2)
    assert [json.loads(line)["photo"] for line in done.stdout.splitlines()] == ["b/1.JPG", "b/2.jpg", "b/c/3.jpg"]
    done = predict("b/*.jpg", "-", "--json", stdin=photo.read_bytes())
    assert [json.loads(line)["photo"] for line in done.stdout.splitlines()] == ["b/2.jpg", "stdin"]


def test_a_folder_of_hundreds_is_answered_in_order_and_whole(
    predict: Any, photo: Path, picture: Image.Image, tmp_path: Path
) -> None:
    """Links to a few photos under many names: a CSV with each of them, in the order of their names, none twice."""
    folder = tmp_path / "many"
    folder.mkdir()
    picture.transpose(Image.Transpose.FLIP_LEFT_RIGHT).save(tmp_path / "other.jpg")
    for number in range(400):
        os.link((photo, tmp_path / "other.jpg")[number % 2], folder / f"{number:03d}.jpg")
    done = predict(folder, "--csv", "--batch", 4, "--parallel", 3)
    assert (done.returncode, done.stderr) == (0, "")
    rows: dict[str, list[Any]] = {}
    for row in csv.DictReader(io.StringIO(done.stdout)):
        rows.setdefault(Path(row.pop("photo")).name, []).append(row)
    assert list(rows) == [f"{number:03d}.jpg" for number in range(400)]
    assert all(rows[name] == rows[f"{int(name[:3]) % 2:03d}.jpg"] for name in rows)
    assert rows["000.jpg"] != rows["001.jpg"]


def test_drawings_are_written_and_never_over_one_another(predict: Any, photo: Path, tmp_path: Path) -> None:
    """One picture per photo, large enough to read names on, with the marks on it; the photo itself is untouched."""
    before = photo.read_bytes()
    (tmp_path / "other").mkdir()
    shutil.copy(photo, tmp_path / "other" / photo.name)
    done = predict(photo, tmp_path / "other" / photo.name, "--draw", tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    drawn = sorted(tmp_path.glob("photo-keypoints*.jpg"))
    assert [path.name for path in drawn] == ["photo-keypoints-2.jpg", "photo-keypoints.jpg"]
    assert photo.read_bytes() == before
    with Image.open(drawn[0]) as picture, Image.open(photo) as plain:
        assert picture.size == (900, 720)
        enlarged = plain.resize(picture.size)
        changed = sum(abs(a - b) > 60 for a, b in zip(picture.convert("L").tobytes(), enlarged.convert("L").tobytes()))
    assert changed > 1000
    assert predict(photo, "--draw", tmp_path / "one" / "drawn.png").returncode == 0
    with Image.open(tmp_path / "one" / "drawn.png") as picture:
        assert picture.size == (900, 720)


def test_watch_answers_new_photos_until_ctrl_c(server: Server, photo: Path, tmp_path: Path) -> None:
    """A photo that is moved in and one that is written slowly are each answered once; Ctrl-C is a good end."""
    folder = tmp_path / "inbox"
    folder.mkdir()
    shutil.copy(photo, folder / "old.jpg")
    command = [
        sys.executable,
        str(ROOT / "client" / "predict.py"),
        "--json",
        "--target",
        server.grpc,
        "--watch",
        str(folder),
    ]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        assert "Watching" in process.stderr.readline()
        shutil.copy(photo, folder / "new.jpg")
        first = json.loads(process.stdout.readline())
        with (folder / "slow.jpg").open("wb") as file:
            for start in range(0, len(photo.read_bytes()), 12_000):
                file.write(photo.read_bytes()[start : start + 12_000])
                file.flush()
                time.sleep(0.2)
        second = json.loads(process.stdout.readline())
        process.send_signal(signal.SIGINT)
        assert process.wait(10) == 0, process.stderr.read()
        assert process.stdout.read() == ""
    assert [Path(answer["photo"]).name for answer in (first, second)] == ["new.jpg", "slow.jpg"]


def test_help_is_quick_and_light(predict: Any) -> None:
    """--help neither waits for numpy or gRPC nor says less than the exit codes and an example for each need."""
    script = "import sys; sys.argv[1:] = ['--help']\ntry:\n    from client.predict import main; main()\nfinally:\n"
    script += "    print([name for name in ('numpy', 'grpc', 'PIL', 'requests', 'google') if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, timeout=30)
    assert done.stdout.splitlines()[-1] == "[]"
    assert "exit codes" in done.stdout
    assert predict("--help").returncode == 0


def test_main_is_the_console_script(server: Server, photo: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The installed command is the same function, with the exit code as its result."""
    assert main([str(photo), "--target", server.grpc]) == 0
    assert "500x400" in capsys.readouterr().out
    assert main(["missing.jpg", "--target", server.grpc]) == 3


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_progress_shows_count_rate_and_time_left() -> None:
    """On a terminal, for more than one photo; nowhere else."""
    screen, pipe, alone = Terminal(), io.StringIO(), Terminal()
    progress = Progress(200, screen)
    started = time.monotonic()
    progress.advance()
    progress.clear()
    assert screen.getvalue().endswith("\r\x1b[2K")
    for _ in range(49):
        progress.advance()
    assert progress.line(started + 5).startswith("[#####               ] 50/200  10.0 photos/s  0:15 left")
    assert "] 2/200" in screen.getvalue()  # drawn again after it was taken away
    assert screen.getvalue().count("/200") < 10  # and then at its own pace
    time.sleep(0.11)
    progress.advance()
    assert screen.getvalue().count("] 51/200") == 1
    for quiet in (Progress(200, pipe), Progress(1, alone)):
        time.sleep(0.11)
        quiet.advance()
        quiet.clear()
    assert (pipe.getvalue(), alone.getvalue()) == ("", "")
