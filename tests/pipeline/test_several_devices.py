"""What the preset for GPUs is made of, on two devices that this machine has: halves of its CPU."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

from pipeline.data.prepare import prepare

ROOT = Path(__file__).resolve().parents[2]
PROGRAM = """
import json
import sys
from dataclasses import replace
from pathlib import Path
import tensorflow as tf
from model.model_fn import model_fn
from pipeline.training.presets import tiny
from pipeline.data.input_fn import train_input_fn
from pipeline.data.records import load
from pipeline.training.weights import load as load_weights, save
from pipeline.training.hooks import Checkpoint

v1 = tf.compat.v1
records, home = Path(sys.argv[1]), Path(sys.argv[2])
tf.config.set_logical_device_configuration(
    tf.config.list_physical_devices("CPU")[0], [tf.config.LogicalDeviceConfiguration()] * 2
)
small = tiny()
config = replace(small.model, optimiser=replace(small.model.optimiser, mixed_precision=True))

def train(folder, initial):
    estimator = v1.estimator.Estimator(
        model_fn,
        str(folder),
        params={"config": config, "initial": initial},
        config=v1.estimator.RunConfig(
            train_distribute=tf.distribute.MirroredStrategy(["cpu:0", "cpu:1"]),
            session_config=v1.ConfigProto(device_count={"CPU": 2}),
        ),
    )
    estimator.train(train_input_fn(load(records), 4, small.augmentation, 1, 0), max_steps=3)
    return tf.train.latest_checkpoint(str(folder))

first = train(home / "first", None)
save(Checkpoint(home / "first", first, 3, {}), home / "weights.npz")
second = train(home / "second", load_weights(str(home / "weights.npz")))
reader = tf.train.load_checkpoint(second)
names = reader.get_variable_to_shape_map()
means = [reader.get_tensor(name) for name in names if name.endswith("conv_norm/batch_normalization/moving_mean")]
print(json.dumps({
    "step": int(reader.get_tensor("global_step")),
    "scaled": "current_loss_scale" in names,
    "moved": [float(abs(mean).max()) for mean in means],
    "averages": sum(n.endswith("/ExponentialMovingAverage") for n in names),
}))
"""


def test_mirrored_mixed_precision_training_from_weights(tmp_path: Path) -> None:
    """Two replicas step together, batch norm and averages move, the loss is scaled, and weights of a run start it."""
    dataset = prepare(None, "tiny", tmp_path / "data")
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", PROGRAM, str(dataset.folder), str(tmp_path)],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT), "TF_CPP_MIN_LOG_LEVEL": "3"},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    found = json.loads(done.stdout.strip().splitlines()[-1])
    assert found["step"] == 3
    assert found["scaled"]
    assert min(found["moved"]) > 0
    assert found["averages"] > 40
