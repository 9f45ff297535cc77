"""What TF_CONFIG says is checked before anything else, and what is wrong with it is one message."""

from __future__ import annotations

import json
from typing import Any

import pytest

from pipeline.errors import TrainingError
from pipeline.training import cluster
from pipeline.training.cluster import Task, from_environment
from pipeline.training.presets import tiny
from tests.homes import Seamline

CLUSTER: dict[str, Any] = {"chief": ["a:7000"], "worker": ["b:7000", "c:7000"], "evaluator": ["a:7001"]}


def config(type: Any = "chief", index: Any = 0, **others: Any) -> dict[str, Any]:
    found = {kind: addresses for kind, addresses in {**CLUSTER, **others}.items() if addresses is not None}
    return {"cluster": found, "task": {"type": type, "index": index}}


@pytest.fixture
def told(monkeypatch: pytest.MonkeyPatch) -> Any:
    def tell(value: Any) -> Task | None:
        monkeypatch.setenv(cluster.VARIABLE, value if isinstance(value, str) else json.dumps(value))
        return from_environment()

    return tell


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ("{'cluster'", "not JSON"),
        ("[]", "a JSON object was expected"),
        ('{"cluster": {}}', 'has to have a "cluster" and a "task"'),
        (config("ps"), "this task is of type 'ps', which its cluster has none of"),
        (config(["worker"]), "this task is of type"),
        (config(ps=["d:1"]), "'ps' is not a type of task here"),
        (config("worker", 2), "this task is worker 2, of 2 counted from 0"),
        (config("worker", -1), "this task is worker -1"),
        (config("worker", "0"), 'this task is worker "0"'),
        (config(chief=None), "0 tasks of type chief"),
        (config(chief=["a:1", "b:1"]), "2 tasks of type chief"),
        (config(evaluator=None), "0 tasks of type evaluator"),
        (config(worker=["a:7000"]), "two tasks have the address a:7000"),
        *((config(worker=bad), "is not a list of addresses") for bad in ("b:7000", ["b"], ["b:x"], [":1"], ["b:0"])),
        *((config(worker=[bad]), "is not a list of addresses") for bad in (7, "b:70000", "http://b:1", "b c:1")),
    ],
)
def test_a_broken_one_is_one_message(told: Any, value: Any, message: str) -> None:
    """It says what is wrong, and shows one that is right."""
    with pytest.raises(TrainingError, match=rf"^TF_CONFIG: .*{message}.*such as \{{\"cluster\"") as caught:
        told(value)
    assert "\n" not in str(caught.value)
    assert told(cluster.EXAMPLE)


@pytest.mark.parametrize("value", ["", " ", "{}"])
def test_an_empty_one_is_none(told: Any, value: str) -> None:
    """One machine trains as if the variable was not there."""
    assert told(value) is None


def test_each_task_knows_its_place(told: Any) -> None:
    """TensorFlow is told nothing of the evaluator, whose address is where the tasks meet."""
    tasks = [told(config("chief")), told(config("worker", 1)), told(config("evaluator"))]
    assert [task.name for task in tasks] == ["chief", "worker 1", "evaluator"]
    assert [task.place for task in tasks[:2]] == [0, 2]
    assert {task.trainers for task in tasks} == {3}
    assert {task.meeting_place for task in tasks} == {"a:7001"}
    assert json.loads(tasks[1].for_tensorflow()) == config("worker", 1, evaluator=None)


def test_a_batch_is_that_of_all_tasks(told: Any) -> None:
    """Each takes a part of it and draws of its own; where it cannot be parted, the message has a number that can."""
    tasks = [told(config("chief")), told(config("worker", 0)), told(config("worker", 1))]
    parts = [task.share(tiny(), 2) for task in tasks]
    assert {part.batch_size for part in parts} == {tiny().batch_size / 2}
    assert len({part.seed for part in parts}) == 3
    with pytest.raises(TrainingError, match=r"3 devices train, and cannot share batches of 4.*--batch 3\."):
        tasks[0].share(tiny(), 3)


def test_train_says_it_before_it_reads_a_photo(told: Any, seamline_home: Seamline) -> None:
    """Exit code 4; nothing was written."""
    seamline_home.environment[cluster.VARIABLE] = "nonsense"
    said = seamline_home.pipeline("train", "--preset", "tiny", code=4)
    assert said.startswith("Error: TF_CONFIG: not JSON")
    assert not seamline_home.home.exists()


@pytest.fixture
def seamline_home(tmp_path: Any) -> Seamline:
    return Seamline(tmp_path / "home")
