"""models.config: which models, which of their versions, and where labels point. Pure functions over the proto."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

import grpc
from google.protobuf import text_format
from google.protobuf.message import Message
from tensorflow_serving.config import model_server_config_pb2

from model_server.errors import StatusError, failed_precondition, invalid_argument

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
        raise StatusError(grpc.StatusCode.NOT_FOUND, f"{path}: {error.strerror}") from error


def single_model(name: str, base_path: str) -> model_server_config_pb2.ModelServerConfig:
    """The config that --model_name and --model_base_path stand for."""
    config = model_server_config_pb2.ModelServerConfig()
    config.model_config_list.config.add(name=name, base_path=base_path, model_platform=PLATFORM)
    return config


def validate(config: model_server_config_pb2.ModelServerConfig) -> None:
    """Raise INVALID_ARGUMENT for what the real server refuses, UNIMPLEMENTED for what only this one does."""
    if config.WhichOneof("config") == "custom_model_config":
        raise StatusError(grpc.StatusCode.UNIMPLEMENTED, "ModelServer does not yet support custom model config.")
    seen: set[str] = set()
    for model in config.model_config_list.config:
        if model.name in seen:
            raise invalid_argument(f"Illegal to list model {model.name} multiple times in config list")
        seen.add(model.name)
        if not Path(model.base_path).is_absolute():
            raise invalid_argument(
                f"Expected model {model.name} to have an absolute path or URI; got base_path()={model.base_path}"
            )
        if not model.model_platform and not model.model_type:
            raise invalid_argument(
                "Illegal setting neither ModelServerConfig::model_type (deprecated) nor "
                f"ModelServerConfig::model_platform, model name is {model.name}"
            )
        if model.model_platform not in ("", PLATFORM):
            raise invalid_argument(f"Model {model.name} requests unsupported platform {model.model_platform}")
        if model.HasField("logging_config"):
            raise StatusError(
                grpc.StatusCode.UNIMPLEMENTED, f"logging_config of model {model.name}: request logging is left out"
            )


def resolve_labels(
    config: model_server_config_pb2.ModelServerConfig,
    current: Labels,
    is_available: Callable[[str, int], bool],
    allow_unavailable: bool,
) -> Labels:
    """The labels of a new config, or FAILED_PRECONDITION, which refuses the config as a whole.

    A label may point only to an available version. `allow_unavailable` lifts that for a label that is new or stays
    where it was, not for one that moves: so a promotion first loads a version and then moves the label.
    """
    labels: dict[str, dict[str, int]] = {}
    for model in config.model_config_list.config:
        for label, version in model.version_labels.items():
            moves = current.get(model.name, {}).get(label, version) != version
            if not (allow_unavailable and not moves) and not is_available(model.name, version):
                raise failed_precondition(
                    f"Request to assign label to version {version} of model {model.name}, "
                    "which is not currently available for inference"
                )
            labels.setdefault(model.name, {})[label] = version
    return labels


def aspired_versions(model: model_server_config_pb2.ModelConfig) -> dict[int, Path] | None:
    """The versions that should be served now: number to directory. None when the base path cannot be read.

    Names that are not integers are ignored. Where two names spell one number (1 and 001), the last in order counts.
    """
    try:
        names = sorted(entry.name for entry in Path(model.base_path).iterdir())
    except OSError:
        return None
    found = {number: Path(model.base_path) / name for name in names if (number := _version_number(name)) is not None}
    policy = model.model_version_policy
    choice = policy.WhichOneof("policy_choice")
    if choice == "all":
        return found
    if choice == "specific":
        return {number: path for number, path in found.items() if number in policy.specific.versions}
    newest = sorted(found, reverse=True)[: max(policy.latest.num_versions, 1)]
    return {number: found[number] for number in newest}


def _version_number(name: str) -> int | None:
    """A name that C++ reads as a signed 64-bit integer."""
    if not name.removeprefix("-").isdecimal() or not name.isascii():
        return None
    number = int(name) if len(name) <= 20 else 1 << 64
    return number if -(1 << 63) <= number < 1 << 63 else None
