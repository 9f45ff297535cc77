"""Every benchmark runs to its end with --quick, and leaves what the page of figures is made of."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest
from PIL import Image

from benchmarks.__main__ import NAMES
from benchmarks.measure import callers, in_turn, ratio
from benchmarks.page import fill
from tests.homes import ROOT, Seamline
from tests.untraced import untraced

CASES = {
    "training": ["python -m pipeline train", "input alone", "bare step, from memory", "Keras fit"],
    "data": ["draw garments", "write 50 photos as TFRecord"],
    "serving": ["in-process uint8", "gRPC float", "REST bytes", "gRPC uint8, 16", "gRPC uint8, batching, callers: 16"],
    "folder": ["serving_uint8, a folder of photos", "serving_bytes, ready-made requests", "20 photos"],
    "client": ["predict.py --help", "ours, gRPC uint8", "usual way, gRPC float", "usual way, REST float JSON"],
    "gateway": ["gRPC uint8", "gRPC uint8, gateway", "REST bytes, gateway"],
    "swap": ["warm-up", "no warm-up"],
    "scale": ["without Spark, all cores", "1 executor"],
}
FAST = "data"
"""The one that needs no server: `make test` runs it, `make test-all` the others."""


def run(home: Path, *arguments: str, code: int = 0) -> str:
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks", *arguments],
        cwd=ROOT,
        env={**untraced(), "SEAMLINE_HOME": str(home)},
        capture_output=True,
        text=True,
        timeout=200,
        check=False,
    )
    assert done.returncode == code, done.stdout + done.stderr
    return done.stdout + done.stderr


@pytest.mark.parametrize("name", [pytest.param(name, marks=[pytest.mark.slow] * (name != FAST)) for name in CASES])
def test_a_benchmark_leaves_tables_rounds_and_a_picture(
    name: str, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    """Of every case that it compares, and of the machine; it prints the same tables. `data` needs no version."""
    home = tmp_path if name == FAST else request.getfixturevalue("seamline").home
    said = run(home, name, "--quick", "--out", str(tmp_path))
    tables = (tmp_path / f"{name}.md").read_text()
    assert set(CASES[name]) <= set(re.findall(r"^\| (.*?) *\|", tables, re.M))
    assert "with --quick" in tables
    assert tables in said
    machine = json.loads((tmp_path / f"{name}.json").read_text())["machine"]
    assert {"processor", "cores", "load", "tensorflow"} <= machine.keys()
    with Image.open(tmp_path / f"{name}.png") as picture:
        assert picture.width > 600


@pytest.mark.slow
def test_a_running_server_is_measured_by_its_two_ports(seamline: Seamline, tmp_path: Path) -> None:
    """The tables name it as the server."""
    targets = f"127.0.0.1:{seamline.grpc_port}", f"127.0.0.1:{seamline.rest_port}"
    options = ["--target", targets[0], "--rest-target", targets[1], "--quick", "--out", str(tmp_path)]
    assert f"server {targets[0]}." in run(seamline.home, "folder", *options)


@pytest.mark.slow
def test_the_one_for_a_gpu_ends_without_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It says so, does all of it on the processor, and leaves the text that is to be sent back."""
    monkeypatch.setenv("PATH", str(Path(sys.executable).parent))  # no docker command
    said = run(tmp_path, "gpu", "--quick", "--out", str(tmp_path))
    text = (tmp_path / "gpu.txt").read_text()
    assert text in said
    for each in (
        "there is no docker command",
        "NO GPU: all of this ran on the processor",
        "train --preset tiny --steps 6: ",
        "input alone: ",
        "the limit is the ",
        "export, with its proofs: ",
        "verify: the running server against the Estimator: ",
        "they differ by at most ",
    ):
        assert each in text
    assert "FAILED" not in text
    assert (tmp_path / "gpu.png").exists()


def test_what_cannot_be_measured_is_said_in_one_message(seamline: Seamline, tmp_path: Path) -> None:
    """One port of two, or a home without a version: before anything is measured."""
    for home, options, message in (
        (tmp_path, ["folder"], "No version is published"),
        (seamline.home, ["serving", "--target", "127.0.0.1:1"], "give both or neither"),
    ):
        said = run(home, *options, "--out", str(tmp_path), code=1)
        assert message in said
        assert "Traceback" not in said


def test_cases_take_turns_and_a_ratio_has_its_interval() -> None:
    """Warm-up rounds do not count; twice the time is a ratio of 2."""
    turns: list[str] = []
    found = in_turn({name: lambda name=name: turns.append(name) for name in "ab"}, 4, warm_up=1)  # type: ignore[misc]
    assert all({*pair} == {"a", "b"} for pair in zip(turns[::2], turns[1::2]))
    assert [len(results) for results in found.values()] == [4, 4]
    assert ratio([2.0, 2.2, 1.8], [1.0, 1.1, 0.9]) == "2.00 (2.00 to 2.00)"


def test_a_failed_request_ends_a_measurement() -> None:
    """Its figures would mean nothing."""
    with pytest.raises(SystemExit, match="the first with: division"):
        callers(2, 0, lambda: 1 / 0)


def test_the_page_keeps_what_is_around_its_tables(tmp_path: Path) -> None:
    """Between the markers stand the new tables; a benchmark that was not run keeps its old ones."""
    page = tmp_path / "page.md"
    page.write_text("# Top\n<!-- swap -->\nold\n<!-- /swap -->\nrest\n<!-- data -->\nkept\n<!-- /data -->\n")
    (tmp_path / "swap.md").write_text("| a | \\1 |\n")
    (tmp_path / "swap.png").write_bytes(b"a picture")
    fill(tmp_path, page)
    new = "<!-- swap -->\n![swap](page/swap.png)\n\n| a | \\1 |\n<!-- /swap -->"
    assert page.read_text() == f"# Top\n{new}\nrest\n<!-- data -->\nkept\n<!-- /data -->\n"
    assert (tmp_path / "page/swap.png").read_bytes() == b"a picture"


def test_the_page_has_a_place_for_every_benchmark() -> None:
    """Between a pair of markers, with a picture that exists."""
    text = (ROOT / "docs/benchmarks.md").read_text()
    assert re.findall(r"^<!-- (\w+) -->\n!\[.*?^<!-- /\1 -->$", text, re.M | re.S) == [*NAMES]
    assert {*NAMES} == {path.stem for path in (ROOT / "docs/benchmarks").iterdir()} == {*CASES}
