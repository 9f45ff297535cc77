"""What TensorFlow's readers raise for files that are missing or damaged, each kind of damage in its own way."""

from __future__ import annotations

import tensorflow as tf

UNREADABLE = (tf.errors.OpError, LookupError, OSError, RuntimeError, ValueError)


def reason(error: Exception) -> str:
    """One line. TensorFlow has it below a headline and a traceback, and above the node of the graph."""
    lines = [line.strip() for line in str(error).splitlines()]
    return next((line for line in reversed(lines) if line and not line.startswith("[[")), repr(error))
