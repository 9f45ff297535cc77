"""What can go wrong in the pipeline, and the exit code of each kind.

    PipelineError            1
    ├── DataError            3   a photo, an annotation or a data set
    ├── TrainingError        4   training could not start, go on, or make sense
    ├── ExportError          5   a candidate could not be made, or is not what it must be
    └── ServingError         6   a server could not be started, found or stopped

Exit code 2 is a wrong command line.
"""

from __future__ import annotations


class PipelineError(Exception):
    """Says what is wrong, where, and what to do, in one or a few lines for people."""

    exit_code = 1


class DataError(PipelineError):
    exit_code = 3


class TrainingError(PipelineError):
    exit_code = 4


class ExportError(PipelineError):
    exit_code = 5


class ServingError(PipelineError):
    exit_code = 6
