"""The command line of tensorflow_model_server, with its names and defaults. Other flags of it are refused."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import dataclass, fields
from importlib.metadata import version


@dataclass(frozen=True)
class Flags:
    """What the command line said, under the official names; `bind_address` and `official_crashes` are our own.

    A count of 0 threads is derived from the number of cores.
    """

    port: int = 8500
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
    enable_grpc_healthcheck_service: bool = False
    grpc_max_threads: int = 0
    tensorflow_intra_op_parallelism: int = 0
    tensorflow_inter_op_parallelism: int = 0
    per_process_gpu_memory_fraction: float = 0.0
    official_crashes: bool = False


def _boolean(text: str) -> bool:
    if text.lower() in ("true", "1"):
        return True
    if text.lower() in ("false", "0"):
        return False
    raise argparse.ArgumentTypeError(f"{text!r} is not true or false")


def parse(arguments: Sequence[str]) -> Flags:
    """Read `--flag=value`; a boolean may stand alone. Exits with code 2 and a message for anything it does not know."""
    parser = argparse.ArgumentParser(
        prog="model_server",
        description="Serves SavedModels over gRPC and REST with the flags of tensorflow_model_server.",
        allow_abbrev=False,
        usage="python -m model_server --flag=value ... (--help lists the flags)",
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    for field in fields(Flags):
        default = field.default
        if isinstance(default, bool):
            parser.add_argument(f"--{field.name}", type=_boolean, nargs="?", const=True, default=default, help=" ")
        else:
            parser.add_argument(f"--{field.name}", type=type(default), default=default, help=" ")
    parser.add_argument("--version", action="version", version=f"{version('tensorflow-serving-api')} (stand-in)")
    known, unknown = parser.parse_known_args(arguments)
    if unknown:
        parser.error(f"this stand-in does not have {' '.join(unknown)}; --help lists what it has")
    flags = Flags(**vars(known))
    _check(parser, flags)
    return flags


def _check(parser: argparse.ArgumentParser, flags: Flags) -> None:
    if not flags.model_base_path and not flags.model_config_file:
        parser.error("Both --model_base_path and --model_config_file are empty!")
    if flags.batching_parameters_file and not flags.enable_batching:
        parser.error("--batching_parameters_file is set without setting --enable_batching to true.")
    if flags.rest_api_port and flags.rest_api_port == flags.port:
        parser.error("--rest_api_port cannot be same as --port.")
    for name, lowest in (("port", 1), ("rest_api_port", 0)):
        if not lowest <= getattr(flags, name) <= 65535:
            parser.error(f"--{name}: not a TCP port: {getattr(flags, name)}")
