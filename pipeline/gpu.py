"""What NVIDIA's libraries are told before they start, and what a person is told about a GPU. Standard library only."""

from __future__ import annotations

import os

ENVIRONMENT = {
    # Training and a server, or two servers, may share a GPU: TensorFlow would take all of its memory at once.
    "TF_FORCE_GPU_ALLOW_GROWTH": "true",
    # One arithmetic wherever answers are compared; docs/decisions/one-arithmetic-on-a-gpu.md has the reasons.
    "NVIDIA_TF32_OVERRIDE": "0",
    # A GPU that TensorFlow has no machine code for compiles more at its first start than the default, 1 GB, can keep.
    "CUDA_CACHE_MAXSIZE": str(4 << 30),
    "CUDA_MODULE_LOADING": "LAZY",
}
"""For every process that uses a GPU, ours or a server's."""
CACHE = "CUDA_CACHE_PATH"
COMPILES, UNSUPPORTED = 9.0, 10.0
"""Compute capabilities from which on TensorFlow 2.15 compiles nearly all of its kernels, and does not run at all."""


def sentence(name: str, capability: float) -> str:
    """What a GPU is, and what its first start costs."""
    said = f"GPU: {name}, compute capability {capability}"
    if capability >= UNSUPPORTED:
        return (
            f"{said}, which TensorFlow 2.15 does not support (6.0 to 9.0 are). RUNTIME=local trains on the CPU; where "
            f"CUDA is installed there too, CUDA_VISIBLE_DEVICES=-1 hides the GPU."
        )
    if capability >= COMPILES:
        where = os.environ.get(CACHE, "~/.nv/ComputeCache")
        return f"{said}. Its first start compiles TensorFlow's kernels, for minutes and silently; {where} keeps them."
    return f"{said}."
