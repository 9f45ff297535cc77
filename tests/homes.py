"""Homes for tests: one that was trained and exported once, and commands as a person runs them in homes of their own."""

from __future__ import annotations

import io
import os
import subprocess
import sys
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass
from pathlib import Path
from unittest import mock

from pipeline import cli
from pipeline.background.ports import free_port
from pipeline.data.records import Dataset
from pipeline.training.checkpoints import Checkpoint
from pipeline.training.presets import Preset
from pipeline.training.runs import Run

ROOT = Path(__file__).resolve().parents[1]
REAL_PHOTOS = Path(os.environ.get("SEAMLINE_TEST_PHOTOS", ROOT.parent / "shared" / "garments"))
"""A folder with train/ and val/ of real annotated photos, where this machine has them."""
PREDICT = [sys.executable, "client/predict.py"]


@dataclass(frozen=True)
class Made:
    """After `train` and `export` of the preset tiny: how many seconds they took, and what training said."""

    home: Path
    seconds: float
    said: str


@dataclass(frozen=True)
class TinyRun:
    """The run of that home and its best checkpoint. Tests may add files to it, and change none."""

    home: Path
    run: Run
    best: Checkpoint

    @property
    def dataset(self) -> Dataset:
        return self.run.dataset

    @property
    def preset(self) -> Preset:
        return self.run.preset

    @property
    def photos(self) -> Path:
        """The drawn garments, as a folder of annotated photos."""
        return self.home / "data" / "drawn" / f"drawn-{self.preset.drawn}"


class Seamline:
    """The project's commands in a home of their own, on ports of their own."""

    def __init__(self, home: Path) -> None:
        self.home = home
        self.said = ""
        self.grpc_port, self.rest_port = free_port(), free_port()
        kept = {name: value for name, value in os.environ.items() if not name.startswith(("MAKE", "MFLAGS"))}
        self.environment = {
            **kept,
            "SEAMLINE_HOME": str(home),
            "SEAMLINE_GRPC_PORT": str(self.grpc_port),
            "SEAMLINE_REST_PORT": str(self.rest_port),
        }

    def run(self, *command: str, code: int = 0) -> str:
        done = subprocess.run(
            command, cwd=ROOT, env=self.environment, capture_output=True, text=True, timeout=280, check=False
        )
        assert done.returncode == code, done.stdout + done.stderr
        assert "Traceback" not in done.stdout + done.stderr
        return done.stdout if code == 0 else done.stderr

    def make(self, *targets: str, code: int = 0) -> str:
        return self.run("make", *targets, "RUNTIME=local", f"PYTHON={sys.executable}", code=code)

    def pipeline(self, *arguments: str, code: int = 0) -> str:
        """`python -m pipeline` inside this process, which has paid for importing TensorFlow already."""
        out, err, ended = io.StringIO(), io.StringIO(), 0
        argv, environment = ["pipeline", *arguments], mock.patch.dict(os.environ, self.environment)
        with environment, mock.patch.object(sys, "argv", argv), redirect_stdout(out), redirect_stderr(err):
            try:
                cli.main()
            except SystemExit as stop:
                ended = stop.code if isinstance(stop.code, int) else 1 if stop.code else 0
        said = out.getvalue() + err.getvalue()
        assert ended == code, said
        return out.getvalue() if code == 0 else err.getvalue()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.rest_port}/v1/models/keypoints"

    def sample(self) -> str:
        """A picture of version 1's golden requests."""
        return str(next((self.home / "models/keypoints/1/assets.extra/golden").glob("0.*")))
