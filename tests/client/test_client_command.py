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

from client.finding import find_photos
from client.predict import main
from client.progress import Progress
from model.keypoints import KEYPOINTS
from model.signature import VISIBILITY_NAMES
from tests.client.client_support import ROOT, FakeGrpc, Server
from tests.ports import free_port

Done = subprocess.CompletedProcess[str]


@pytest.fixture
def predict(server: Server, tmp_path: Path) -> Any:
    """Run the command from an empty folder with the server's ports in the environment."""
    ports = {"SEAMLINE_GRPC_PORT": server.grpc.split(":")[1], "SEAMLINE_REST_PORT": server.rest.split(":")[1]}

    def run(*arguments: Any, stdin: bytes = b"") -> Done:
        command = [sys.executable, str(ROOT / "client" / "predict.py"), *map(str, arguments)]
        done = subprocess.run(
            command, cwd=tmp_path, env={**os.environ, **ports}, input=stdin, capture_output=True, timeout=60
        )
        return subprocess.CompletedProcess(command, done.returncode, done.stdout.decode(), done.stderr.decode())

    return run


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


def test_a_broken_photo_is_reported_and_the_rest_go_on(predict: Any, photo: Path, tmp_path: Path) -> None:
    """Exit code 1, one line on stderr for each failure, and the others' answers on stdout."""
    broken = tmp_path / "broken.png"
    broken.write_bytes(b"\x89PNG\r\n\x1a\n" + bytes(100))
    done = predict(photo, broken, tmp_path / "missing.jpg", photo, "--json", "--batch", 4)
    assert done.returncode == 1
    assert len(done.stdout.splitlines()) == 2
    assert [line.split(":")[1].strip() for line in done.stderr.splitlines()] == [str(broken), f"{tmp_path}/missing.jpg"]


@pytest.mark.parametrize("transport", ["--grpc", "--rest"])
def test_a_photo_cut_short_is_named_whoever_finds_out(predict: Any, photo: Path, transport: str) -> None:
    """Over REST the server decodes, and its refusal does not know the file's name: the command does."""
    cut = photo.with_name("cut.jpg")
    cut.write_bytes(photo.read_bytes()[:5000])
    done = predict(photo, cut, photo, transport, "--json", "--batch", 3)
    assert (done.returncode, len(done.stdout.splitlines())) == (1, 2)
    assert done.stderr.startswith(f"predict: {cut}: ")
    assert len(done.stderr.splitlines()) == 1


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["missing.jpg"], 3, "missing.jpg: No such file"),
        ([__file__], 3, "not an image"),
        ([ROOT / "model"], 3, "no photo in this folder"),
        (["*.jpg.nothing"], 3, "no file matches"),
        (["-"], 3, "stdin"),
        (["PHOTO", "--token-file", "missing"], 3, "token"),
        (["PHOTO", "--retries", "99"], 3, "retries"),
        (["PHOTO", "--parallel", "0"], 3, "parallel"),
        (["PHOTO", "--draw", __file__], 3, "cannot be written"),
        (["PHOTO", "PHOTO", "--draw", "out.jpg"], 3, "do not fit into one file"),
        (["BOMB"], 3, "10000x10000 pixels, at most 64 million"),
        (["PHOTO", "--target", f"127.0.0.1:{free_port()}"], 4, "is the server running"),
        (["PHOTO", "--rest", "--target", f"127.0.0.1:{free_port()}"], 4, "is the server running"),
        (["PHOTO", "--timeout", "0.001"], 5, "no answer in time"),
        (["PHOTO", "--model", "foo"], 6, "foo"),
        (["PHOTO", "--model", "foo", "--rest"], 6, "foo"),
        (["PHOTO", "--version", "9"], 6, "9"),
        (["PHOTO", "--label", "canary"], 6, "canary"),
        ([], 2, "which photo"),
        (["PHOTO", "--version", "1", "--label", "x"], 2, "not allowed with"),
        (["PHOTO", "--tls-cert", "x"], 2, "go together"),
    ],
)
def test_each_failure_has_its_line_and_exit_code(
    predict: Any, photo: Path, arguments: list[Any], code: int, message: str
) -> None:
    """One line without traceback; nothing but answers on stdout."""
    bomb = photo.with_name("bomb.png")
    Image.new("1", (10_000, 10_000)).save(bomb)
    done = predict(*({"PHOTO": photo, "BOMB": bomb}.get(argument, argument) for argument in arguments))
    assert done.returncode == code, done.stderr
    assert message in done.stderr
    assert "Traceback" not in done.stderr
    if code > 2:
        assert len(done.stderr.splitlines()) == 1


def test_a_server_that_goes_away_ends_a_long_run_at_once(tmp_path: Path, photo: Path) -> None:
    """No connection means none for the other photos either: one line, not a thousand, and whole JSON up to there."""
    target = f"127.0.0.1:{free_port()}"
    start = time.monotonic()
    command = [sys.executable, "-m", "client.predict", "--coco", "--target", target, *[str(photo)] * 300]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60)
    assert (done.returncode, len(done.stderr.splitlines())) == (4, 1)
    assert json.loads(done.stdout)["annotations"] == []
    assert time.monotonic() - start < 10


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


def test_a_reader_that_goes_away_is_no_failure_worth_a_traceback(server: Server, photo: Path) -> None:
    """predict.py ... | head -1"""
    command = [sys.executable, str(ROOT / "client" / "predict.py"), "--json", "--target", server.grpc]
    with subprocess.Popen([*command, *[str(photo)] * 60], stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.readline()
        process.stdout.close()
        assert process.wait(30) == 141
        assert process.stderr.read() == b""


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


def test_a_busy_server_fails_photos_one_by_one(photo: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """What may pass does not end the run; where all fail in one way, the exit code is that way's."""
    import grpc

    def busy(_: bytes, context: Any) -> bytes:
        context.abort(grpc.StatusCode.RESOURCE_EXHAUSTED, "queue full")
        return b""

    with FakeGrpc(busy) as server:
        assert main([str(photo), str(photo), "--target", server.target]) == 7
    assert capsys.readouterr().err.count("queue full") == 2


def test_a_missing_path_stays_for_its_own_error(tmp_path: Path) -> None:
    """Also one whose name looks like a glob and is a file."""
    odd = tmp_path / "odd[1].jpg"
    odd.touch()
    assert find_photos([str(odd), "missing.jpg"]) == [str(odd), "missing.jpg"]


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
