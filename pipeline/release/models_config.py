"""`models.config`: which version answers to the model's plain name, and which to the canary's.

A server reads it at start and again every second (`--model_config_file_poll_wait_seconds=1`). It is the only record of
what serves, so that what is written down and what answers cannot drift apart.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from google.protobuf import text_format
from tensorflow_serving.config import model_server_config_pb2

from pipeline.atomic import write_atomically
from pipeline.errors import ServingError
from pipeline.release.store import ModelStore

CONFIG = "models.config"


@dataclass(frozen=True)
class Serving:
    """The versions that the two names stand for; None where a name stands for nothing."""

    version: int | None = None
    canary: int | None = None


def path(store: ModelStore) -> Path:
    return store.base / CONFIG


def canary_name(store: ModelStore) -> str:
    """The canary is a servable of its own, of the same base path: loaded under the plain name it could answer there."""
    return f"{store.folder.name}-canary"


def trial_name(store: ModelStore) -> str:
    """A servable of its own, too, that nobody calls: a version is asked its golden requests there before it takes the
    place of another."""
    return f"{store.folder.name}-trial"


def read(store: ModelStore) -> Serving:
    """What serves; nothing where nothing was ever promoted.

    A file from before there were canary servables is understood too: where the label `stable` was, or else the version
    that such a server answers with, and the label `canary`.
    Raises ServingError when the file was edited into something that cannot be read.
    """
    file = path(store)
    if not file.is_file():
        return Serving()
    try:
        config = text_format.Parse(file.read_text(), model_server_config_pb2.ModelServerConfig())
        models = {model.name: model for model in config.model_config_list.config}
        plain = models[store.folder.name]
    except (text_format.ParseError, ValueError, KeyError) as error:
        raise ServingError(
            f"{file}: cannot be read: {error}. Delete it and promote the version that should serve."
        ) from error
    labels = plain.version_labels
    canary = models.get(canary_name(store))
    return Serving(
        labels.get("stable") or _highest(plain) or max(store.numbers(), default=None),
        _highest(canary) if canary else labels.get("canary"),
    )


def write(store: ModelStore, serving: Serving, *, trial: int | None = None) -> None:
    """Replaces the file in one step. Without a version to serve there is none. `trial`: see `trial_name`."""
    if serving.version is None:
        path(store).unlink(missing_ok=True)
        return
    config = model_server_config_pb2.ModelServerConfig()
    for name, version in (
        (store.folder.name, serving.version),
        (canary_name(store), serving.canary),
        (trial_name(store), trial),
    ):
        if version is None:
            continue
        model = config.model_config_list.config.add()
        model.name = name
        # Absolute, as the server demands: it is written anew when the project's folder was moved.
        model.base_path = str(store.folder.absolute())
        model.model_platform = "tensorflow"
        model.model_version_policy.specific.versions.append(version)
    write_atomically(path(store), text_format.MessageToString(config))


def _highest(model: model_server_config_pb2.ModelConfig) -> int | None:
    return max(model.model_version_policy.specific.versions, default=None)
