"""`python -m pipeline` in homes of its own, to be killed or not."""

from __future__ import annotations

import os
import shutil
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import matplotlib.figure  # noqa: F401  # what takes seconds to import is imported with this module: see `victims`
import tensorflow as tf

from pipeline import cli
from pipeline.background.ports import free_port
from pipeline.release.store import ModelStore
from seamline_client.contract import MODEL_NAME
from tests.faults import victims
from tests.faults.victims import Ended

tf.compat.v1.estimator.Estimator  # noqa: B018  # TensorFlow imports it on first use; no thread is started by that

TRAIN, EXPORT = "train --preset tiny", "export"


@dataclass(frozen=True)
class Home:
    """What SEAMLINE_HOME names, with ports of its own."""

    folder: Path
    grpc_port: int = field(default_factory=free_port)
    rest_port: int = field(default_factory=free_port)

    def run(self, command: str, **kill: Any) -> Ended:
        """`python -m pipeline <command>`, killed as `victims.run` describes."""
        return victims.run(self.pipeline, command, **kill)

    def pipeline(self, command: str) -> None:
        ports = {"SEAMLINE_GRPC_PORT": str(self.grpc_port), "SEAMLINE_REST_PORT": str(self.rest_port)}
        os.environ.update(SEAMLINE_HOME=str(self.folder), **ports)
        sys.argv = ["pipeline", *command.split()]
        cli.main()

    @property
    def store(self) -> ModelStore:
        return ModelStore(self.folder / "models", MODEL_NAME)

    def with_copies(self, folder: Path, *names: str) -> Home:
        """A new home with copies of these folders of this one."""
        for name in names:
            shutil.copytree(self.folder / name, folder / name, symlinks=True)
        return Home(folder)
