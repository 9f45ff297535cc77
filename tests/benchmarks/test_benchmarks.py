"""Every benchmark runs to its end with --quick, and leaves what the page of figures is made of."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

import pytest
from PIL import Image

from benchmarks.data import on
from benchmarks.measure import core_counts
from benchmarks.page import markdown
from tests.local_job import Seamline
from tests.untraced import untraced

ROOT = Path(__file__).resolve().parents[2]
CORES = on(core_counts()[-1])
CASES = {
    "training": ["Estimator", "bare step, from memory", "Keras fit"],
    "data": [f"draw, {CORES}", f"read and augment, {CORES}", CORES, "the whole command"],
    "serving": [
        "in-process uint8",
        "gRPC uint8",
        "gRPC uint8, a pause",
        "REST bytes",
        "REST float JSON",
        "REST uint8 JSON",
    ],
    "batching": ["in-process, batch 8", "16 callers, batching", "16 callers, no batching"],
    "folder": ["serving_uint8, a folder of photos", "serving_bytes, a folder of photos"],
    "client": ["our client needs", "predict.py --help", "ours, gRPC uint8", "usual way, REST float JSON"],
    "scale": ["32", "list them, ms", "a server that nobody asks, % of a core"],
    "swap": ["warm-up", "no warm-up requests", "--enable_model_warmup=false"],
    "choices": ["photos"],
}


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


@pytest.fixture(scope="module")
def runs(
    seamline: Seamline, tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest
) -> Iterator[dict[str, tuple[Path, Future[str]]]]:
    """The benchmarks that are tested, two at a time: most of what they do with --quick is to start programs.

    `serving` measures the server that runs already; `batching` starts its own.
    """
    targets = ["--target", f"127.0.0.1:{seamline.grpc_port}", "--rest-target", f"127.0.0.1:{seamline.rest_port}"]
    drawn = str(seamline.home / "data/drawn/drawn-40")
    learnt = str(tmp_path_factory.mktemp("learnt"))
    extra = {
        "training": ["--preset", "tiny"],
        "serving": targets,
        "choices": ["--data", drawn, "--test", drawn, "--runs", learnt, "--only", "photos"],
    }
    items = [item for item in request.session.items if isinstance(item, pytest.Function) and hasattr(item, "callspec")]
    names = [item.callspec.params["name"] for item in items if item.function is test_a_benchmark_leaves_tables]
    with ThreadPoolExecutor(2) as pool:
        started = {}
        for name in map(str, names):
            out = tmp_path_factory.mktemp(name)
            command = (name, "--quick", "--out", str(out), *extra.get(name, []))
            started[name] = out, pool.submit(run, seamline.home, *command)
        yield started


@pytest.mark.parametrize("name", sorted(CASES))
def test_a_benchmark_leaves_tables(runs: dict[str, tuple[Path, Future[str]]], name: str) -> None:
    """JSON with the machine and every case that is compared, and a picture; the same is printed."""
    out, done = runs[name]
    said = done.result()
    results = json.loads((out / f"{name}.json").read_text())
    assert {"processor", "cores", "load", "tensorflow"} <= results["machine"].keys()
    assert results["quick"]
    assert set(CASES[name]) <= {cell for table in results["tables"] for row in table["rows"] for cell in row}
    assert results["tables"][0]["title"] in said
    with Image.open(out / f"{name}.png") as picture:
        assert picture.width > 600


def test_a_running_server_can_be_named_by_both_ports_only(seamline: Seamline, tmp_path: Path) -> None:
    """One port without the other: a message, before anything is measured."""
    said = run(seamline.home, "serving", "--target", "127.0.0.1:1", "--out", str(tmp_path), code=1)
    assert "give both or neither" in said


def test_without_a_version_it_says_what_to_do(tmp_path: Path) -> None:
    """An empty home: which command makes a version."""
    assert "make train export" in run(tmp_path, "folder", "--out", str(tmp_path), code=1)


def test_the_page_keeps_what_is_around_its_tables(tmp_path: Path) -> None:
    """Between the markers stand the new tables; a benchmark that was not run keeps its old ones."""
    page, results = tmp_path / "page.md", tmp_path / "results"
    results.mkdir()
    page.write_text("# Top\n<!-- swap -->\nold\n<!-- /swap -->\nrest\n<!-- data -->\nkept\n<!-- /data -->\n")
    found = {
        "taken": "2024-01-01 00:00",
        "seconds": 3,
        "quick": False,
        "machine": {"cores": "2"},
        "tables": [{"title": "T", "header": ["a", "b"], "rows": [["x|y", r"\1"]]}],
    }
    (results / "swap.json").write_text(json.dumps(found))
    said = run(tmp_path, "page", "--results", str(results), "--page", str(page))
    assert "data: no" in said
    text = page.read_text()
    assert "old" not in text
    assert "kept" in text
    assert text.startswith("# Top\n<!-- swap -->\n![swap](results/swap.png)\n\n**T**\n")
    assert r"| x/y | \1 |" in text
    assert markdown(found) in text


def test_the_pages_markers_are_the_benchmarks() -> None:
    """docs/benchmarks.md has a place for each benchmark's tables."""
    text = (ROOT / "docs/benchmarks.md").read_text()
    for name in CASES:
        assert f"<!-- {name} -->\n" in text
        assert f"<!-- /{name} -->\n" in text
