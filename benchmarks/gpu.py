"""For whoever has a GPU: check, train, measure, export, serve and compare with a CPU, and one text to send back.

Nothing of it was run on a GPU yet, so every word of that text is news. It works in a Compose project of its own, and
touches neither runs nor models. Where there is no GPU it does the same on the processor, with the smallest preset.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Protocol

from benchmarks.machine import ROOT, run_python
from benchmarks.measure import figure
from benchmarks.report import Report
from benchmarks.training import limit
from pipeline.background.ports import free_port
from pipeline.runtime import engine as engines
from pipeline.runtime.compose import Compose

PROJECT = "seamline-gpu-benchmark"
LAUNCH = ("-m", "pipeline.runtime.launch", "--runtime", "docker")
LAST_LINES = 12


class Place(Protocol):
    """Where the stages run."""

    def stage(self, *command: str) -> str:
        """What it says. Raises SystemExit with its error when it fails."""

    def inside(self, question: str, *, cpu: bool = False) -> Any:
        """The answer of `benchmarks.inside`, where the stages compute; with `cpu`, no GPU is seen."""


class Containers:
    def __init__(self) -> None:
        self._compose = Compose(engines.find(), gpu=True)

    def stage(self, *command: str) -> str:
        return run_python([*LAUNCH, *command]).said

    def inside(self, question: str, *, cpu: bool = False) -> Any:
        service = {"rates": "train", "difference": "evaluate"}[question]
        hidden = ["--env", "CUDA_VISIBLE_DEVICES=-1"] if cpu else []
        mount = ["--volume", f"{ROOT / 'benchmarks'}:/seamline/benchmarks:ro"]
        said, code = self._compose.answer(
            *mount, *hidden, "--entrypoint", "python", service, "-m", "benchmarks.inside", question
        )
        if code:
            raise SystemExit(f"benchmarks.inside {question}: exit code {code}, see above")
        return json.loads(said.splitlines()[-1])


class Local:
    def __init__(self, home: Path) -> None:
        self._home = home

    def stage(self, *command: str) -> str:
        return run_python(["-m", "pipeline", *command], home=self._home).said

    def inside(self, question: str, *, cpu: bool = False) -> Any:
        return json.loads(run_python(["-m", "benchmarks.inside", question], home=self._home).said.splitlines()[-1])


def run(arguments: argparse.Namespace, report: Report) -> None:
    """Each step on a line as it ends; what fails ends it, and the text says where."""
    os.environ.update(
        COMPOSE_PROJECT_NAME=PROJECT, SEAMLINE_GRPC_PORT=str(free_port()), SEAMLINE_REST_PORT=str(free_port())
    )
    check = subprocess.run(
        [sys.executable, *LAUNCH, "gpu-check"], cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )
    lines = ["gpu-check", *check.stdout.strip().splitlines()]
    print("\n".join(lines[1:]), flush=True)
    with tempfile.TemporaryDirectory() as scratch:
        found = not check.returncode
        place: Place = Containers() if found else Local(Path(scratch))
        preset, steps = ("gpu", 40 if arguments.quick else 300) if found else ("tiny", 6)
        if not found:
            lines.append("NO GPU: all of this ran on the processor, with preset tiny, and says nothing of a GPU")
        report.state(device="GPU" if found else "processor", preset=preset)
        try:
            _measure(place, preset, steps, lines, report)
        except SystemExit as error:
            lines += ["FAILED", *str(error).splitlines()[-LAST_LINES:]]
            raise SystemExit("It failed; what to send back says where.") from error
        finally:
            _send_back(report, lines, arguments.out / "gpu.txt")
    if found:
        print(f"To delete what it made: COMPOSE_PROJECT_NAME={PROJECT} make clean RUNTIME=docker")


def _measure(place: Place, preset: str, steps: int, lines: list[str], report: Report) -> None:
    @contextmanager
    def timed(what: str) -> Iterator[Callable[[str], None]]:
        said: list[str] = []
        started = time.monotonic()
        try:
            yield said.append
        finally:
            lines.append(f"{what}: {time.monotonic() - started:.1f} s")
            lines.extend(f"  {line}" for each in said for line in each.strip().splitlines()[-LAST_LINES:])
            print(lines[-1 - sum(len(each.strip().splitlines()[-LAST_LINES:]) for each in said)], flush=True)

    with timed(f"train --preset {preset} --steps {steps}") as say:
        say(place.stage("train", "--preset", preset, "--steps", str(steps)))
    with timed("input and step, each alone") as say:
        rates = place.inside("rates")
        say("\n".join([*rates["gpus"], *(f"{name}: {figure(max(each))} images/s" for name, each in _both(rates))]))
        say(f"the limit is {limit(rates['input'], rates['step'])}")
    with timed("export, with its proofs") as say:
        say(place.stage("export"))
    try:
        with timed("serve") as say:
            say(place.stage("serve"))
        with timed("verify: the running server against the Estimator") as say:
            say(place.stage("verify"))
    finally:
        place.stage("stop")
    with timed("the SavedModel on the processor against the Estimator's answers") as say:
        say(f"they differ by at most {place.inside('difference', cpu=True):.2g} of the picture's side")
    report.compare("Training, alone", "images per second", dict(_both(rates)))


def _both(rates: dict[str, Any]) -> list[tuple[str, list[float]]]:
    return [("input alone", rates["input"]), ("step alone, from memory", rates["step"])]


def _send_back(report: Report, lines: list[str], file: Path) -> None:
    if report.measured:
        report.write()
    text = "\n".join([report.conditions, *lines])
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(f"{text}\n", encoding="utf-8")
    print(f"\n---- to be sent back, also in {file} ----\n{text}\n----")
