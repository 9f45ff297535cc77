"""What TF_CONFIG says: the tasks of a cluster, and which of them this process is."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from pipeline.errors import TrainingError
from pipeline.training.presets import Preset

VARIABLE = "TF_CONFIG"
CHIEF, WORKER, EVALUATOR = "chief", "worker", "evaluator"
EXAMPLE = (
    '{"cluster": {"chief": ["a:7000"], "worker": ["b:7000"], "evaluator": ["a:7001"]}, '
    '"task": {"type": "worker", "index": 0}}'
)


@dataclass(frozen=True)
class Task:
    """One process of a cluster. Chief and workers train, in step; the evaluator scores what the chief saves."""

    type: str
    index: int
    cluster: Mapping[str, Sequence[str]]
    """`host:port` of all tasks, by type."""

    @property
    def name(self) -> str:
        return f"worker {self.index}" if self.type == WORKER else self.type

    @property
    def names(self) -> dict[str, str]:
        """`host:port` of every task, by its name."""
        return {
            Task(kind, index, self.cluster).name: address
            for kind, addresses in self.cluster.items()
            for index, address in enumerate(addresses)
        }

    @property
    def trainers(self) -> int:
        return 1 + len(self.cluster.get(WORKER, ()))

    @property
    def place(self) -> int:
        """Of a task that trains, among those that do: the chief is 0."""
        return 0 if self.type == CHIEF else 1 + self.index

    @property
    def meeting_place(self) -> str:
        """Where the tasks watch over each other: the evaluator's address, which TensorFlow has no use for."""
        return self.cluster[EVALUATOR][0]

    def for_tensorflow(self) -> str:
        """TF_CONFIG as TensorFlow wants it: tasks that train know nothing of an evaluator."""
        trainers = {kind: list(self.cluster[kind]) for kind in (CHIEF, WORKER) if kind in self.cluster}
        return json.dumps({"cluster": trainers, "task": {"type": self.type, "index": self.index}})

    def share(self, preset: Preset, replicas: int) -> Preset:
        """The preset by which this task trains: its part of each batch, and draws of its own.

        `replicas` are the devices of all tasks. Raises TrainingError where they cannot share a batch.
        """
        if preset.batch_size % replicas:
            raise TrainingError(
                f"{replicas} devices train, and cannot share batches of {preset.batch_size} evenly: on a cluster a "
                f"batch is that of all of them. Choose a multiple of {replicas}, as in --batch "
                f"{replicas * max(1, round(preset.batch_size / replicas))}."
            )
        return replace(preset, batch_size=preset.batch_size // replicas, seed=preset.seed + self.place)


def from_environment() -> Task | None:
    """This process by TF_CONFIG; None where that is empty or not set. Raises TrainingError where it makes no sense."""
    text = os.environ.get(VARIABLE, "").strip()
    if text in ("", "{}"):
        return None
    try:
        return _task(json.loads(text))
    except ValueError as error:
        what = f"not JSON ({error})" if isinstance(error, json.JSONDecodeError) else str(error)
        raise TrainingError(f"{VARIABLE}: {what}. Every task of a cluster needs one, such as {EXAMPLE}") from error


def _task(config: Any) -> Task:
    """Raises ValueError for what is wrong, the first of it."""
    if not isinstance(config, dict):
        raise ValueError("a JSON object was expected")
    cluster, task = config.get("cluster"), config.get("task")
    if not isinstance(cluster, dict) or not isinstance(task, dict):
        raise ValueError('it has to have a "cluster" and a "task", both objects')
    for kind, addresses in cluster.items():
        if kind not in (CHIEF, WORKER, EVALUATOR):
            raise ValueError(f"{kind!r} is not a type of task here: they are chief, worker and evaluator")
        if not isinstance(addresses, list) or not all(map(_is_address, addresses)):
            raise ValueError(f'{kind}: {json.dumps(addresses)[:200]} is not a list of addresses, as in ["host:7000"]')
    for kind in (CHIEF, EVALUATOR):
        if len(cluster.get(kind, ())) != 1:
            raise ValueError(f"it has {len(cluster.get(kind, ()))} tasks of type {kind}, and needs exactly one")
    every = [address for addresses in cluster.values() for address in addresses]
    if twice := {each for each in every if every.count(each) > 1}:
        raise ValueError(f"two tasks have the address {min(twice)}")
    kind, index = task.get("type"), task.get("index", 0)
    if not isinstance(kind, str) or kind not in cluster:
        raise ValueError(f"this task is of type {kind!r}, which its cluster has none of")
    if not isinstance(index, int) or isinstance(index, bool) or not 0 <= index < len(cluster[kind]):
        raise ValueError(f"this task is {kind} {json.dumps(index)}, of {len(cluster[kind])} counted from 0")
    return Task(kind, index, cluster)


def _is_address(text: Any) -> bool:
    """A name or an IPv4 address, and a port."""
    host, _, port = text.rpartition(":") if isinstance(text, str) else ("", "", "")
    named = host and not set(host) & set(":/[]@") and host.isprintable() and " " not in host
    return bool(named and port.isascii() and port.isdecimal() and 0 < int(port) < 65536)
