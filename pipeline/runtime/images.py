"""The images that a stage needs: found, pulled or built, and which server they serve by. Standard library only."""

from __future__ import annotations

from collections.abc import Sequence

from pipeline.runtime import engine, ownership
from pipeline.runtime.compose import Compose
from pipeline.runtime.engine import EngineError

STAND_IN = "stand-in"
"""The stage of Dockerfile.serve that takes the place of the official image."""
SERVING_LABEL = "seamline.serving-image"
SERVICES = {
    **{stage: stage for stage in ("train", "evaluate", "export", "serve")},
    **dict.fromkeys(("data", "report"), "train"),
    **dict.fromkeys(("versions", "promote", "canary", "rollback", "retire", "history", "verify", "demo"), "release"),
    "predict": "client",
}
"""By stage, the service that does it. Stages that are not here are told the engine, or what runs already."""


def plan(stage: str, compose: Compose) -> str:
    """Which server serves, in words. Nothing is pulled or built, but registries are asked.

    Raises EngineError when an image can be neither found nor pulled.
    """
    services = _needed(stage)
    words = _choose_server(compose) if "serve" in services else ""
    for service in services:
        base = _base(service, compose)
        if not engine.has(base) and not engine.has(compose.image(service)):
            engine.can_pull(base)
    return words


def prepare(stage: str, compose: Compose, *, also: Sequence[str] = ()) -> None:
    """Builds what a stage needs, and what else was asked for with it, which takes a second when nothing changed.

    Raises EngineError when an image can be neither pulled nor built, or the project is another checkout's.
    """
    services = (*_needed(stage), *also)
    if services:
        ownership.claim(compose)
    for service in services:
        image, base = compose.image(service), _base(service, compose)
        there = engine.has(image)
        if not engine.has(base):
            try:
                engine.pull(base)
            except EngineError as error:
                # An image that was loaded from a tar, on a machine that has not what it was built from.
                if not there:
                    raise
                print(f"Using {image} as it is: a newer one cannot be built ({error})", flush=True)
                continue
        print(f"Bringing {image} up to date" if there else f"Building {image}", flush=True)
        # Of an image that is there, only what goes wrong is worth showing.
        if not (there and compose.build(service, quiet=True)) and not compose.build(service, quiet=False):
            raise EngineError(f"{image} could not be built, see above")


def _needed(stage: str) -> tuple[str, ...]:
    """The services that build the images a stage runs. An export starts a server of its own."""
    service = SERVICES.get(stage)
    own = {None: (), "serve": ("serve",), "client": ("client",), "export": ("train", "serve")}
    # The others share train's. Compose labels images with the service, and would make another of it for each.
    return own.get(service, ("train",))


def _choose_server(compose: Compose) -> str:
    """Sets SERVING_IMAGE to the stand-in where the official image cannot be had and none was asked for by name."""
    wanted = compose.build_argument("serve", "SERVING_IMAGE")
    built = engine.label(compose.image("serve"), SERVING_LABEL)
    if compose.environment.get("SERVING_IMAGE") or built == wanted or engine.has(wanted):
        return f"{wanted} serves"
    architecture = compose.engine.architecture
    if built == STAND_IN:
        reason = f"as before; SERVING_IMAGE={wanted} tries again"
    elif architecture not in ("x86_64", "amd64"):
        reason = f"{wanted} is for amd64 only and this engine is {architecture}"
    else:
        try:
            engine.can_pull(wanted)
            return f"{wanted} serves"
        except EngineError as error:
            reason = str(error)
    compose.environment["SERVING_IMAGE"] = STAND_IN
    return f"the stand-in serves ({reason})"


def _base(service: str, compose: Compose) -> str:
    """The image that a service's own is built on."""
    python = compose.build_argument(service, "PYTHON_IMAGE")
    if service != "serve":
        return python
    serving = compose.environment.get("SERVING_IMAGE") or compose.build_argument(service, "SERVING_IMAGE")
    return python if serving == STAND_IN else serving
