"""What a client keeps when it is asked to: whole photos with their answers, within limits, and in nobody's way."""

from __future__ import annotations

import asyncio
import os
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from seamline_client import AsyncPredictClient, PredictClient, Sample, sampling
from seamline_client.command import main
from seamline_client.contract import PRED_SCORE, UINT8
from seamline_client.errors import InvalidInput
from seamline_client.images import Request, pixels
from seamline_client.keypoints import GARMENTS, numbered
from seamline_client.sampling import Keeper
from tests.client.fakes import FakeGrpc, as_grpc, good_outputs, predicting
from tests.faults.test_disks import full, small_disk

SCORES = np.linspace(0.1, 1, 24, dtype=np.float32)[None]
WITH_SCORES = {**good_outputs(), PRED_SCORE.name: SCORES}


@pytest.fixture
def target() -> Iterator[str]:
    with FakeGrpc(lambda *_: as_grpc(WITH_SCORES, version=3)) as server:
        yield server.target


@pytest.fixture
def photo(tmp_path: Path) -> Path:
    """Wide, with a place and a camera in its EXIF."""
    path = tmp_path / "photo.jpg"
    exif = Image.Exif()
    exif[0x010F] = "a camera"
    exif.get_ifd(0x8825)[1] = "N"
    blots = np.random.default_rng(1).integers(0, 255, (30, 60, 3), np.uint8)
    Image.fromarray(blots).resize((1200, 600), Image.Resampling.BICUBIC).save(path, exif=exif)
    return path


def kept(folder: Path) -> list[Path]:
    return sorted(folder.glob("*")) if folder.is_dir() else []


def test_nothing_is_kept_unless_it_is_asked_for(
    target: str, photo: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Neither by the library nor by the command, nor for a share of nothing, whatever else is set."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv(sampling.SHARE, raising=False)
    monkeypatch.setenv(sampling.FOLDER, "there")
    before = kept(tmp_path)
    with PredictClient(target) as client:
        client.predict(photo)
    assert main([str(photo), "--target", target]) == 0
    monkeypatch.setenv(sampling.SHARE, "1")
    assert main([str(photo), "--target", target, "--sample", "0"]) == 0
    assert kept(tmp_path) == before


@pytest.mark.parametrize("transport", ["grpc", "rest"])
def test_a_kept_photo_is_what_the_model_saw_with_its_answer_and_nothing_of_the_camera(
    photo: Path, tmp_path: Path, transport: Any
) -> None:
    """One JPEG that only its owner can read, in the photo's proportions; of a file or of pixels."""
    sample = Sample(tmp_path / "a" / "b", 1)
    with Image.open(photo) as opened:
        array = np.asarray(opened)
    with predicting(transport, WITH_SCORES) as server, PredictClient(server.target, transport, sample=sample) as client:
        answers = [client.predict(each)[0] for each in (photo, array)]
    paths = kept(tmp_path / "a" / "b")
    assert len(paths) == 2
    for path, answer in zip(paths, answers):
        assert path.stat().st_mode & 0o777 == 0o600
        assert path.parent.stat().st_mode & 0o777 == 0o700
        found = sampling.read(path, GARMENTS)
        np.testing.assert_allclose(found.prediction.pixels, answer.pixels, atol=0.01)
        assert found.prediction.score is not None
        np.testing.assert_allclose(found.prediction.score, SCORES[0], atol=1e-5)
        assert found.prediction.visibility.tolist() == answer.visibility.tolist()
        assert found.prediction.size == (1200, 600)
        assert (found.prediction.model, found.prediction.version) == ("keypoints", answer.version)
        assert abs(time.time() - found.at.timestamp()) < 60
        with Image.open(path) as picture:
            assert picture.size == (768, 384)
            assert not picture.getexif()
        assert b"a camera" not in path.read_bytes()
        sent, seen = (pixels(each)[0].astype(int) for each in (photo, path))
        assert np.abs(sent - seen).mean() < 2


def test_a_share_is_kept(target: str, photo: Path, tmp_path: Path) -> None:
    """Of a thousand photos asked about in a stream, a tenth or so; where the disk does not follow, fewer."""
    keeper = Keeper(Sample(tmp_path / "kept", 0.1))
    offered: list[object] = []
    keeper._start = lambda: offered.append(keeper._waiting.get())  # type: ignore[method-assign]
    with PredictClient(target) as client:
        found = client.predict(photo)
        for _ in range(1000):
            keeper.offer(Request(UINT8, np.zeros((1, 384, 384, 3), np.uint8), [(9, 9)]), found)
    assert 60 < len(offered) < 140


def test_limits_of_age_and_size_hold_and_nothing_else_goes(target: str, photo: Path, tmp_path: Path) -> None:
    """The old ones go, the oldest of too many, and what a kill left behind; files of others stay."""
    folder = tmp_path / "kept"
    with PredictClient(target, sample=Sample(folder, 1)) as client:
        client.predict(photo)
    (one,) = kept(folder)
    names = [f"20260101T00000{second}-{second:016x}.jpg" for second in range(8)]
    now = time.time()
    for age, name in enumerate(reversed([f".{names[0]}.partial", *names])):
        (folder / name).write_bytes(one.read_bytes())
        os.utime(folder / name, (now - age * 3600 - 10, now - age * 3600 - 10))
    (folder / "of-others.jpg").touch()
    os.utime(folder / "of-others.jpg", (0, 0))
    limit = 4.5 * one.stat().st_size / 1e6
    with PredictClient(target, sample=Sample(folder, 1, megabytes=limit, days=1)) as client:
        client.predict(photo)
    left = [path.name for path in kept(folder)]
    assert "of-others.jpg" in left
    assert not any(name.endswith(".partial") for name in left)
    assert [name for name in left if name in names] == names[-3:]
    assert len(left) == 6
    os.utime(folder / names[-1], (now - 2 * 86400, now - 2 * 86400))
    with PredictClient(target, sample=Sample(folder, 1, days=1)) as client:
        client.predict(photo)
    assert names[-1] not in [path.name for path in kept(folder)]


def test_any_number_of_clients_share_a_folder(target: str, photo: Path, tmp_path: Path) -> None:
    """Each photo is there once and whole, though all of them also tidy up."""
    folder = tmp_path / "kept"

    def ask(_: int) -> None:
        with PredictClient(target, sample=Sample(folder, 1)) as client:
            assert all(each.prediction for each in client.stream([photo] * 4, parallel=2))

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(ask, range(4)))
    assert len(kept(folder)) == 16
    assert all(sampling.read(path, GARMENTS).prediction.version == 3 for path in kept(folder))


def test_a_disk_that_is_full_is_one_warning_and_every_answer_comes(
    target: str, photo: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture, capsys: pytest.CaptureFixture[str]
) -> None:
    """Of the library in its log, of the command on standard error; and nothing is left of what did not fit."""
    disk = tmp_path / "disk"
    with small_disk(disk, 100), full(disk, 4096):
        with PredictClient(target, sample=Sample(disk / "kept", 1)) as client:
            assert len([each.prediction for each in client.stream([photo] * 5) if each.prediction]) == 5
        assert [record.getMessage() for record in caplog.records] == [
            f"No sample is kept in {disk / 'kept'}: No space left on device. Answers go on."
        ]
        assert kept(disk / "kept") == []
        assert main([str(photo), "--target", target, "--sample", "1", "--sample-to", str(disk / "kept")]) == 0


def test_a_disk_that_hangs_delays_no_answer(
    target: str, photo: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What cannot be written meanwhile is not kept, and closing waits for it no longer than it says."""
    monkeypatch.setattr(sampling, "CLOSE_SECONDS", 0.1)
    keep = threading.Event()
    monkeypatch.setattr(Keeper, "_keep", lambda *_: keep.wait(60))
    began = time.monotonic()
    with PredictClient(target, sample=Sample(tmp_path / "kept", 1)) as client:
        for _ in range(sampling.WAITING + 5):
            client.predict(photo)
    assert time.monotonic() - began < 20
    keep.set()


def test_the_asynchronous_twin_keeps_a_sample_too(target: str, photo: Path, tmp_path: Path) -> None:
    async def ask() -> None:
        async with AsyncPredictClient(target, sample=Sample(tmp_path / "kept", 1)) as client:
            await client.predict(photo)

    asyncio.run(ask())
    assert len(kept(tmp_path / "kept")) == 1


@pytest.mark.parametrize(
    ("variable", "value"),
    [(sampling.SHARE, "much"), (sampling.SHARE, "1.5"), (sampling.SHARE, "nan"), (sampling.MEGABYTES, "0")],
)
def test_a_setting_that_makes_no_sense_is_named(
    variable: str, value: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv(sampling.SHARE, "1")
    monkeypatch.setenv(variable, value)
    assert main(["x.jpg"]) == InvalidInput.exit_code
    assert value in capsys.readouterr().err


def test_a_folder_without_a_share_is_asked_about(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["x.jpg", "--sample-to", "there"]) == InvalidInput.exit_code
    assert "--sample 0.01" in capsys.readouterr().err


def test_what_is_no_kept_photo_is_refused(target: str, photo: Path, tmp_path: Path) -> None:
    """Any other picture, none at all, and one of another keypoint set."""
    with PredictClient(target, sample=Sample(tmp_path / "kept", 1)) as client:
        client.predict(photo)
    (tmp_path / "empty.jpg").touch()
    (one,) = kept(tmp_path / "kept")
    for path, about in ((photo, GARMENTS), (tmp_path / "empty.jpg", GARMENTS), (one, numbered(5))):
        with pytest.raises(InvalidInput, match=f"{path.name}: not a photo of a sample"):
            sampling.read(path, about)
