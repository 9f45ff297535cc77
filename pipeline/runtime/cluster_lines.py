"""`make train CLUSTER=host1,host2`: writes a TF_CONFIG for each task, and says what to type on which machine.

The first machine has the chief and the evaluator, each other one a worker. Standard library only.
"""

from __future__ import annotations

import json
import os
import shlex
from collections.abc import Iterator, Mapping

from pipeline.runtime import local_stages, venv

PORT = 7000
"""Of the first task on a machine; others there have the next ones."""
TYPED = ("DATA", "PRESET", "STEPS", "BATCH", "INIT", "ARGS", "PYTHON")
"""What make was told, and has to be told for each task."""
PATHS = ("DATA", "PRESET", "INIT")


def tasks(machines: str) -> list[tuple[str, int, str]]:
    """Type, index and `host:port` of each task. Raises ValueError for what names no machines."""
    places = [each.strip() for each in machines.split(",")]
    if len(places) < 2:
        raise ValueError(f"CLUSTER={machines}: one machine trains without it; name two or more, as in host1,host2")
    used: dict[str, int] = {}

    def address(place: str) -> str:
        host, colon, port = place.partition(":")
        if not host or set(host) & set(" /[]@:") or (colon and not (port.isdecimal() and 0 < int(port) < 65000)):
            raise ValueError(f"CLUSTER={machines}: {place!r} is no machine; expected host1,host2 or host1:{PORT},host2")
        used[host] = max(used.get(host, 0) + 1, int(port) if colon else PORT)
        return f"{host}:{used[host]}"

    chief, *workers = places
    found = [("chief", 0, address(chief)), ("evaluator", 0, address(chief.partition(":")[0]))]
    return found + [("worker", index, address(place)) for index, place in enumerate(workers)]


def write(machines: str, variables: Mapping[str, str]) -> int:
    """The exit code of make. Raises ValueError as `tasks` does, OSError where the files cannot be written."""
    home, found = local_stages.home(), tasks(machines)
    cluster: dict[str, list[str]] = {}
    for kind, _, address in found:
        cluster.setdefault(kind, []).append(address)
    folder = home / "cluster"
    folder.mkdir(parents=True, exist_ok=True)
    print(f"All machines have to see the same {home} and {venv.ROOT}. In a terminal each, in any order:")
    for kind, index, address in found:
        file = folder / f"{kind}-{index}.json"
        file.write_text(json.dumps({"cluster": cluster, "task": {"type": kind, "index": index}}) + "\n")
        print(f"\n# on {address.partition(':')[0]}, the {kind}")
        print(
            f"cd {shlex.quote(str(venv.ROOT))} && SEAMLINE_HOME={shlex.quote(str(home))} "
            f'TF_CONFIG="$(cat {shlex.quote(str(file))})" {shlex.join(["make", "train", *_typed(variables)])}'
        )
    return 0


def _typed(variables: Mapping[str, str]) -> Iterator[str]:
    for name in TYPED:
        if value := variables.get(name):
            if name in PATHS and os.path.exists(os.path.expanduser(value)):  # noqa: PTH110, PTH111  # any `~` will do
                value = os.path.abspath(os.path.expanduser(value))  # noqa: PTH100, PTH111  # links stay as they are
            yield f"{name}={value}"
