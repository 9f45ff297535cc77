"""`make train CLUSTER=...` says what to type on which machine, each line with a TF_CONFIG that train takes."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from pipeline.runtime import cluster_lines
from pipeline.training.cluster import VARIABLE, from_environment
from tests.homes import Seamline


@pytest.fixture
def seamline(tmp_path: Path) -> Seamline:
    return Seamline(tmp_path / "a home's")


def shell(line: str) -> str:
    return subprocess.run(["bash", "-c", line], capture_output=True, text=True, check=True).stdout


def test_each_line_starts_a_task(seamline: Seamline, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """One for each, with what make was told, whatever is in it; nothing is trained yet."""
    photos = tmp_path / "my photos"
    photos.mkdir()
    said = seamline.make("train", "CLUSTER=one,two:8000,one", f"DATA={photos}", "STEPS=7")
    lines = said.splitlines()[1:]
    assert [line for line in lines if line.startswith("#")] == [
        "# on one, the chief",
        "# on one, the evaluator",
        "# on two, the worker",
        "# on one, the worker",
    ]
    names = set()
    for line in (line for line in lines if line.startswith("cd ")):
        arguments = shell(line.replace(" make train ", " printf '%s\\n' ")).splitlines()
        assert {f"DATA={photos}", "STEPS=7"} < set(arguments)
        monkeypatch.setenv(VARIABLE, shell(line.replace(" make train ", " printenv TF_CONFIG #")))
        task = from_environment()
        assert task
        names.add(task.name)
        assert list(task.names.values()) == ["one:7000", "one:7001", "two:8000", "one:7002"]
    assert names == {"chief", "evaluator", "worker 0", "worker 1"}
    assert not (seamline.home / "runs").exists()


@pytest.mark.parametrize("machines", ["one", "one,", "one:x,two", "http://one,two", "one two,three", "one:0,two"])
def test_what_names_no_machines_is_an_error(machines: str) -> None:
    """It says what was expected."""
    with pytest.raises(ValueError, match=r"CLUSTER=.*host1,host2"):
        cluster_lines.tasks(machines)


def test_a_task_of_a_cluster_is_started_in_no_container(seamline: Seamline) -> None:
    """It would train alone there, in a volume of its own."""
    seamline.environment["TF_CONFIG"] = "{}"
    said = seamline.run("make", "train", "RUNTIME=docker", code=2)
    assert "Error: TF_CONFIG: make starts no task of a cluster in a container" in said
