"""A stand-in for the `tensorflow_model_server` binary: same flags, same gRPC and REST answers, any SavedModel.

It is for machines without Docker and knows nothing of the models it serves. README.md lists where it differs.
"""

from __future__ import annotations

import os

# Must be set before TensorFlow and gRPC are imported: what fails reaches the caller as a status, not as C++ log lines.
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("GRPC_VERBOSITY", "NONE")
