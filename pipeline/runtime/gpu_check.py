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
    """0 when nvidia-smi and TensorFlow both see a GPU in a container."""
    try:
        compose = Compose(engines.find(), gpu=True)
        # In any image, before gigabytes of CUDA are built: the toolkit brings nvidia-smi in.
        image = compose.image("train")
        if not engines.has(image):
            image = compose.build_argument("train", "PYTHON_IMAGE")
        if not engines.has(image):
            engines.pull(image)
        print(engines.ask("run", "--rm", "--gpus", "all", "--network", "none", "--entrypoint", "nvidia-smi", image))
        images.prepare("train", compose)
        seen, code = compose.answer("--entrypoint", "python", "train", "-c", _DEVICES)
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
