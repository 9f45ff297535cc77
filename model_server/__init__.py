"""A stand-in for the `tensorflow_model_server` binary: same flags, same gRPC and REST answers, any SavedModel.

It is for machines without Docker and knows nothing of the models it serves. What it leaves out is listed in `flags.py`
and README.md; asking for one of those gives a clear error.
"""

from __future__ import annotations

import os

# Must be set before TensorFlow and gRPC are imported: what fails reaches the caller as a status, not as C++ log lines.
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("GRPC_VERBOSITY", "NONE")
