"""Whose a project of containers is: the checkout's that used its name first. Standard library only.

An empty volume says so. Labels on what Compose makes could not: newer ones make a network anew, and offer to delete a
volume, whose labels are others than the file's, as a second or a moved checkout's would be.
"""

from __future__ import annotations

import uuid
from pathlib import Path

from pipeline.atomic import write_atomically
from pipeline.runtime import engine
from pipeline.runtime.compose import ROOT, Compose
from pipeline.runtime.engine import EngineError

IDENTITY = Path("var", "checkout")
"""Where a checkout keeps what it is known by once it is moved."""
_PROJECT = "com.docker.compose.project"


def check(compose: Compose) -> bool:
    """Whether the project is this checkout's; False where it is nobody's yet. Raises EngineError where it is another's.

    So it does where a container of another application answers to the name of one of our services.
    """
    labels = '{{.Label "seamline.folder"}}\t{{.Label "seamline.checkout"}}'
    taken = engine.ask("volume", "ls", "--filter", f"label=seamline.claims={compose.project}", "--format", labels)
    folder, _, identity = taken.partition("\t")
    if folder and not _is_ours(folder, identity):
        _refuse(compose, folder)
    containers = '{{.Names}}\t{{.Label "com.docker.compose.service"}}\t{{.Label "seamline.project"}}'
    listed = ("ps", "--all", "--filter", f"label={_PROJECT}={compose.project}", "--format")
    for line in engine.ask(*listed, f'{containers}\t{{{{.Label "{_PROJECT}.working_dir"}}}}').splitlines():
        name, service, ours, place = f"{line}\t\t\t".split("\t")[:4]
        if not ours and service in compose.services:
            raise EngineError(
                f"container {name} of another application has the project name {compose.project} and the service name "
                f"{service}: set COMPOSE_PROJECT_NAME to another name"
            )
        if ours and not folder and place not in ("", str(ROOT)) and Path(place).is_dir():
            _refuse(compose, place)
    return bool(folder)


def claim(compose: Compose) -> None:
    """Takes the project's name for this checkout, before anything is made under it. Raises EngineError as `check`."""
    if check(compose):
        return
    file = ROOT / IDENTITY
    if not file.is_file():
        file.parent.mkdir(exist_ok=True)
        write_atomically(file, uuid.uuid4().hex)
    labels = {"project": compose.project, "claims": compose.project, "folder": ROOT, "checkout": file.read_text()}
    given = [part for name, value in labels.items() for part in ("--label", f"seamline.{name}={value}")]
    # Of two that take it at once the second gets the first one's volume.
    engine.ask("volume", "create", *given, volume(compose))
    check(compose)


def _is_ours(folder: str, identity: str) -> bool:
    """Whether it was made here, or where this checkout was before it was moved; a copy has another beside it."""
    own = ROOT / IDENTITY
    moved = own.is_file() and own.read_text() == identity and not (Path(folder) / IDENTITY).is_file()
    return folder == str(ROOT) or moved


def _refuse(compose: Compose, folder: str) -> None:
    gone = "" if Path(folder).is_dir() else f", or `docker volume rm {volume(compose)}`, as that folder is gone"
    raise EngineError(
        f"the project {compose.project} is that of the checkout in {folder}; COMPOSE_PROJECT_NAME=<another> gives this "
        f"one a project of its own{gone}"
    )


def volume(compose: Compose) -> str:
    """The name of the volume that holds the claim."""
    return f"{compose.project}_made-by"
