"""Places, ports and images, which the environment may name. No hyper-parameter comes from there."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from pipeline.errors import PipelineError
from seamline_client.contract import GRPC_PORT, REST_PORT


@dataclass(frozen=True)
class Settings:
    """`from_environment` is the only reader of SEAMLINE_* variables in this package."""

    data: Path
    runs: Path
    models: Path
    server: Path
    """Where the local server's log and state are."""
    grpc_port: int
    rest_port: int
    serving_image: str | None = None
    """In a container: the image that validates a candidate. None: a process of this machine does."""
    serving_target: str | None = None
    """In a container: gRPC `host:port` where the background server is, when it runs."""

    @property
    def demo(self) -> Path:
        """Where the picture of `make demo` goes."""
        return self.data.with_name("demo.png")

    @classmethod
    def from_environment(cls) -> Settings:
        """SEAMLINE_HOME (default `var`), SEAMLINE_GRPC_PORT and SEAMLINE_REST_PORT.

        Compose gives its containers SEAMLINE_SERVING_IMAGE and SEAMLINE_SERVER.

        Raises PipelineError for a port that is none.
        """
        home = Path(os.environ.get("SEAMLINE_HOME", "var"))
        return cls(
            data=home / "data",
            runs=home / "runs",
            models=home / "models",
            server=home / "server",
            grpc_port=_port("SEAMLINE_GRPC_PORT", GRPC_PORT),
            rest_port=_port("SEAMLINE_REST_PORT", REST_PORT),
            serving_image=os.environ.get("SEAMLINE_SERVING_IMAGE") or None,
            serving_target=os.environ.get("SEAMLINE_SERVER") or None,
        )


def _port(variable: str, default: int) -> int:
    text = os.environ.get(variable, str(default))
    if not (text.isdecimal() and 0 < int(text) < 65536):
        raise PipelineError(f"{variable} is {text!r}; expected a port from 1 to 65535")
    return int(text)
