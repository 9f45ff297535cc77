"""Writes `serving_pb2.py` and its types from `serving.proto`: `python -m seamline_client.wire.generate`.

Needs grpcio-tools, a development dependency. The result is checked in, and a test compares it with the .proto file.
"""

from __future__ import annotations

from pathlib import Path

HERE = Path(__file__).resolve().parent
CLIENT = HERE.parents[1]
GENERATED = ("serving_pb2.py", "serving_pb2.pyi")


def generate(root: Path) -> None:
    """Write both files to `root`/seamline_client/wire; raises RuntimeError where protoc fails."""
    import grpc_tools
    from grpc_tools import protoc

    known = Path(grpc_tools.__file__).parent / "_proto"
    where = [f"--proto_path={CLIENT}", f"--proto_path={known}", f"--python_out={root}", f"--pyi_out={root}"]
    if protoc.main(["protoc", *where, str(HERE / "serving.proto")]):
        raise RuntimeError(f"protoc failed on {HERE / 'serving.proto'}")
    for path in (root / HERE.relative_to(CLIENT) / name for name in GENERATED):
        path.write_text(f"# ruff: noqa\n# fmt: off\n# mypy: ignore-errors\n{path.read_text()}")


if __name__ == "__main__":
    generate(CLIENT)
