"""`make gpu-check`: can containers use an NVIDIA GPU here, and if not, what is missing? Standard library only.

Not yet tried on a machine that has a GPU.
"""

from __future__ import annotations

import sys

from pipeline.runtime import EXIT_NO_DOCKER, images
from pipeline.runtime import engine as engines
from pipeline.runtime.compose import Compose
from pipeline.runtime.engine import EngineError

_DEVICES = """
import tensorflow as tf
gpus = tf.config.list_physical_devices("GPU")
print("TensorFlow", tf.__version__, "sees", [tf.config.experimental.get_device_details(gpu) for gpu in gpus])
raise SystemExit(not gpus)
"""


def main() -> int:
    """0 when nvidia-smi and TensorFlow both see a GPU in the training container."""
    try:
        compose = Compose(engines.find(), gpu=True)
        _check_engine(compose)
        images.prepare("train", compose)
        print(compose.ask("run", "--rm", "-T", "--no-deps", "--entrypoint", "nvidia-smi", "train"))
        seen, code = compose.answer("--no-deps", "--entrypoint", "python", "train", "-c", _DEVICES)
        print(seen.decode(), end="")
        if code:
            raise EngineError(
                "nvidia-smi sees a GPU and TensorFlow 2.15 does not: it needs a driver for CUDA 12.2, 525 or newer"
            )
    except EngineError as error:
        print(f"Error: no GPU for containers: {error}", file=sys.stderr)
        return EXIT_NO_DOCKER
    print("GPU check: training and serving containers can use the GPUs above.")
    return 0


def _check_engine(compose: Compose) -> None:
    """Before gigabytes of CUDA are built: does the engine start anything at all with a GPU?"""
    image = compose.image("train")
    if not engines.has(image):
        image = compose.build_argument("train", "PYTHON_IMAGE")
    if not engines.has(image):
        engines.pull(image)
    engines.ask("run", "--rm", "--gpus", "all", "--network", "none", "--entrypoint", "true", image)
