"""`make gpu-check`: can containers use an NVIDIA GPU here, and if not, what is missing? Standard library only.

Not yet tried on a machine that has a GPU.
"""

from __future__ import annotations

import subprocess
import sys

from pipeline.runtime import engine as engines
from pipeline.runtime import images
from pipeline.runtime.compose import Compose
from pipeline.runtime.engine import EngineError

EXIT_NO_GPU = 9
_DEVICES = """
import tensorflow as tf
gpus = tf.config.list_physical_devices("GPU")
print("TensorFlow", tf.__version__, "sees", [tf.config.experimental.get_device_details(gpu) for gpu in gpus])
raise SystemExit(not gpus)
"""
_TOOLKIT = """the engine has no driver for NVIDIA GPUs. Install the NVIDIA Container Toolkit, then
  sudo nvidia-ctk runtime configure --runtime=docker
  sudo systemctl restart docker"""
_REASONS = (
    ("could not select device driver", _TOOLKIT),
    ("unknown or invalid runtime", _TOOLKIT),
    ("version mismatch", "the driver's library and kernel module differ: restart the machine after a driver's update."),
    ("libnvidia-ml.so", "the toolkit finds no NVIDIA driver: `nvidia-smi` has to work on this machine itself first."),
    ("nvml error", "the driver does not answer: `nvidia-smi` has to work on this machine itself first."),
    ("nvidia-smi", "the toolkit did not bring nvidia-smi in: is `utility` among its driver capabilities?"),
)


def main() -> int:
    """0 when nvidia-smi and TensorFlow both see a GPU in the training container."""
    try:
        engine = engines.find()
        compose = Compose(engine, gpu=True)
        _check_engine(compose)
        images.prepare("train", compose, engine)
    except EngineError as error:
        return _fail(str(error))
    run = ("run", "--rm", "-T", "--no-deps", "--entrypoint")
    complaint = compose.complaint(*run, "nvidia-smi", "train")
    if complaint:
        return _fail(explain(complaint))
    compose.call(*run, "nvidia-smi", "train")
    if compose.call(*run, "python", "train", "-c", _DEVICES):
        return _fail(
            "nvidia-smi sees a GPU and TensorFlow 2.15 does not: it needs a driver for CUDA 12.2, 525 or newer."
        )
    print("GPU check: training and serving containers can use the GPUs above.")
    return 0


def explain(complaint: str) -> str:
    """What is wrong and what to do about it, from what Docker said."""
    lines = complaint.strip().splitlines()
    for sign, reason in _REASONS:
        for line in lines:
            if sign in line:
                return f"{reason}\nDocker said: {line}"
    return f"the container did not start.\nDocker said: {' '.join(lines)}"


def _check_engine(compose: Compose) -> None:
    """Before gigabytes of CUDA are built: does the engine start anything at all with a GPU?"""
    image = compose.image("train")
    if not engines.has(image):
        image = compose.build_argument("train", "PYTHON_IMAGE")
    if not engines.has(image):
        engines.pull(image)
    command = ["docker", "run", "--rm", "--gpus", "all", "--network", "none", "--entrypoint", "true", image]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise EngineError(explain(done.stderr.strip() or "no reason was given"))


def _fail(message: str) -> int:
    print(f"Error: no GPU for containers: {message}", file=sys.stderr)
    return EXIT_NO_GPU
