"""The one error of this package, and where lower errors become it.

    StatusError      a canonical code and a message: the answer to a request, or why the server cannot start

gRPC sends it as it is; `rest_api` translates the code; `__main__` prints it and exits.
"""

from __future__ import annotations

import grpc
import tensorflow as tf

_CODES = {code.value[0]: code for code in grpc.StatusCode}


class StatusError(Exception):
    """What `absl::Status` is in the real server. `str()` gives its form in logs, `CODE: message`."""

    def __init__(self, code: grpc.StatusCode, message: str) -> None:
        super().__init__(f"{code.name}: {message}")
        self.code = code
        self.message = message


def invalid_argument(message: str) -> StatusError:
    return StatusError(grpc.StatusCode.INVALID_ARGUMENT, message)


def not_found(message: str) -> StatusError:
    return StatusError(grpc.StatusCode.NOT_FOUND, message)


def failed_precondition(message: str) -> StatusError:
    return StatusError(grpc.StatusCode.FAILED_PRECONDITION, message)


def unimplemented(message: str) -> StatusError:
    return StatusError(grpc.StatusCode.UNIMPLEMENTED, message)


def from_exception(error: Exception) -> StatusError:
    """Map whatever TensorFlow, the file system or a bug of ours raised to a status; a StatusError stays itself."""
    if isinstance(error, StatusError):
        return error
    if isinstance(error, tf.errors.OpError):
        return StatusError(_CODES.get(error.error_code, grpc.StatusCode.UNKNOWN), str(error.message))
    if isinstance(error, FileNotFoundError):
        return not_found(str(error))
    if isinstance(error, MemoryError):
        return StatusError(grpc.StatusCode.RESOURCE_EXHAUSTED, "out of memory")
    return StatusError(grpc.StatusCode.INTERNAL, f"{type(error).__name__}: {error}")


def cannot_listen(address: str, reason: str) -> StatusError:
    """Why the server cannot start."""
    return StatusError(grpc.StatusCode.UNAVAILABLE, f"Cannot listen on {address}: {reason}")
