"""Apache Spark as an engine: each part of a stage is a task of its own, done by whichever executor has room.

Every machine has this checkout with its .venv at the same path, and sees the photos and SEAMLINE_HOME at the same
paths. What else a cluster wants is said by Spark's own means: spark-defaults.conf, PYSPARK_SUBMIT_ARGS, PYSPARK_PYTHON.
"""

from __future__ import annotations

import os
import re
import socket
import sys
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import Any

from pipeline.console import OnProgress
from pipeline.data.parts import Engine, P, R, Work, unseen
from pipeline.errors import PipelineError
from pipeline.extras import needed
from pipeline.scale import java

ROOT = Path(__file__).resolve().parents[2]
URL = re.compile(r"(?P<cluster>spark://[\w.,:-]+)|local(\[(\*|\d+)(,\d+)?\])?|yarn|k8s://\S+")
LOOK_SECONDS = 0.5
IDLE_SECONDS = 300.0
"""So long a job waits while nobody works on it: clusters have queues, and Kubernetes fetches images."""
MASTER_SECONDS = 5.0
SETTINGS = {
    "spark.log.level": "ERROR",
    # A task is one core's: TensorFlow would take all of them for each. For its decoders Spark says so by itself.
    "spark.executorEnv.TF_NUM_INTRAOP_THREADS": "1",
    "spark.executorEnv.TF_NUM_INTEROP_THREADS": "1",
    "spark.executorEnv.TF_CPP_MIN_LOG_LEVEL": "3",
    "spark.executorEnv.CUDA_VISIBLE_DEVICES": "-1",
    "spark.executorEnv.PYTHONPATH": f"{ROOT}{os.pathsep}{ROOT / 'client'}",
    "spark.executorEnv.PYTHONUTF8": "1",
}


@contextmanager
def engine(url: str, settings: Mapping[str, str] = SETTINGS) -> Iterator[Engine]:
    """Spark at `url`: spark://host:port, local[*], yarn or k8s://...; `settings` are for where nobody has set others.

    Raises PipelineError where that is no such URL, pyspark or Java is not there, or nobody answers.
    """
    known = URL.fullmatch(url)
    if not known:
        raise PipelineError(f"--spark {url}: expected spark://host:port, local[*], yarn or k8s://...")
    with needed("spark"):
        from pyspark import SparkConf, SparkContext
    java.check()
    if known["cluster"]:
        _refuse_deaf(url)
    os.environ.setdefault("PYSPARK_PYTHON", sys.executable)
    os.environ.setdefault("SPARK_DRIVER_MEMORY", "4g")  # the rows of a million photos go through there
    try:
        SparkContext._ensure_initialized()  # only then a SparkConf knows what Spark's own files and variables set
        conf = SparkConf().setMaster(url).setAppName("seamline").set("spark.ui.showConsoleProgress", "false")
        for name, value in settings.items():
            conf.setIfMissing(name, value)
        context = SparkContext(conf=conf)
    except Exception as error:  # py4j's, which are of many kinds
        raise PipelineError(f"Spark does not start at {url}: {_reason(error)}") from error
    try:
        yield partial(_run, context)
    finally:
        context.stop()


def _run(context: Any, work: Work[P, R], parts: Sequence[P], on_progress: OnProgress) -> list[R]:
    """The engine. Progress is by parts: executors say only when a task has ended."""
    found: list[Any] = []
    group = f"seamline-{time.monotonic_ns()}"

    def job() -> None:
        context.setJobGroup(group, "seamline", interruptOnCancel=True)
        try:
            found.append(context.parallelize(parts, len(parts)).map(partial(_one, work, str(Path.cwd()))).collect())
        except Exception as error:
            found.append(error)

    thread = threading.Thread(target=job, daemon=True)
    thread.start()
    total, busy = sum(map(len, parts)), time.monotonic()
    while thread.is_alive():
        thread.join(LOOK_SECONDS)
        active, done = _tasks(context, group)
        busy = time.monotonic() if active else busy
        if done < len(parts):
            on_progress(total * done // len(parts), total)
        if time.monotonic() - busy > IDLE_SECONDS:
            context.cancelJobGroup(group)
            raise PipelineError(
                f"Spark at {context.master}: no executor has had a task for {IDLE_SECONDS:.0f} s. Do its workers run, "
                f"and have they the cores and the memory that are asked for (spark.executor.memory)?"
            )
    (results,) = found
    if isinstance(results, Exception):
        raise PipelineError(f"Spark at {context.master}: the job failed: {_reason(results)}") from results
    if failed := next((each for each in results if isinstance(each, PipelineError)), None):
        raise failed
    on_progress(total, total)
    return list(results)


def _one(work: Work[P, R], folder: str, part: P) -> R | PipelineError:
    """A task, with paths from `folder`. What a person has to mend is an answer: Spark would try it three times more."""
    with suppress(OSError):  # where it is not there, paths from the root may be
        os.chdir(folder)
    try:
        return work(part, unseen)
    except PipelineError as error:
        return error


def _tasks(context: Any, group: str) -> tuple[int, int]:
    """How many are being done, and how many are done."""
    tracker = context.statusTracker()
    jobs = filter(None, map(tracker.getJobInfo, tracker.getJobIdsForGroup(group)))
    stages = [stage for job in jobs for each in job.stageIds if (stage := tracker.getStageInfo(each))]
    return sum(each.numActiveTasks for each in stages), sum(each.numCompletedTasks for each in stages)


def _refuse_deaf(url: str) -> None:
    """Raises PipelineError where no master takes a connection: Spark would try for a minute, and say so in Java."""
    for each in url.removeprefix("spark://").split(","):
        host, _, port = each.rpartition(":")
        try:
            socket.create_connection((host, int(port)), MASTER_SECONDS).close()
            return
        except (OSError, ValueError, OverflowError) as error:
            failure = error
    raise PipelineError(f"--spark {url}: no master answers: {failure}")


def _reason(error: Exception) -> str:
    """The line of a Java or Python traceback that says what happened."""
    lines = str(error).splitlines()
    said = [line for line in lines if re.match(r"(?:[\w.]+\.)?\w*(?:Error|Exception|Interrupt)\b", line)]
    return (said or lines or [type(error).__name__])[-1]
