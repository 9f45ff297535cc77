"""python -m pipeline <command>: the stages of the job by name, and what there is round them."""

from __future__ import annotations

import os
import sys

# Before TensorFlow is imported, by whichever command: it greets with pages of notes on CUDA, and takes all of a GPU's
# memory, where a server may have to load the candidate on the same one.
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("TF_FORCE_GPU_ALLOW_GROWTH", "true")

# Imported for their commands, in the order that --help lists them in.
from pipeline.cli import data, training, release, serving, gateway  # isort: skip
from pipeline.cli.shared import app
from pipeline.errors import PipelineError, ServingError
from seamline_client.errors import CannotConnect, ClientError

__all__ = ["app", "data", "gateway", "main", "release", "serving", "training"]


def main() -> None:
    """Runs a command; what goes wrong is one message and an exit code, never a traceback."""
    try:
        app()
    except PipelineError as error:
        print(f"Error: {error}", file=sys.stderr)
        sys.exit(error.exit_code)
    except CannotConnect as error:
        print(f"Error: No server answers. `make serve` starts one here. {error}", file=sys.stderr)
        sys.exit(ServingError.exit_code)
    except (ClientError, OSError) as error:
        print(f"Error: {error}", file=sys.stderr)
        sys.exit(PipelineError.exit_code)
