"""What the preset for GPUs is made of, on devices that this machine has: its CPU as a host and two replicas."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import tensorflow as tf

from pipeline.training import estimator
from pipeline.training.presets import choose
from pipeline.training.weights import save
from seamline_client.keypoints import GARMENTS
from tests.homes import ROOT, TinyRun

v1 = tf.compat.v1

PROGRAM = """
import json
import sys
from dataclasses import replace
from pathlib import Path
import tensorflow as tf
from pipeline.data.records import load
from pipeline.training import estimator
from pipeline.training.presets import choose
from pipeline.training.runs import Run
from pipeline.training.train import train
from pipeline.training.weights import load as weights

v1 = tf.compat.v1
records, home = Path(sys.argv[1]), Path(sys.argv[2])
tf.config.set_logical_device_configuration(
    tf.config.list_physical_devices("CPU")[0], [tf.config.LogicalDeviceConfiguration()] * 3
)
estimator.devices = lambda gpus: ["cpu:1", "cpu:2"]  # as with GPUs, the host's own device is none of them
estimator.gpus = lambda: [("a part of a CPU", 0.0)]
RunConfig = v1.estimator.RunConfig

def on_three(session_config, **others):
    session_config.device_count["CPU"] = 3
    return RunConfig(session_config=session_config, **others)

v1.estimator.RunConfig = on_three
clips, clip = [], tf.clip_by_global_norm

def noted(gradients, norm):
    clips.append(norm)
    return clip(gradients, norm)

tf.clip_by_global_norm = noted
reduced = []


class Counted(tf.distribute.ReductionToOneDevice):
    def batch_reduce(self, reduce_op, value_destination_pairs, options=None):
        reduced.append(len(value_destination_pairs))
        return super().batch_reduce(reduce_op, value_destination_pairs, options)


Mirrored = tf.distribute.MirroredStrategy
tf.distribute.MirroredStrategy = lambda devices: Mirrored(devices, cross_device_ops=Counted())

small = choose("tiny", steps=2, init=str(home / "weights.npz"))
config = replace(small.model, optimiser=replace(small.model.optimiser, mixed_precision=True))
run = Run(home / "run", load(records), replace(small, model=config, augment_on_gpu=True))
best = train(run)
reader = tf.train.load_checkpoint(tf.train.latest_checkpoint(str(run.folder)))
names = reader.get_variable_to_shape_map()
means = [reader.get_tensor(name) for name in names if name.endswith("conv_norm/batch_normalization/moving_mean")]
print(json.dumps({
    "step": int(reader.get_tensor("global_step")),
    "scaled": "current_loss_scale" in names,
    "moved": [float(abs(mean).max()) for mean in means],
    "averaged": all(f"{name}/ExponentialMovingAverage" in names for name in weights(small.init).arrays),
    "ne": best.ne,
    "clips": clips,
    "reduced": reduced,
    "weights": len([name for name in names if name.endswith("/Adam")]),
    "clip_norm": run.preset.model.optimiser.clip_norm,
}))
"""


@pytest.mark.slow
def test_mirrored_mixed_precision_training_from_weights(tiny_run: TinyRun, tmp_path: Path) -> None:
    """Two replicas step together from the weights of a run; batch norm moves, weights are averaged, loss is scaled.

    Each augments its own batch in the graph, and clips its half of the gradient to half of the norm. All gradients are
    exchanged at once.
    """
    save(tiny_run.best, tiny_run.dataset.keypoints, tmp_path / "weights.npz")
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", PROGRAM, str(tiny_run.dataset.folder), str(tmp_path)],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": f"{ROOT}:{ROOT / 'client'}", "TF_CPP_MIN_LOG_LEVEL": "3"},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    assert "Step 0: NE" in done.stdout
    found = json.loads(done.stdout.strip().splitlines()[-1])
    assert found["step"] == 2
    assert found["scaled"]
    assert min(found["moved"]) > 0
    assert found["averaged"]
    assert found["ne"] > 0
    assert found["reduced"] == [found["weights"]]
    assert found["clips"] == [found["clip_norm"] / 2] * 2


def test_what_a_gpu_cannot_do_goes_to_the_host(tmp_path: Path) -> None:
    """A summary and an iterator that are placed on a GPU run where there is none for them; XLA is off."""
    config = estimator.build(tmp_path, choose("gpu"), GARMENTS).config.session_config
    with tf.Graph().as_default(), v1.Session(config=config) as session, tf.device("gpu:0"):
        summary = v1.summary.scalar("loss", tf.constant(2.0))
        number = v1.data.make_one_shot_iterator(tf.data.Dataset.range(3, 4)).get_next()
        assert session.run([summary, number])[1] == 3
    assert not config.graph_options.optimizer_options.global_jit_level


def test_the_session_is_estimators_own(tmp_path: Path) -> None:
    """Where a preset asks for nothing more, its session is what Estimator would have made."""
    plain = v1.estimator.Estimator(lambda features: None, str(tmp_path)).config.session_config
    assert estimator.build(tmp_path, choose("demo"), GARMENTS).config.session_config == plain
