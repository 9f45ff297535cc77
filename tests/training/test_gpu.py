"""What can be known about GPUs where there is none: what servers are told, and what people are."""

from __future__ import annotations

import mmap
import random
import re
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import tensorflow as tf

from model.model_fn import model_fn
from pipeline import gpu
from pipeline.data import redraw
from pipeline.serving import sibling
from pipeline.training import estimator
from pipeline.training.presets import choose
from seamline_client.contract import IMAGE_SIDE, VISIBLE
from seamline_client.keypoints import GARMENTS
from tests.homes import ROOT


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


def gradient_norm(*, mixed: bool) -> float:
    """Of the first step on pictures of one grey, as training notes it."""
    v1 = tf.compat.v1
    config = choose("tiny").model
    config = replace(config, optimiser=replace(config.optimiser, mixed_precision=mixed))
    random.seed(1)
    with tf.Graph().as_default() as graph:
        v1.set_random_seed(1)
        features = {"images": tf.fill([2, IMAGE_SIDE, IMAGE_SIDE, 3], 90.0)}
        labels = {
            "xy": tf.fill([2, len(GARMENTS), 2], 0.5),
            "v": tf.fill([2, len(GARMENTS)], tf.constant(VISIBLE, tf.int64)),
        }
        model_fn(features, labels, v1.estimator.ModeKeys.TRAIN, {"config": config, "keypoints": GARMENTS})
        noted = [each for each in graph.get_collection(v1.GraphKeys.SUMMARIES) if "gradient_norm" in each.name]
        with v1.Session() as session:
            session.run(v1.global_variables_initializer())
            return float(v1.Summary.FromString(session.run(noted[0])).value[0].simple_value)


def test_gradients_are_clipped_as_they_are() -> None:
    """Not multiplied by the scale of the loss: mixed precision notes the norm that float32 has."""
    try:
        assert gradient_norm(mixed=True) == pytest.approx(gradient_norm(mixed=False), rel=0.01)
    finally:
        tf.compat.v1.mixed_precision.disable_mixed_precision_graph_rewrite()


@pytest.mark.skipif(sys.platform != "linux", reason="wheels with CUDA are for Linux")
def test_tensorflow_looks_for_cuda_where_the_lock_puts_it() -> None:
    """Each folder of NVIDIA's that its libraries name comes with a pinned wheel, so nobody sets LD_LIBRARY_PATH."""
    lock = (ROOT / "requirements" / "train-gpu.lock").read_text()
    pinned = {name.replace("-", "_") for name in re.findall(r"^nvidia-([a-z-]+)-cu12==", lock, re.MULTILINE)}
    folders: set[str] = set()
    for name in ("libtensorflow_cc.so.2", "libtensorflow_framework.so.2"):
        with (Path(tf.__file__).parent / name).open("rb") as file:
            library = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
            folders |= {found.decode() for found in re.findall(rb"ORIGIN/\.\./nvidia/(\w+)/lib", library)}
    assert {"cudnn", "cublas", "cuda_runtime"} <= folders <= pinned
    for each in (*ROOT.glob("Dockerfile.*"), *ROOT.glob("docker-compose*.yml")):
        assert not re.search("LD_LIBRARY_PATH|XLA_FLAGS", each.read_text())
