"""What can be wrong before Spark starts: one message each, and what to do."""

from __future__ import annotations

import sys
import threading
from pathlib import Path

import pytest

from pipeline.errors import DataError, PipelineError
from pipeline.scale import java, spark
from pipeline.scale.spark import _one, _reason, engine
from tests.nobody import nobody


@pytest.mark.parametrize("url", ["", "x", "spark:/h:1", "local[", "local[-1]", "http://h:1", "mesos://h", "k8s://"])
def test_a_url_that_is_none(url: str) -> None:
    """Nothing is started for it."""
    with pytest.raises(PipelineError, match="expected spark://host:port"), engine(url):
        pass


def test_spark_that_is_not_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    """Most people never install it: the message has the command that does."""
    monkeypatch.setitem(sys.modules, "pyspark", None)
    with (
        pytest.raises(PipelineError, match=r"pyspark is not installed.*pipeline\.runtime\.venv spark"),
        engine("local"),
    ):
        pass


@pytest.mark.parametrize(
    ("said", "code", "reason"),
    [
        ('openjdk version "11.0.2" 2019-01-15', 0, "version .11"),
        ('java version "1.8.0_202"', 0, "version .1.8"),
        ("The operation couldn't be completed. Unable to locate a Java Runtime.", 1, "Unable to locate"),
        (None, 0, "no Java runtime starts"),
    ],
)
def test_java_that_is_too_old_or_not_there(
    said: str | None, code: int, reason: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Spark would say that its gateway has ended."""
    program = tmp_path / "bin" / "java"
    program.parent.mkdir()
    if said:
        program.write_text(f"#!/bin/sh\necho '{said.replace(chr(39), '')}' >&2\nexit {code}\n")
        program.chmod(0o755)
    monkeypatch.setenv("JAVA_HOME", str(tmp_path))
    with pytest.raises(PipelineError, match=rf"{reason}.*Spark needs Java 17 or newer.*apt-get install openjdk-17"):
        java.check()


def test_java_that_is_new_enough(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """21 as well as 17."""
    program = tmp_path / "java"
    program.write_text("#!/bin/sh\necho 'openjdk version \"21\" 2023-09-19' >&2\n")
    program.chmod(0o755)
    monkeypatch.delenv("JAVA_HOME", raising=False)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    java.check()


@pytest.mark.parametrize("ports", [1, 2])
def test_a_master_that_does_not_answer(spark: None, ports: int) -> None:
    """Within seconds, not after Spark's own minute."""
    url = f"spark://{','.join(nobody() for _ in range(ports))}"
    with pytest.raises(PipelineError, match=r"--spark spark://.*: no master answers: .*refused"), engine(url):
        pass


def test_what_a_person_has_to_mend_is_not_tried_again() -> None:
    """It comes back as an answer of the task, which has not failed for Spark; anything else has."""

    def refuses(part: list[int], tick: object) -> int:
        raise DataError("photos: none can be used")

    assert str(_one(refuses, "/no/such/folder", [1])) == "photos: none can be used"
    with pytest.raises(ZeroDivisionError):
        _one(lambda part, tick: part[0] // 0, "/", [1])


def test_the_reason_in_a_traceback_of_two_languages() -> None:
    """The last line that says what happened, without the places that it passed through."""
    java_says = (
        "An error occurred while calling z:org.apache.spark.api.python.PythonRDD.collectAndServe.\n"
        ": org.apache.spark.SparkException: Job aborted\nTraceback (most recent call last):\n"
        "  File \"worker.py\", line 1, in main\nOSError: [Errno 28] No space left on device: '/data'\n\n"
        "\tat org.apache.spark.api.python.BasePythonRunner.read(PythonRunner.scala:1)\n"
    )
    assert _reason(Exception(java_says)) == "OSError: [Errno 28] No space left on device: '/data'"
    assert _reason(RuntimeError()) == "RuntimeError"


class NobodyWorks:
    """A Spark that takes jobs, and whose workers have all gone."""

    master = "spark://here:1"

    def __init__(self) -> None:
        self.cancelled = threading.Event()

    def setJobGroup(self, *_: object, **__: object) -> None:
        """As Spark's."""

    def parallelize(self, *_: object) -> NobodyWorks:
        return self

    map = parallelize

    def collect(self) -> None:
        assert self.cancelled.wait(60)

    def statusTracker(self) -> NobodyWorks:
        return self

    def getJobIdsForGroup(self, group: str) -> list[int]:
        return []

    def getJobInfo(self, job: int) -> None:
        """As Spark's, of a job that is not known."""

    def cancelJobGroup(self, group: str) -> None:
        self.cancelled.set()


def test_a_cluster_that_nobody_works_in(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is not waited for without end: the job is taken back, and the message says what to look at."""
    monkeypatch.setattr(spark, "IDLE_SECONDS", 0.1)
    monkeypatch.setattr(spark, "LOOK_SECONDS", 0.02)
    context = NobodyWorks()
    with pytest.raises(PipelineError, match=r"spark://here:1: no executor has had a task.*spark\.executor\.memory"):
        spark._run(context, lambda part, tick: len(part), [[1], [2]], lambda done, total, note="": None)
    assert context.cancelled.is_set()
