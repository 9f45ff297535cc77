"""The command line of tensorflow_model_server, with its names and defaults.

Left out, each refused with a clear error: --enable_per_model_batching_parameters,
--enable_serialization_as_tensor_content, --platform_config_file, --tensorflow_session_config_file,
--thread_pool_factory_config_file, --remove_unused_fields_from_bundle_metagraph, --use_alts_credentials, TensorFlow
Lite (--prefer_tflite_model and its pools), XLA, mixed precision, TPU and the profiler.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import dataclass, fields
from importlib.metadata import version

LEFT_OUT = (
    "enable_per_model_batching_parameters",
    "enable_serialization_as_tensor_content",
    "mixed_precision",
    "num_tflite_interpreters_per_pool",
    "num_tflite_pools",
    "platform_config_file",
    "prefer_tflite_model",
    "remove_unused_fields_from_bundle_metagraph",
    "skip_initialize_tpu",
    "tensorflow_session_config_file",
    "thread_pool_factory_config_file",
    "use_alts_credentials",
    "xla_cpu_compilation_enabled",
    "xla_gpu_compilation_enabled",
)


@dataclass(frozen=True)
class Flags:
    """What the command line said. Names are the official ones, `bind_address` aside; 0 threads means as many as fit."""

    port: int = 8500
    grpc_socket_path: str = ""
    rest_api_port: int = 0
    rest_api_num_threads: int = 0
    rest_api_timeout_in_ms: int = 30_000
    rest_api_enable_cors_support: bool = False
    bind_address: str = "127.0.0.1"
    model_name: str = "default"
    model_base_path: str = ""
    model_config_file: str = ""
    model_config_file_poll_wait_seconds: int = 0
    file_system_poll_wait_seconds: int = 1
    max_num_load_retries: int = 5
    load_retry_interval_micros: int = 60_000_000
    allow_version_labels_for_unavailable_models: bool = False
    enable_batching: bool = False
    batching_parameters_file: str = ""
    monitoring_config_file: str = ""
    ssl_config_file: str = ""
    enable_model_warmup: bool = True
    num_request_iterations_for_warmup: int = 0
    enable_grpc_healthcheck_service: bool = False
    grpc_max_threads: int = 0
    grpc_channel_arguments: str = ""
    tensorflow_session_parallelism: int = 0
    tensorflow_intra_op_parallelism: int = 0
    tensorflow_inter_op_parallelism: int = 0
    per_process_gpu_memory_fraction: float = 0.0
    saved_model_tags: str = "serve"
    # Known, and without effect here: loading is done by one thread, and no profiler runs.
    num_load_threads: int = 0
    num_unload_threads: int = 0
    flush_filesystem_caches: bool = True
    enable_profiler: bool = False
    enable_signature_method_name_check: bool = False


def _boolean(text: str) -> bool:
    if text.lower() in ("true", "1"):
        return True
    if text.lower() in ("false", "0"):
        return False
    raise argparse.ArgumentTypeError(f"{text!r} is not true or false")


class _Formatter(argparse.ArgumentDefaultsHelpFormatter, argparse.RawDescriptionHelpFormatter):
    """Shows defaults, and keeps the two lines of --version apart."""


class _Refuse(argparse.Action):
    def __call__(self, parser: argparse.ArgumentParser, *_: object) -> None:
        parser.error(f"--{self.dest} is a flag of tensorflow_model_server that this stand-in leaves out")


def parse(arguments: Sequence[str]) -> Flags:
    """Read `--flag=value`; a boolean may stand alone. Exits with code 2 and a message for what it does not know."""
    parser = argparse.ArgumentParser(
        prog="model_server",
        description="Serves SavedModels over gRPC and REST with the flags of tensorflow_model_server.",
        allow_abbrev=False,
        usage="python -m model_server --flag=value ... (--help lists the flags)",
        formatter_class=_Formatter,
    )
    for field in fields(Flags):
        default = field.default
        if isinstance(default, bool):
            parser.add_argument(f"--{field.name}", type=_boolean, nargs="?", const=True, default=default, help=" ")
        else:
            parser.add_argument(f"--{field.name}", type=type(default), default=default, help=" ")
    for name in LEFT_OUT:
        parser.add_argument(f"--{name}", action=_Refuse, nargs="?", default=argparse.SUPPRESS, help=argparse.SUPPRESS)
    text = f"TensorFlow ModelServer: {version('tensorflow-serving-api')} (stand-in)\n"
    text += f"TensorFlow Library: {version('tensorflow')}"
    parser.add_argument("--version", action="version", version=text)
    flags = Flags(**vars(parser.parse_args(arguments)))
    _check(parser, flags)
    return flags


def _check(parser: argparse.ArgumentParser, flags: Flags) -> None:
    if not flags.port and not flags.grpc_socket_path:
        parser.error("At least one of --port or --grpc_socket_path must be set.")
    if not flags.model_base_path and not flags.model_config_file:
        parser.error("Both --model_base_path and --model_config_file are empty!")
    if flags.batching_parameters_file and not flags.enable_batching:
        parser.error("--batching_parameters_file is set without setting --enable_batching to true.")
    if flags.rest_api_port and flags.rest_api_port == flags.port:
        parser.error("--rest_api_port cannot be same as --port.")
    for name in ("enable_profiler", "enable_signature_method_name_check"):
        if getattr(flags, name):
            parser.error(f"--{name}=true is left out of this stand-in")
    for name in ("port", "rest_api_port"):
        if not 0 <= getattr(flags, name) <= 65535:
            parser.error(f"--{name}: not a TCP port: {getattr(flags, name)}")
