"""The machine that is measured on, and Python programs that run on it."""

from __future__ import annotations

import json
import os
import platform
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]


@dataclass(frozen=True)
class Ran:
    """A program that ended: wall time, peak memory, what it printed."""

    seconds: float
    megabytes: float
    said: str


_LAUNCHER = """
import json, resource, subprocess, sys, time
started = time.perf_counter()
code = subprocess.run(sys.argv[2:]).returncode
taken = time.perf_counter() - started, resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss
with open(sys.argv[1], "w") as file:
    json.dump(taken, file)
sys.exit(code)
"""
"""A small process in between: Linux counts the memory of whoever starts a program as that program's own."""


def run_python(command: Sequence[str], *, home: Path | None = None) -> Ran:
    """Runs Python in the project's folder, with `home` as SEAMLINE_HOME. Raises SystemExit if it fails."""
    environment = {**os.environ, **({"SEAMLINE_HOME": str(home)} if home else {})}
    with tempfile.NamedTemporaryFile("r") as figures:
        whole = [sys.executable, "-S", "-c", _LAUNCHER, figures.name, sys.executable, *command]
        done = subprocess.run(whole, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
        if done.returncode:
            raise SystemExit(f"{' '.join(command[:4])}: exit code {done.returncode}\n{done.stderr[-2000:]}")
        seconds, most = json.load(figures)
    return Ran(seconds, most / (1e6 if sys.platform == "darwin" else 1e3), done.stdout)


def facts() -> dict[str, str]:
    """What the figures depend on. `load` is how many processes wanted a core just before."""
    packages = ("tensorflow", "grpcio", "numpy", "Pillow")
    return {
        "processor": _processor(),
        "cores": str(os.cpu_count()),
        "load": f"{os.getloadavg()[0]:.1f}",
        "python": platform.python_version(),
        **{package: version(package) for package in packages},
    }


def _processor() -> str:
    try:
        with Path("/proc/cpuinfo").open(encoding="utf-8") as file:
            return next(line.split(":")[1].strip() for line in file if line.startswith("model name"))
    except (OSError, StopIteration):
        return platform.processor() or platform.machine()
