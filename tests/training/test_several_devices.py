"""What the preset for GPUs is made of, on two devices that this machine has: halves of its CPU."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from pipeline.training.weights import save
from tests.homes import TinyRun

ROOT = Path(__file__).resolve().parents[2]
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
    tf.config.list_physical_devices("CPU")[0], [tf.config.LogicalDeviceConfiguration()] * 2
)
estimator.devices = lambda gpus: ["cpu:0", "cpu:1"]
RunConfig = v1.estimator.RunConfig

def on_both(session_config, **others):
    session_config.device_count["CPU"] = 2
    return RunConfig(session_config=session_config, **others)

v1.estimator.RunConfig = on_both

small = choose("tiny", steps=2, init=str(home / "weights.npz"))
config = replace(small.model, optimiser=replace(small.model.optimiser, mixed_precision=True))
run = Run(home / "run", load(records), replace(small, model=config))
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
}))
"""


@pytest.mark.slow
def test_mirrored_mixed_precision_training_from_weights(tiny_run: TinyRun, tmp_path: Path) -> None:
    """Two replicas step together from the weights of a run; batch norm moves, weights are averaged, loss is scaled."""
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
