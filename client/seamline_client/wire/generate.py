"""Write `serving_pb2.py` and its types from `serving.proto`: `python -m seamline_client.wire.generate`.

Needs grpcio-tools (a development dependency). The result is checked in, and a test holds it to the .proto file.
"""

from __future__ import annotations

import sys
from pathlib import Path

WIRE = Path(__file__).resolve().parent
PROTO = WIRE / "serving.proto"
GENERATED = ("serving_pb2.py", "serving_pb2.pyi")
EXEMPT_FROM_CHECKS = "# ruff: noqa\n# fmt: off\n# mypy: ignore-errors\n"


def generate(root: Path) -> list[Path]:
    """Write the generated files to `root`/client/wire and return their paths; RuntimeError where protoc fails."""
    import grpc_tools
    from grpc_tools import protoc

    code = protoc.main(
        [
            "protoc",
            f"--proto_path={WIRE.parent.parent}",
            f"--proto_path={Path(grpc_tools.__file__).parent / '_proto'}",
            f"--python_out={root}",
            f"--pyi_out={root}",
            str(PROTO),
        ]
    )
    if code != 0:
        raise RuntimeError(f"protoc ended with {code} on {PROTO}")
    paths = [root / "client" / "wire" / name for name in GENERATED]
    for path in paths:
        path.write_text(EXEMPT_FROM_CHECKS + path.read_text(encoding="utf-8"), encoding="utf-8")
    return paths


if __name__ == "__main__":
    for written in generate(WIRE.parent.parent):
        print(written, file=sys.stderr)
