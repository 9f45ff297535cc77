"""models.config: which models, which of their versions, and where labels point. Pure functions over the proto."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from pathlib import Path

from google.protobuf import text_format
from google.protobuf.message import Message
from tensorflow_serving.config import model_server_config_pb2

from model_server.errors import failed_precondition, invalid_argument, not_found, unimplemented

Labels = Mapping[str, Mapping[str, int]]
"""The version of each label, by model."""

PLATFORM = "tensorflow"


def read_text_proto(path: Path, message: Message) -> None:
    """Fill `message` from a file in text format, as all config files of the server are.

    Raises INVALID_ARGUMENT naming the file and the line, NOT_FOUND when there is no such file.
    """
    try:
        text_format.Parse(path.read_text(), message)
    except (text_format.ParseError, UnicodeDecodeError) as error:
        kind = message.DESCRIPTOR.full_name
        raise invalid_argument(f"Invalid protobuf file: '{path}': Error parsing text-format {kind}: {error}") from error
    except OSError as error:
        raise not_found(f"{path}: {error.strerror}") from error


def single_model(name: str, base_path: str) -> model_server_config_pb2.ModelServerConfig:
    """The config that --model_name and --model_base_path stand for."""
    config = model_server_config_pb2.ModelServerConfig()
    config.model_config_list.config.add(name=name, base_path=base_path, model_platform=PLATFORM)
    return config


def validate(config: model_server_config_pb2.ModelServerConfig) -> None:
    """Raise INVALID_ARGUMENT for what the real server refuses, UNIMPLEMENTED for what only this one does."""
    if config.WhichOneof("config") != "model_config_list":
        raise invalid_argument("The config names no models. Only ModelConfigList is currently supported")
    seen: set[str] = set()
    for model in config.model_config_list.config:
        if model.name in seen:
            raise invalid_argument(f"Illegal to list model {model.name} multiple times in config list")
        seen.add(model.name)
        if not Path(model.base_path).is_absolute():
            raise invalid_argument(
                f"Expected model {model.name} to have an absolute path or URI; got base_path()={model.base_path}"
            )
        if model.model_platform != PLATFORM:
            raise invalid_argument(f"Model {model.name} requests unsupported platform '{model.model_platform}'")
        if model.HasField("logging_config"):
            raise unimplemented(f"logging_config of model {model.name}: request logging is left out")


def labels_of(config: model_server_config_pb2.ModelServerConfig, may_have_label: Callable[[str, int], bool]) -> Labels:
    """The labels of a config. FAILED_PRECONDITION, which refuses all of it, when a version may not have one."""
    models = config.model_config_list.config
    for model in models:
        for version in model.version_labels.values():
            if not may_have_label(model.name, version):
                raise failed_precondition(
                    f"Request to assign label to version {version} of model {model.name}, "
                    "which is not currently available for inference"
                )
    return {model.name: dict(model.version_labels) for model in models}


def aspired_versions(model: model_server_config_pb2.ModelConfig) -> dict[int, Path] | None:
    """The versions that should be served now: number to directory. None when the base path cannot be read.

    Names that are not numbers are ignored. Where two names spell one number (1 and 001), the last in order counts.
    """
    try:
        entries = sorted(Path(model.base_path).iterdir())
    except OSError:
        return None
    found = {int(entry.name): entry for entry in entries if re.fullmatch("[0-9]{1,18}", entry.name)}
    policy = model.model_version_policy
    choice = policy.WhichOneof("policy_choice")
    if choice == "all":
        return found
    if choice == "specific":
        return {number: path for number, path in found.items() if number in policy.specific.versions}
    newest = sorted(found, reverse=True)[: max(policy.latest.num_versions, 1)]
    return {number: found[number] for number in newest}
