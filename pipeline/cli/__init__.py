"""python -m pipeline <command>: the stages of the job by name, and what there is round them."""

from __future__ import annotations

import io
import os
import sys
from collections.abc import Sequence
from typing import NoReturn

from pipeline.gpu import ENVIRONMENT

# Before they are imported, by whichever command: TensorFlow greets with pages on CUDA, gRPC has its own notes on TLS.
os.environ.update({"TF_CPP_MIN_LOG_LEVEL": "3", "GRPC_VERBOSITY": "NONE", **ENVIRONMENT, **os.environ})

# In the order that --help lists their commands in.
from pipeline.cli import (  # isort: skip
    data,
    labelling,
    page,
    training,
    release,
    serving,
    predicting,
    gateway,
    monitoring,
    drift,
    sync,
)
from pipeline.cli.shared import app
from pipeline.console import JsonLines, console, json_line, whole_words
from pipeline.errors import PipelineError, ServingError
from pipeline.settings import json_logs
from seamline_client.errors import CannotConnect, ClientError, one_line

__all__ = ["app", "main"]

PANELS = {
    data: "Photos and labels",
    labelling: "Photos and labels",
    page: "Photos and labels",
    training: "Training",
    release: "Versions",
    serving: "Serving and asking",
    predicting: "Serving and asking",
    gateway: "For callers elsewhere",
    monitoring: "Watching",
    drift: "Watching",
    sync: "On other machines",
}
"""Under which heading --help lists the commands of a module."""
for each in app.registered_commands:
    each.rich_help_panel = PANELS[sys.modules[each.callback.__module__]]


def main() -> None:
    """Runs a command; what goes wrong is one message and an exit code, never a traceback."""
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")  # names of files may be bytes that are no text
    # It is for the photos of callers, not for those asked about here. Its module needs more than the gateway has.
    os.environ.pop("SEAMLINE_SAMPLE", None)
    try:
        console.file = JsonLines() if json_logs() else None  # type: ignore[assignment]  # as it is at the start
        whole_words()
        _refuse_devices(sys.argv[1:])
        app()
    except PipelineError as error:
        _fail(str(error), error.exit_code)
    except CannotConnect as error:
        _fail(f"No server answers. `make serve` starts one here. {error}", ServingError.exit_code)
    except (ClientError, OSError) as error:
        _fail(str(error), PipelineError.exit_code)


def _fail(message: str, code: int) -> NoReturn:
    said = "\n".join(map(one_line, f"Error: {message}".split("\n")))
    print(json_line("ERROR", said) if isinstance(console.file, JsonLines) else said, file=sys.stderr)
    sys.exit(code)


def _refuse_devices(arguments: Sequence[str]) -> None:
    """Raises PipelineError where one names what may have no end, like /dev/zero, or waits for a writer, as pipes do."""
    for each in arguments:
        path = each.partition("=")[2] if each.startswith("--") else each
        # os.path says no, too, to what no path can be.
        if os.path.exists(path) and not (os.path.isfile(path) or os.path.isdir(path)):  # noqa: PTH110, PTH112, PTH113
            raise PipelineError(f"{path}: a device or a pipe, where a file or a folder was expected")
