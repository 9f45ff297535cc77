"""`python -m pipeline` as a job for victims. What takes the commands seconds to import is imported with this module."""

from __future__ import annotations

import json
import os
import sys

import matplotlib.figure  # noqa: F401
import tensorflow as tf

from pipeline import cli

tf.compat.v1.estimator.Estimator  # noqa: B018  # TensorFlow imports it on first use; no thread is started by that


def pipeline(command: str, environment: str) -> None:
    """One command line, with further environment variables as JSON."""
    os.environ.update(json.loads(environment))
    sys.argv = ["pipeline", *command.split()]
    cli.main()
