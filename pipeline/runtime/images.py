"""The images that a stage needs: found, pulled or built, and which server they serve by. Standard library only."""

from __future__ import annotations

from pipeline.runtime import engine as engines
from pipeline.runtime.compose import Compose
from pipeline.runtime.engine import Engine, EngineError

STAND_IN = "stand-in"
"""The stage of Dockerfile.serve that takes the place of the official image."""
SERVING_LABEL = "seamline.serving-image"
_NEEDED = {
    "data": ("train",),
    "train": ("train",),
    "report": ("train",),
    "export": ("train", "serve"),
    "serve": ("serve",),
}
_NEEDED.update(dict.fromkeys(("versions", "promote", "rollback", "remove", "verify", "evaluate", "demo"), ("train",)))
_NEEDED["predict"] = ("client",)


def prepare(stage: str, compose: Compose, engine: Engine) -> str:
    """Builds what a stage needs, which takes a second when nothing changed. Says in words which server serves.

    Raises EngineError when an image can be neither found, nor pulled, nor built.
    """
    words = ""
    for service in _NEEDED.get(stage, ()):
        if service == "serve":
            words = _choose_server(compose, engine)
        _build(service, compose)
    return words


def _choose_server(compose: Compose, engine: Engine) -> str:
    """Sets SERVING_IMAGE to the stand-in where the official image cannot be had and none was asked for by name."""
    wanted = compose.build_argument("serve", "SERVING_IMAGE")
    if "SERVING_IMAGE" in compose.environment or engines.has(wanted):
        return f"{wanted} serves"
    built = engines.label(compose.image("serve"), SERVING_LABEL)
    if built == wanted:
        return f"{wanted} serves"
    if built == STAND_IN:
        reason = f"as before: make clean, or SERVING_IMAGE={wanted}, tries again"
    elif not engine.is_amd64:
        reason = f"{wanted} is for amd64 only and this engine is {engine.architecture}"
    else:
        try:
            engines.pull(wanted)
            return f"{wanted} serves"
        except EngineError as error:
            reason = str(error)
    compose.environment["SERVING_IMAGE"] = STAND_IN
    return f"the stand-in serves ({reason})"


def _build(service: str, compose: Compose) -> None:
    image = compose.image(service)
    there = engines.has(image)
    base = compose.build_argument(service, "PYTHON_IMAGE")
    if service == "serve":
        serving = compose.environment.get("SERVING_IMAGE") or compose.build_argument(service, "SERVING_IMAGE")
        base = base if serving == STAND_IN else serving
    if not engines.has(base):
        try:
            engines.pull(base)
        except EngineError as error:
            # An image that was loaded from a tar, on a machine that has not what it was built from.
            if not there:
                raise
            print(f"Using {image} as it is, without looking at the code here ({error})", flush=True)
            return
    if not there:
        print(f"Building {image}", flush=True)
    if compose.build(service, quiet=there):
        raise EngineError(f"{image} could not be built, see above")
