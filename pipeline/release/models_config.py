"""`models.config`: which versions a server loads, and which of them the labels stand for.

tensorflow/serving reads it at start and again every second (`--model_config_file_poll_wait_seconds=1`). It is the only
record of labels, so that what is written down and what is served cannot come apart.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from google.protobuf import text_format
from tensorflow_serving.config import model_server_config_pb2

from pipeline.atomic import write_atomically
from pipeline.errors import ServingError
from pipeline.release.store import ModelStore

CONFIG = "models.config"


@dataclass(frozen=True)
class Policy:
    """`versions` are loaded; none named means the newest one, whichever that is. `labels` name versions among them."""

    versions: frozenset[int] = frozenset()
    labels: Mapping[str, int] = field(default_factory=dict)


def path(store: ModelStore) -> Path:
    return store.base / CONFIG


def read(store: ModelStore) -> Policy:
    """The policy in force; the plain one where nothing was ever promoted.

    Raises ServingError when the file was edited into something that cannot be read.
    """
    file = path(store)
    if not file.is_file():
        return Policy()
    try:
        config = text_format.Parse(file.read_text(), model_server_config_pb2.ModelServerConfig())
        (model,) = config.model_config_list.config
    except (text_format.ParseError, ValueError) as error:
        raise ServingError(f"{file}: cannot be read: {error}. Delete it to serve the newest version.") from error
    return Policy(frozenset(model.model_version_policy.specific.versions), dict(model.version_labels))


def write(store: ModelStore, policy: Policy) -> None:
    """Replaces `models.config` in one step."""
    config = model_server_config_pb2.ModelServerConfig()
    model = config.model_config_list.config.add()
    model.name = store.folder.name
    model.base_path = str(store.folder.resolve())
    model.model_platform = "tensorflow"
    model.model_version_policy.specific.versions.extend(sorted(policy.versions))
    if not policy.versions:
        model.model_version_policy.latest.num_versions = 1
    for label, version in sorted(policy.labels.items()):
        model.version_labels[label] = version
    write_atomically(path(store), text_format.MessageToString(config))
