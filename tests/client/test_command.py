"""The command as people use it, against a server: what it takes, prints and watches, and how it fails."""

from __future__ import annotations

import io
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from seamline_client.finding import find_photos
from seamline_client.keypoints import GARMENTS
from seamline_client.run import Progress
from tests.client.conftest import Server, running
from tests.client.fakes import FakeGrpc, failing
from tests.homes import ROOT
from tests.nobody import nobody


@contextmanager
def process(*arguments: Any) -> Iterator[Any]:
    """The command as a program of its own, from a checkout."""
    command = [sys.executable, str(ROOT / "client/predict.py"), *map(str, arguments)]
    clean = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    pipe = subprocess.PIPE
    with subprocess.Popen(command, stdout=pipe, stderr=pipe, text=True, bufsize=1, env=clean) as started:
        try:
            yield started
        finally:
            started.kill()


def photos_in(out: str) -> list[str]:
    """Which photos the JSON lines are about."""
    return [json.loads(line)["photo"] for line in out.splitlines()]


def test_a_photo_becomes_a_table(server: Server, photo: Path) -> None:
    """The photo, its size and its points by name, occluded ones marked, absent ones left out; nothing on stderr."""
    with process(photo, "--target", server.grpc) as started:
        out, err = started.communicate(timeout=60)
    assert (started.returncode, err) == (0, "")
    first, *rows = out.splitlines()
    visible = [row for row in rows if "occluded" not in row]
    assert first == f"{photo}  500x400  {len(visible)} visible, {len(rows) - len(visible)} occluded  version 1"
    assert {row.split()[0] for row in rows} <= set(GARMENTS.keypoints)
    assert 0 < len(visible) < len(rows) < 24


def test_folders_globs_and_stdin(predict: Any, photo: Path, tmp_path: Path) -> None:
    """A folder is searched to its bottom in order, a quoted glob is expanded, - is a photo on stdin."""
    for name in ("b/2.jpg", "b/1.JPG", "b/c/3.jpg", "b/notes.txt", "b/.hidden.jpg"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(photo, tmp_path / name)
    assert photos_in(predict("b", "--json", "--batch", 2).out) == ["b/1.JPG", "b/2.jpg", "b/c/3.jpg"]
    assert photos_in(predict("b/*.jpg", "-", "--json", stdin=photo.read_bytes()).out) == ["b/2.jpg", "stdin"]
    odd = tmp_path / "odd[1].jpg"
    odd.touch()
    assert [found.path for found in find_photos([str(odd), "missing.jpg"])] == [str(odd), "missing.jpg"]


def test_watch_answers_new_photos_until_ctrl_c(server: Server, photo: Path, tmp_path: Path) -> None:
    """A photo that is moved in and one that is written slowly are each answered once; Ctrl-C is a good end."""
    folder = tmp_path / "inbox"
    folder.mkdir()
    shutil.copy(photo, folder / "old.jpg")
    with process("--json", "--target", server.grpc, "--watch", folder) as started:
        assert "Watching" in started.stderr.readline()
        shutil.copy(photo, folder / "new.jpg")
        answers = [started.stdout.readline()]
        with (folder / "slow.jpg").open("wb") as file:
            for start in range(0, len(photo.read_bytes()), 12_000):
                file.write(photo.read_bytes()[start : start + 12_000])
                file.flush()
                time.sleep(0.2)  # less than the command waits to see whether a photo still grows
        answers.append(started.stdout.readline())
        started.send_signal(signal.SIGINT)
        assert started.wait(10) == 0, started.stderr.read()
        assert started.stdout.read() == ""
    assert [Path(name).name for name in photos_in("".join(answers))] == ["new.jpg", "slow.jpg"]


def test_a_reader_that_goes_away_is_no_failure_worth_a_traceback(server: Server, photo: Path) -> None:
    """predict.py ... | head -1"""
    with process("--json", "--target", server.grpc, *[photo] * 60) as started:
        started.stdout.readline()
        started.stdout.close()
        assert started.wait(30) == 141
        assert started.stderr.read() == ""


@pytest.mark.parametrize("form", ["--csv", "--coco"])
def test_a_full_disk_is_one_line(server: Server, photo: Path, form: str) -> None:
    """Nobody is to take what was written for whole: exit code 1, and the reason."""
    command = [sys.executable, "client/predict.py", str(photo), form, "--target", server.grpc]
    with Path("/dev/full").open("w") as full:
        ran = subprocess.run(command, cwd=ROOT, stdout=full, stderr=subprocess.PIPE, text=True, timeout=60)
    assert (ran.returncode, ran.stderr) == (1, "predict: standard output: No space left on device\n")


def test_broken_photos_are_reported_and_the_rest_go_on(predict: Any, photo: Path, tmp_path: Path) -> None:
    """Exit code 1, one line on stderr for each failure, and the others' answers on stdout.

    Over REST the server decodes, and its refusal does not know the file's name: the command does.
    """
    broken, cut, missing = (tmp_path / name for name in ("broken.png", "cut.jpg", "missing.jpg"))
    broken.write_bytes(b"\x89PNG\r\n\x1a\n" + bytes(100))
    cut.write_bytes(photo.read_bytes()[:5000])
    for transport in ("--grpc", "--rest"):
        ran = predict(photo, broken, missing, cut, photo, transport, "--json", "--batch", 5)
        assert (ran.code, photos_in(ran.out)) == (1, [str(photo)] * 2)
        assert [line.split(":")[1].strip() for line in ran.err.splitlines()] == [str(broken), str(missing), str(cut)]


def test_both_transports_read_what_pillow_forgives(predict: Any, picture: Image.Image, tmp_path: Path) -> None:
    """A PNG without its end, or with a wrong checksum, is answered over both; a JPEG that is cut is broken for both."""
    for name in ("cut.jpg", "cut.png", "wrong.png"):
        picture.save(tmp_path / name)
        data = bytearray((tmp_path / name).read_bytes())
        if name == "wrong.png":
            start = data.index(b"IDAT")
            data[start + 4 + int.from_bytes(data[start - 4 : start], "big")] ^= 255
        (tmp_path / name).write_bytes(data[:-12] if name == "cut.png" else data[:-2] if name == "cut.jpg" else data)
    for transport in ("--grpc", "--rest"):
        ran = predict("cut.png", "wrong.png", "cut.jpg", transport, "--json")
        assert (ran.code, photos_in(ran.out)) == (1, ["cut.png", "wrong.png"])
        assert ran.err.startswith("predict: cut.jpg: broken image")


NOBODY = nobody()


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["missing.jpg"], 3, "missing.jpg: No such file"),
        ([ROOT / "model"], 3, "no photo in this folder"),
        (["*.jpg.nothing"], 3, "no file matches"),
        (["-"], 3, "stdin"),
        (["PHOTO", "--token-file", "missing"], 3, "token"),
        (["PHOTO", "--retries", "-1"], 3, "retries"),
        (["PHOTO", "--parallel", "0"], 3, "parallel"),
        (["PHOTO", "--target", "one two"], 3, "host:port"),
        (["PHOTO", "--draw", __file__], 3, "cannot be written"),
        (["PHOTO", "PHOTO", "--draw", "out.jpg"], 3, "do not fit into one file"),
        (["BOMB"], 3, "10000x10000 pixels, at most 64 million"),
        (["PHOTO", "--target", f"http://{NOBODY}"], 4, "`make serve`"),
        (["PHOTO"] * 300 + ["--target", NOBODY, "--coco"], 4, "`make serve`"),  # one line, and not 300
        (["PHOTO", "--model", "foo"], 6, "foo"),
        (["PHOTO", "--version", "9", "--rest"], 6, "9"),
        (["PHOTO", "--label", "canary"], 6, "canary"),
        (["PHOTO"] * 9 + ["--min-score", "0.5"], 6, "version 1 of keypoints gives no scores"),
        ([], 2, "which photo"),
        (["PHOTO", "--version", "1", "--label", "x"], 2, "not allowed with"),
        (["PHOTO", "--tls-cert", "x"], 2, "go together"),
        (["PHOTO", "--min-score", "50"], 2, "not from 0 to 1"),
    ],
)
def test_each_failure_has_its_line_and_exit_code(
    predict: Any, photo: Path, arguments: list[Any], code: int, message: str
) -> None:
    """One line on stderr, nothing but whole documents of answers on stdout."""
    bomb = photo.with_name("bomb.png")
    Image.new("1", (10_000, 10_000)).save(bomb)
    ran = predict(*({"PHOTO": photo, "BOMB": bomb}.get(argument, argument) for argument in arguments))
    assert (ran.code, message in ran.err) == (code, True), ran.err
    assert len(ran.err.splitlines()) == 1 or code == 2
    assert ran.out == "" or json.loads(ran.out)["annotations"] == []


def test_a_busy_server_fails_photos_one_by_one(predict: Any, photo: Path) -> None:
    """What may pass does not end the run; where all fail in one way, the exit code is that way's."""
    with failing("grpc", "RESOURCE_EXHAUSTED", 429, "queue full") as server:
        ran = predict(photo, photo, "--target", server.target, "--retries", 0)
    assert (ran.code, ran.err.count("queue full")) == (7, 2)


def test_a_server_that_takes_longer_than_it_may(predict: Any, photo: Path) -> None:
    def too_late(_: bytes, context: Any) -> bytes:
        time.sleep(context.time_remaining() + 0.5)
        return b""

    with FakeGrpc(too_late) as server:
        ran = predict(photo, "--target", server.target, "--timeout", "0.3")
    assert (ran.code, ran.err.count("no answer in time"), ran.out) == (5, 1, "")


def test_progress_shows_count_rate_and_time_left(monkeypatch: pytest.MonkeyPatch) -> None:
    """On a terminal, for more than one photo; nowhere else."""
    terminal, pipe, alone = io.StringIO(), io.StringIO(), io.StringIO()
    for screen in (terminal, alone):
        monkeypatch.setattr(screen, "isatty", lambda: True)
    monkeypatch.setattr(time, "monotonic", iter(range(0, 99, 4)).__next__)
    for total, stream in ((200, terminal), (200, pipe), (1, alone)):
        progress = Progress(total, stream)
        progress.advance()
        progress.clear()
    assert terminal.getvalue() == "\r\x1b[2K1/200  0.2 photos/s  13:16 left\r\x1b[2K"
    assert (pipe.getvalue(), alone.getvalue()) == ("", "")


def test_a_server_with_few_threads_loses_no_photo(predict: Any, model_base: Path, photo: Path) -> None:
    """The official one answers four calls per core at once and refuses the others: the client asks again."""
    command = ["--json", "--parallel", "16", *[photo] * 200]
    with running(model_base, "--grpc_max_threads=3") as limited:
        answered = predict("--target", limited.grpc, *command)
        assert (answered.code, answered.out.count("\n")) == (0, 200)
        refused = predict("--target", limited.grpc, "--retries", "0", *command)
        assert (refused.code, "busy" in refused.err) == (1, True)
