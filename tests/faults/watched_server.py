"""model_server, with every path that its Python code opens, lists or changes written to a file.

python -m tests.faults.watched_server <file> --port=... ...
"""

from __future__ import annotations

import os
import runpy
import sys
from typing import Any

_EVENTS = ("open", "os.listdir", "os.scandir", "os.mkdir", "os.rename", "os.remove", "glob.glob")


def _watch(file: str) -> None:
    out = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_APPEND)

    def see(event: str, arguments: tuple[Any, ...]) -> None:
        if event in _EVENTS:
            os.write(out, f"{event} {arguments[0]!r}\n".encode(errors="backslashreplace"))

    sys.addaudithook(see)


if __name__ == "__main__":
    _watch(sys.argv.pop(1))
    runpy.run_module("model_server", run_name="__main__", alter_sys=True)
