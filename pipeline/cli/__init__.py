"""python -m pipeline <command>: the stages of the job by name, and what there is round them."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence

# Before TensorFlow is imported, by whichever command: it greets with pages of notes on CUDA, and takes all of a GPU's
# memory, where a server may have to load the candidate on the same one.
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("TF_FORCE_GPU_ALLOW_GROWTH", "true")

# Imported for their commands, in the order that --help lists them in.
from pipeline.cli import data, training, release, serving  # isort: skip
from pipeline.cli.shared import app
from pipeline.errors import PipelineError, ServingError
from seamline_client.errors import CannotConnect, ClientError

__all__ = ["app", "data", "main", "release", "serving", "training"]


def main() -> None:
    """Runs a command; what goes wrong is one message and an exit code, never a traceback."""
    try:
        _refuse_devices(sys.argv[1:])
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


def _refuse_devices(arguments: Sequence[str]) -> None:
    """Raises PipelineError where one names what may have no end, like /dev/zero, or waits for a writer, as pipes do."""
    for each in arguments:
        path = each.partition("=")[2] if each.startswith("--") else each
        # os.path says no, too, to what no path can be.
        if os.path.exists(path) and not (os.path.isfile(path) or os.path.isdir(path)):  # noqa: PTH110, PTH112, PTH113
            raise PipelineError(f"{path}: a device or a pipe, where a file or a folder was expected")
