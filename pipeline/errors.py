"""What can go wrong in the pipeline, and the exit code of each kind.

    PipelineError            1
    ├── DataError            3   a photo, an annotation or a data set
    ├── TrainingError        4   training could not start or go on
    │   └── ClusterError    15   a task of a cluster was lost, and so all of them ended
    ├── ExportError          5   a candidate could not be made
    │   ├── ContractError   10   refused: its signatures are not the contract
    │   ├── ParityError     11   refused: a server does not answer what the Estimator predicted
    │   ├── ScoreError      12   refused: it scores worse than the version that serves
    │   ├── ChecksumError   13   refused: its files are not those that were written
    │   ├── SignatureError  18   refused: not signed by a key that this machine trusts, or not as this
    │   ├── BusyError       14   another process is changing the store
    │   └── StoreError       5   the store cannot be written: full, read-only, spread over two file systems
    ├── RemoteError         19   where versions are kept for several machines cannot be reached, or has none
    └── ServingError         6   no server runs, or it does not do what it should; no version to serve or to go back to
        └── ReplicaError    17   one of several servers cannot be reached; the others do what they should

Exit code 2 is a wrong command line; 7 to 9 are those of `venv` and `launch` in `pipeline.runtime`, 130 a stop on
request.
"""

from __future__ import annotations

EXIT_DRIFT = 16
"""Of `drift`: something differs from what the version was evaluated on."""


class PipelineError(Exception):
    """Says what is wrong, where, and what to do, in one or a few lines for people."""

    exit_code = 1


class DataError(PipelineError):
    exit_code = 3


class TrainingError(PipelineError):
    exit_code = 4


class ClusterError(TrainingError):
    exit_code = 15


class ExportError(PipelineError):
    exit_code = 5


class ContractError(ExportError):
    exit_code = 10


class ParityError(ExportError):
    exit_code = 11


class ScoreError(ExportError):
    exit_code = 12


class ChecksumError(ExportError):
    exit_code = 13


class SignatureError(ExportError):
    exit_code = 18


class BusyError(ExportError):
    exit_code = 14


class StoreError(ExportError):
    exit_code = 5


class RemoteError(PipelineError):
    exit_code = 19


class ServingError(PipelineError):
    exit_code = 6


class ReplicaError(ServingError):
    exit_code = 17
