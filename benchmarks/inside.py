"""What `benchmarks gpu` asks where training computes, in its container: JSON on the last line of standard output.

rates        images a second of the latest run's input alone and of its step alone, on one GPU, and the GPUs
difference   largest difference between the newest version's answers here and the Estimator's, of the picture's side
"""

from __future__ import annotations

import json
import os
import sys
from typing import Any

from pipeline.gpu import ENVIRONMENT

os.environ.update({"TF_CPP_MIN_LOG_LEVEL": "3", **ENVIRONMENT, **os.environ})

from benchmarks import subject, training
from pipeline import gpu
from pipeline.release.gate import check_answers
from pipeline.release.golden import Golden
from pipeline.settings import Settings
from pipeline.training import estimator
from pipeline.training.runs import latest_run
from pipeline.training.train import input_fn

ROUNDS, STEPS = 3, 20


def rates() -> dict[str, Any]:
    run = latest_run(Settings.from_environment().runs)
    batches, steps = input_fn(run, 0), min(STEPS, run.preset.steps)
    alone = {"input": training.input_alone(batches), "step": training.bare_step(batches, run.preset)}
    found: dict[str, Any] = {"gpus": [gpu.sentence(name, capability) for name, capability in estimator.gpus()]}
    for name, seconds in alone.items():
        seconds(steps)  # compiles, and fills buffers
        found[name] = [run.preset.batch_size * steps / seconds(steps) for _ in range(ROUNDS)]
    return found


def difference() -> float:
    version = subject.newest()
    return check_answers(version, Golden.load(version))


if __name__ == "__main__":
    print(json.dumps({"rates": rates, "difference": difference}[sys.argv[1]]()))
