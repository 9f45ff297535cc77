"""What tests of Spark share: a model, photos, and a cluster on the loopback."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from benchmarks.cluster import Cluster, cluster
from pipeline.data import shards
from pipeline.errors import PipelineError
from pipeline.scale import java, predict
from tests.homes import ROOT, Made, Seamline
from tests.untraced import untraced

SMALL = "from pipeline.data import shards, photos; from pipeline.scale import predict; from pipeline import cli; "
SMALL += "shards.PHOTOS = photos.PART = predict.PART = 8; cli.main()"
"""The command with parts so small that a few photos make many. Workers take them as they come."""


class Home:
    """A home with a published version, for commands in processes of their own."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.environment = {**untraced(), "SEAMLINE_HOME": str(folder), "SPARK_LOCAL_IP": "127.0.0.1"}

    def start(self, *arguments: str, submitted: str = "") -> subprocess.Popen[str]:
        """`submitted` are options for Spark, by its own means."""
        command = [sys.executable, "-c", SMALL, *arguments]
        paths = os.pathsep.join(map(str, (ROOT, ROOT / "client")))
        return subprocess.Popen(
            command,
            cwd=ROOT,
            env={**self.environment, "PYTHONPATH": paths, "PYSPARK_SUBMIT_ARGS": f"{submitted} pyspark-shell"},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def here(self, *arguments: str) -> str:
        """In this process, without Spark."""
        return Seamline(self.folder).pipeline(*arguments)

    def run(self, *arguments: str, submitted: str = "", code: int = 0) -> str:
        process = self.start(*arguments, submitted=submitted)
        try:
            out, err = process.communicate(timeout=600)
        finally:
            process.kill()
        assert process.returncode == code, out + err
        assert "Traceback" not in err
        return out if code == 0 else err


@pytest.fixture
def small_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    """As SMALL, for commands in this process."""
    monkeypatch.setattr(shards, "PHOTOS", 8)
    monkeypatch.setattr("pipeline.data.photos.PART", 8)
    monkeypatch.setattr(predict, "PART", 8)


@pytest.fixture(scope="module")
def home(made: Made, tmp_path_factory: pytest.TempPathFactory) -> Home:
    folder = tmp_path_factory.mktemp("scale") / "home"
    shutil.copytree(made.home / "models", folder / "models")
    return Home(folder)


@pytest.fixture(scope="session")
def photos(garments_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Forty drawn garments, two of them no photos."""
    folder = tmp_path_factory.mktemp("many") / "photos"
    shutil.copytree(garments_folder, folder)
    first, *_, last = sorted(folder.glob("Images/*/*.jpg"))
    first.write_bytes(b"no photo")
    last.write_bytes(b"")
    return folder


@pytest.fixture(scope="session")
def spark() -> None:
    """Only these tests need what requirements/spark.lock brings, and Java."""
    pytest.importorskip("pyspark", reason="pyspark is not installed; `make test` installs it, on Python 3.10 or newer")
    try:
        java.check()
    except PipelineError as error:
        pytest.skip(str(error))


@pytest.fixture(scope="module")
def two_workers(spark: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """Tests may kill the second worker, the last of them."""
    with cluster(2, tmp_path_factory.mktemp("cluster")) as found:
        yield found


def rows(folder: Path) -> list[dict[str, object]]:
    """Of the answers, in the order of the files."""
    return [json.loads(line) for file in sorted(folder.glob("*.jsonl")) for line in file.read_text().splitlines()]


def content(folder: Path) -> dict[str, bytes]:
    """Of each file of a data set."""
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def flat(value: Any, name: str = "") -> dict[str, Any]:
    """Numbers and words by their place."""
    if isinstance(value, (dict, list)):
        pairs = value.items() if isinstance(value, dict) else enumerate(value)
        return {place: each for key, inner in pairs for place, each in flat(inner, f"{name}/{key}").items()}
    return {name: value}
