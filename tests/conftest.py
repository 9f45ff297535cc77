"""What all tests share: a quiet TensorFlow, the real photos where this machine has them, skips that may be errors."""

from __future__ import annotations

import os
import shutil
import signal
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import settings
from xdist.scheduler import LoadScopeScheduling

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
# Each of the processes side by side is told a width, which would hold for all that is printed in it.
os.environ.pop("COLUMNS", None)

from garments import write_dataset
from pipeline.training.checkpoints import BestSoFar
from pipeline.training.runs import latest_run
from tests.homes import REAL_PHOTOS, ROOT, Made, Seamline, TinyRun

# Started in the background, as by `make test &`, this process ignores Ctrl-C, and so would every program it starts.
signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--no-skips", action="store_true", help="A skipped test is an error, unless it needs a GPU.")
    parser.addoption("--soak", action="store_true", help="Longer and with larger numbers, where a test has some.")


def pytest_configure(config: pytest.Config) -> None:
    """Random examples are as many as a test says for this profile; in the processes side by side too."""
    settings.register_profile("soak", max_examples=1000)
    if config.getoption("--soak"):
        settings.load_profile("soak")


class ByFile(LoadScopeScheduling):
    """What tests of a file share is made once. Those in containers share an engine, and change networks at will, which
    a browser that is opening a page takes for its own: they and those of the page are never side by side."""

    def _split_scope(self, nodeid: str) -> str:
        folder, _, _ = nodeid.rpartition("/")
        return "machine" if folder in ("tests/containers", "tests/page") else nodeid.partition("::")[0]


def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> ByFile:
    return ByFile(config, log)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo[None]):  # type: ignore[no-untyped-def]
    report = yield
    if report.skipped and item.config.getoption("--no-skips") and not item.get_closest_marker("gpu"):
        report.outcome = "failed"
        report.longrepr = f"{item.nodeid} was skipped, and --no-skips was asked for: {report.longrepr[-1]}"
    return report


@pytest.fixture(scope="session")
def soak(pytestconfig: pytest.Config) -> bool:
    """Whether `make soak` asks, which has hours, rather than `make test`."""
    return bool(pytestconfig.getoption("--soak"))


@pytest.fixture(scope="session")
def real_photos() -> Path:
    """A folder with train/ and val/ of real annotated photos. SEAMLINE_TEST_PHOTOS names another."""
    if not (REAL_PHOTOS / "train").is_dir():
        pytest.skip(f"no real photos in {REAL_PHOTOS}: set SEAMLINE_TEST_PHOTOS to a folder with train/ and val/")
    return REAL_PHOTOS


@pytest.fixture(scope="session")
def made(tmp_path_factory: pytest.TempPathFactory) -> Made:
    """A home that was trained and exported once, for all tests. Copy it before anything is changed in it."""
    seamline = Seamline(tmp_path_factory.mktemp("made") / "home")
    seamline.pipeline("data", "--preset", "tiny")
    started = time.monotonic()
    said = seamline.pipeline("train", "--preset", "tiny")
    seamline.pipeline("export")
    return Made(seamline.home, time.monotonic() - started, said)


@pytest.fixture(scope="session")
def tiny_run(made: Made) -> TinyRun:
    run = latest_run(made.home / "runs")
    checkpoint = BestSoFar(run.folder).checkpoint
    assert checkpoint
    return TinyRun(made.home, run, checkpoint)


@pytest.fixture(scope="session")
def seamline(made: Made, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Seamline]:
    """A copy of that home with a server, after `make serve`. Only tests/test_main_job.py changes what is in it."""
    copy = tmp_path_factory.mktemp("served") / "home"
    shutil.copytree(made.home, copy)
    seamline = Seamline(copy)
    try:
        seamline.said = seamline.make("serve")
        yield seamline
    finally:
        seamline.make("stop")


@pytest.fixture
def clone(tmp_path: Path) -> Path:
    """What a clone has, with the Python of these tests as its .venv."""
    folder = tmp_path / "clone"
    folder.mkdir()
    for name in ("client", "examples", "garments", "model", "model_server", "pipeline"):
        (folder / name).symlink_to(ROOT / name)
    (folder / ".venv").symlink_to(sys.prefix)
    return folder


@pytest.fixture(scope="session")
def garments_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Forty drawn garments, seed 1. Copy it to change it."""
    folder = tmp_path_factory.mktemp("drawn") / "garments"
    write_dataset(folder, 40, seed=1, processes=1)
    return folder
