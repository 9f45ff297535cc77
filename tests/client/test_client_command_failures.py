"""The command when something goes wrong: one line, an exit code of its own, and the other photos' answers."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import grpc
import pytest
from PIL import Image

from seamline_client.command import main
from seamline_client.finding import find_photos
from tests.client.client_support import ROOT, FakeGrpc, Server
from tests.ports import free_port


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
    command = [sys.executable, "-m", "seamline_client", "--coco", "--target", target, *[str(photo)] * 300]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60)
    assert (done.returncode, len(done.stderr.splitlines())) == (4, 1)
    assert json.loads(done.stdout)["annotations"] == []
    assert time.monotonic() - start < 10


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


def test_a_busy_server_fails_photos_one_by_one(photo: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """What may pass does not end the run; where all fail in one way, the exit code is that way's."""

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
