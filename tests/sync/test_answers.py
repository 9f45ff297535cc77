"""What a machine's server is asked before a version answers there, and the loop beside it."""

from __future__ import annotations

import io
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from unittest.mock import Mock

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from pipeline.errors import ParityError
from pipeline.release import history, models_config
from pipeline.release.golden import Golden, replay
from pipeline.release.store import ModelStore, write_checksums
from pipeline.sync import moving
from pipeline.sync.state import State
from seamline_client.contract import SIGNATURES, Signature
from tests.homes import ROOT
from tests.release.world import World
from tests.sync.machines import Bucket, Publisher, environment
from tests.waiting import until

RATIOS = ("pred_x_ratio", "pred_y_ratio")


class Fixed(tf.Module):
    """Answers every photo with the same points, through the signatures of the contract."""

    def __init__(self, ratio: float) -> None:
        super().__init__()
        self._ratio = tf.constant(ratio)

    def signatures(self) -> dict[str, Any]:
        return {each.key: tf.function(self._answer, input_signature=[self._spec(each)]) for each in SIGNATURES.values()}

    def _spec(self, signature: Signature) -> tf.TensorSpec:
        shape = [None, *signature.input.shape[1:]]
        return tf.TensorSpec(shape, signature.input.dtype, signature.input.name)

    def _answer(self, photos: tf.Tensor) -> dict[str, tf.Tensor]:
        return {name: tf.fill([tf.shape(photos)[0], 24], self._ratio) for name in RATIOS}


def version(folder: Path, ratio: float, trained: float) -> Path:
    """One that answers with that ratio, and was trained to answer with the other."""
    model = Fixed(ratio)
    tf.saved_model.save(model, str(folder), signatures=model.signatures())
    photo = io.BytesIO()
    Image.new("RGB", (384, 384)).save(photo, "PNG")
    outputs = {name: np.full((1, 24), trained, np.float32) for name in RATIOS}
    Golden((photo.getvalue(),), np.zeros((1, 384, 384, 3), np.uint8), outputs).save(folder)
    write_checksums(folder)
    return folder


@pytest.fixture
def pulled(tmp_path: Path) -> Iterator[World]:
    """A machine whose server answers with version 1, and which has pulled 2 and 3; 3 does not answer as was trained."""
    world = World(tmp_path, served=True)
    for number, trained in ((1, 0.1), (2, 0.2), (3, 0.4)):
        world.store.adopt(version(tmp_path / "made" / str(number), number / 10, trained), number, 3)
    world.offline.promote(1)
    with world.serving():
        yield world


def state(world: World, version: int) -> State:
    return State((1, 2, 3), version, None, 3, tuple(history.lines(world.offline.store)), "here")


def test_golden_requests_before_a_version_answers(pulled: World) -> None:
    """One that answers as trained takes the place of another; one that does not never answers to a name that anybody
    calls, and what answered before goes on."""
    served: list[tuple[models_config.Serving, int | None]] = []
    write = models_config.write

    def record(store: ModelStore, serving: models_config.Serving, *, trial: int | None = None) -> None:
        served.append((serving, trial))
        write(store, serving, trial=trial)

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(models_config, "write", record)
        (said,) = moving.move(pulled.releases, state(pulled, 2))
        assert said.startswith("keypoints: version 2 answers at ")
        assert "as trained" in said
        assert said.endswith("version 1 before")
        with pytest.raises(ParityError, match=r"Version 3, asked as keypoints-trial: .* pred_x_ratio differs"):
            moving.move(pulled.releases, state(pulled, 3))
    Serving = models_config.Serving
    assert served == [(Serving(1), 2), (Serving(2), None), (Serving(2), 3), (Serving(2), None)]
    with pulled.client("grpc") as client:
        replay(Golden.load(pulled.store.folder / "2"), client, version=2)
    pulled.releases.confirm()


def test_whoever_ends_it_ends_the_trial(pulled: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """SIGTERM or Ctrl-C in the middle of a golden request: what answered before goes on, and nothing is on trial."""
    before = models_config.path(pulled.store).read_text()
    for ended in (SystemExit(0), KeyboardInterrupt()):
        monkeypatch.setattr(moving, "verify", Mock(side_effect=ended))
        with pytest.raises(type(ended)):
            moving.move(pulled.releases, state(pulled, 2))
        assert models_config.path(pulled.store).read_text() == before


class Loop:
    """`pull --every 1` as a process, and what it says."""

    def __init__(self, bucket: Bucket, home: Path) -> None:
        command = [sys.executable, "-u", "-m", "pipeline", "pull", "s3://bucket/of/ours", "--every", "1"]
        self.log = home.with_name("log")
        with self.log.open("w") as log:
            self.process = subprocess.Popen(
                command, cwd=ROOT, env=environment(bucket, home), stdout=log, stderr=subprocess.STDOUT
            )

    def says(self, what: str) -> list[str]:
        until(lambda: what in self.log.read_text() or self.process.poll() is not None, 120, self.log.read_text)
        assert what in self.log.read_text()
        return self.log.read_text().splitlines()


@pytest.mark.slow  # rclone waits for a bucket that is away: 20 s
def test_an_outage(bucket: Bucket, publisher: Publisher, tmp_path: Path) -> None:
    """Is one line when it begins and one when it ends, however long; then the loop goes on. SIGTERM ends it well."""
    loop = Loop(bucket, tmp_path / "machine")
    try:
        loop.says("nothing has been pushed there yet")
        publisher.publish()
        publisher.push()
        loop.says("version 1 answers from the next start on")
        bucket.stop()
        loop.says("rclone cat")
        rounds = len(bucket.heard)
        until(lambda: len(bucket.heard) >= rounds + 6, 120)
        publisher.publish()
        bucket.start()
        publisher.push()
        lines = loop.says("version 2 answers")
    finally:
        loop.process.send_signal(signal.SIGTERM)
        code = loop.process.wait(60)
    assert code == 0
    kinds = ["nothing has been pushed", "answers again", "Version 1 arrived", "version 1 answers", "rclone cat"]
    kinds += ["answers again", "Version 2 arrived", "version 2 answers"]
    lines = [line for line in lines if "answers at" not in line]
    assert len([line for line in lines if "rclone cat" in line]) == 1, lines
    assert [next(kind for kind in kinds if kind in line) for line in lines if line != "It answers again"]
