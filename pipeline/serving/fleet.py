"""The servers of one model, one or many: which there are, and whether all of them follow."""

from __future__ import annotations

import socket
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed

from pipeline.errors import ReplicaError, ServingError
from pipeline.serving.server import wait_until_answering

CONNECT_SECONDS = 3.0


def replicas(target: str) -> list[str]:
    """Each server of a target that names several, with commas between them."""
    return [each.strip() for each in target.split(",") if each.strip()]


def addresses(server: str, port: int | None = None) -> list[str]:
    """`host:port` of every server that this one stands for; itself where it stands for one, or nobody knows.

    `port` takes the place of its own.
    """
    host, _, own = server.rpartition(":")
    number = str(port or own)
    try:
        found = socket.getaddrinfo(host.strip("[]"), int(number), type=socket.SOCK_STREAM) if host else []
    except (OSError, ValueError, OverflowError):
        found = []
    if not found:
        return [f"{host}:{number}" if host else server]
    # Of a server that has addresses of both kinds, one is enough.
    kind = min((family for family, *_ in found), key=lambda family: family != socket.AF_INET)
    hosts = sorted({str(where[0]) for family, *_, where in found if family == kind})
    if len(hosts) == 1:
        return [f"{host}:{number}"]
    return [f"[{each}]:{number}" if ":" in each else f"{each}:{number}" for each in hosts]


def listens(server: str) -> bool:
    """Whether it accepts connections."""
    host, _, port = server.rpartition(":")
    try:
        socket.create_connection((host.strip("[]"), int(port)), CONNECT_SECONDS).close()
    except (OSError, ValueError, OverflowError):  # the last for a port beyond all numbers
        return False
    return True


def any_listens(servers: Sequence[str]) -> bool:
    """Whether one of them accepts connections. All are asked at once, and the first that does is enough."""
    pool = ThreadPoolExecutor(max(len(servers), 1))
    try:
        return any(each.result() for each in as_completed([pool.submit(listens, server) for server in servers]))
    finally:
        pool.shutdown(wait=False)


def wait_until_all_answer(servers: Sequence[str], model: str, version: int | None, seconds: float) -> list[str]:
    """Until every server answers with that version; None: until each answers with nothing.

    Returns those that could not be reached. Raises ServingError after `seconds` where one can be reached and answers
    otherwise, or where none can be reached.
    """
    with ThreadPoolExecutor(len(servers)) as pool:
        waits = [pool.submit(wait_until_answering, each, model, version, seconds) for each in servers]
    errors: list[ServingError] = []
    missing: list[str] = []
    for server, wait in zip(servers, waits):
        try:
            wait.result()
        except ServingError as error:
            errors.append(error)
            missing += [server] if isinstance(error, ReplicaError) else []
    if len(missing) < len(errors) or len(missing) == len(servers):
        raise ServingError("\n".join(map(str, errors)))
    return missing
