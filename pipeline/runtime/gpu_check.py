"""`make gpu-check`: would training use an NVIDIA GPU here, and if not, what is missing? Standard library only.

Not yet tried on a machine that has a GPU.
"""

from __future__ import annotations

import re
import subprocess
import sys

from pipeline import gpu
from pipeline.runtime import EXIT_NO_DOCKER, images, local_stages
from pipeline.runtime import engine as engines
from pipeline.runtime.compose import Compose
from pipeline.runtime.engine import EngineError, explain
from pipeline.runtime.gpu_reasons import CONFIGURE

ANSWER_SECONDS = 120.0
"""A machine of many GPUs that nobody uses wakes each of them first."""
COMPOSE = (2, 11, 2)
"""Before it `docker compose run --entrypoint` gives the program the service's own command as arguments."""
DRIVER = 525
_QUERY = ("--query-gpu=name,driver_version,compute_cap,memory.total", "--format=csv,noheader")
_GPU = re.compile(r"^(.+), (\d+\.\S+), (\d+\.\d+), (\d+ \S+)$", re.MULTILINE)
_TRIAL = ("--entrypoint", "python", "train", "-m", "pipeline.training.trial")


def main(runtime: str) -> int:
    """0 when training, asked for with `runtime`, would use a GPU, which computed, and the server's image starts."""
    try:
        engine = engines.find()
        _check_compose()
        compose = Compose(engine, gpu=True)
        # In any image, before gigabytes of CUDA are built: the toolkit brings nvidia-smi in.
        for found in _GPU.finditer(_nvidia_smi(_small_image(compose))):
            _check_gpu(*found.groups())
        if not engine.gpu:
            raise EngineError(
                "a container gets the GPU, but the engine does not list the NVIDIA runtime, so that `make train` would "
                f"use the processor. The toolkit is installed, not configured:\n  {CONFIGURE}"
            )
        if runtime == "local" or (runtime == "auto" and local_stages.used()):
            raise EngineError(
                f"`make train` would go on in {local_stages.home()}, on the processor. RUNTIME=docker uses the GPU."
            )
        served = images.plan("serve", compose)
        images.prepare("train", compose)
        said, code = compose.answer(*_TRIAL)
        print(said.decode(), end="", flush=True)
        if code:
            # Once more, with TensorFlow's own words.
            compose.answer("--env", "TF_CPP_MIN_LOG_LEVEL=0", *_TRIAL)
            raise EngineError("TensorFlow cannot compute on the GPU that nvidia-smi sees. Its log is above.")
        images.prepare("serve", compose)
        version, _, _ = compose.ask("run", "--rm", "-T", "serve", "--version").partition("\n")
        print(f"{served}: {version}")
    except EngineError as error:
        print(f"Error: training would not use a GPU: {error}", file=sys.stderr)
        return EXIT_NO_DOCKER
    print("GPU check: training uses the GPUs above, and the server's image starts beside them.")
    return 0


def _check_compose() -> None:
    found = re.match(r"v?(\d+)\.(\d+)\.(\d+)", engines.ask("compose", "version", "--short"))
    if found and tuple(map(int, found.groups())) < COMPOSE:
        wanted = ".".join(map(str, COMPOSE))
        raise EngineError(f"Compose {found[0]} starts containers with the wrong command: install {wanted} or newer")


def _small_image(compose: Compose) -> str:
    image = compose.image("train")
    if not engines.has(image):
        image = compose.build_argument("train", "PYTHON_IMAGE")
    if not engines.has(image):
        engines.pull(image)
    return image


def _nvidia_smi(image: str) -> str:
    """A line for each GPU, warnings among them. Raises EngineError with the cure for what is complained about.

    What NVML complains about is on standard output.
    """
    command = ["docker", "run", "--rm", "--gpus", "all", "--network", "none", "--entrypoint", "nvidia-smi", image]
    try:
        done = subprocess.run([*command, *_QUERY], capture_output=True, text=True, timeout=ANSWER_SECONDS, check=False)
    except subprocess.TimeoutExpired as error:
        raise EngineError(f"nvidia-smi did not answer within {ANSWER_SECONDS:.0f} s in a container") from error
    if done.returncode or not _GPU.search(done.stdout):
        raise EngineError(explain(f"{done.stdout}\n{done.stderr}"))
    return done.stdout


def _check_gpu(name: str, driver: str, capability: str, memory: str) -> None:
    """Says what it is. Raises EngineError where TensorFlow 2.15 does not run on it."""
    said = gpu.sentence(name, float(capability))
    print(f"{said} Driver {driver}, memory {memory}.", flush=True)
    if float(capability) >= gpu.UNSUPPORTED:
        raise EngineError(f"{name} is newer than TensorFlow 2.15. `make train RUNTIME=local` trains on the processor.")
    if int(driver.partition(".")[0]) < DRIVER:
        raise EngineError(f"driver {driver} is too old for CUDA 12.2: install 535 or newer")
