"""A standalone cluster of Spark on the loopback: a master, and workers of one core each that can be killed."""

from __future__ import annotations

import contextlib
import os
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import psutil

from pipeline.background.ports import free_port
from pipeline.extras import needed

MASTER, WORKER = "org.apache.spark.deploy.master.Master", "org.apache.spark.deploy.worker.Worker"
START_SECONDS = 90.0
HOST = "127.0.0.1"


@dataclass
class Cluster:
    url: str
    workers: list[subprocess.Popen[bytes]]


@contextlib.contextmanager
def cluster(workers: int, folder: Path) -> Iterator[Cluster]:
    """With its logs and the workers' own folders in `folder`. Everything that it started has ended afterwards."""
    os.environ.setdefault("SPARK_LOCAL_IP", HOST)  # of this process, which starts jobs there
    url = f"spark://{HOST}:{free_port()}"
    started: list[subprocess.Popen[bytes]] = []
    try:
        port = url.rpartition(":")[2]
        started.append(_start(folder / "master.log", MASTER, "--port", port))
        _wait_for(folder / "master.log", "elected leader")
        for number in range(workers):
            options = ["--cores", "1", "--memory", "1g", "--work-dir", str(folder / f"worker-{number}"), url]
            started.append(_start(folder / f"worker-{number}.log", WORKER, *options))
        for number in range(workers):
            _wait_for(folder / f"worker-{number}.log", "Successfully registered")
        yield Cluster(url, started[1:])
    finally:
        ours = [psutil.Process(each.pid) for each in started if each.poll() is None]
        for each in [*(child for one in ours for child in one.children(recursive=True)), *ours]:
            with contextlib.suppress(psutil.NoSuchProcess):
                each.kill()
        for process in started:
            process.wait(10)


def _start(log: Path, what: str, *options: str) -> subprocess.Popen[bytes]:
    with needed("spark"):
        import pyspark
    program = str(Path(pyspark.__file__).parent / "bin" / "spark-class")
    command = [program, what, "--host", HOST, "--webui-port", "0", *options]
    environment = {**os.environ, "SPARK_LOCAL_IP": HOST, "SPARK_DAEMON_MEMORY": "256m"}
    with log.open("wb") as output:
        return subprocess.Popen(command, env=environment, stdout=output, stderr=output)


def _wait_for(log: Path, word: str) -> None:
    until = time.monotonic() + START_SECONDS
    while word not in log.read_text(errors="replace"):
        if time.monotonic() > until:
            raise SystemExit(f"Spark does not start: no {word!r} in\n{log.read_text(errors='replace')[-2000:]}")
        time.sleep(0.1)
