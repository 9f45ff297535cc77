"""What can be known about GPUs where there is none: what servers are told, and what people are."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import tensorflow as tf

from pipeline import gpu
from pipeline.data import redraw
from pipeline.serving import sibling
from pipeline.training import estimator


def mounted(*names: str) -> dict[str, Any]:
    """A container of ours as the engine describes it, with volumes at /models and /cache/<name>."""
    places = {"models": "/models", **{name: f"/cache/{name}" for name in names}}
    return {
        "Id": "0123456789abcdef",
        "Config": {"Labels": {}},
        "NetworkSettings": {"Networks": {"inside": {}}},
        "HostConfig": {"DeviceRequests": None, "Memory": 0, "PidsLimit": 0},
        "Mounts": [{"Type": "volume", "Name": name, "Destination": place} for name, place in places.items()],
    }


def test_the_server_of_a_candidate_keeps_what_the_next_one_needs() -> None:
    """It has the volume of the server that serves, where kernels are compiled once for both."""
    options = sibling._options(mounted("train", "serve"), Path("/models/.staging/1"), "keypoints")
    assert options["environment"] == {**gpu.ENVIRONMENT, gpu.CACHE: "/cache/serve"}
    assert options["volumes"] == {
        "models": {"bind": "/models", "mode": "ro"},
        "serve": {"bind": "/cache/serve", "mode": "rw"},
    }


def test_without_a_gpu_there_is_nothing_to_share() -> None:
    """The throw-away server then has its volume, read-only, and nothing else."""
    options = sibling._options(mounted(), Path("/models/.staging/1"), "keypoints")
    assert options["volumes"] == {"models": {"bind": "/models", "mode": "ro"}}


@pytest.mark.parametrize(
    ("capability", "said"),
    [
        ((8, 9), "GPU: NVIDIA X, compute capability 8.9."),
        ((9, 0), "GPU: NVIDIA X, compute capability 9.0. Its first start compiles TensorFlow's kernels, for minutes"),
        ((12, 0), "GPU: NVIDIA X, compute capability 12.0, which TensorFlow 2.15 does not support"),
    ],
)
def test_a_person_is_told_what_the_first_start_costs(
    monkeypatch: pytest.MonkeyPatch, capability: tuple[int, int], said: str
) -> None:
    """One sentence for each GPU: its name, and minutes of silence where they are to be expected."""
    monkeypatch.setattr(tf.config, "list_physical_devices", lambda kind: [kind])
    found = {"device_name": "NVIDIA X", "compute_capability": capability}
    monkeypatch.setattr(tf.config.experimental, "get_device_details", lambda device: found)
    ((name, number),) = estimator.gpus()
    assert gpu.sentence(name, number).startswith(said)


def test_augmentation_wakes_no_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its first session, whose words go nowhere, sees none: the wait for one would be silent."""
    configs: list[Any] = []
    session = tf.compat.v1.Session

    def noted(**options: Any) -> Any:
        configs.append(options["config"])
        return session(**options)

    monkeypatch.setattr(tf.compat.v1, "Session", noted)
    redraw._silence.__wrapped__()
    assert [dict(config.device_count) for config in configs] == [{"GPU": 0}]
