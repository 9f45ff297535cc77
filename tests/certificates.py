"""Self-signed certificates, as the openssl command makes them."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest


def certify(folder: Path, *names: str, of: str) -> None:
    """Writes `<name>.pem` and `<name>.key` for each name, all for one address or name: `IP:127.0.0.1`, `DNS:models`."""
    if shutil.which("openssl") is None:
        pytest.skip("openssl, which makes the certificates, is not installed")
    new = "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2"
    for name in names:
        files = f"-keyout {name}.key -out {name}.pem -subj /CN={name} -addext subjectAltName={of}"
        subprocess.run([*new.split(), *files.split()], cwd=folder, check=True, capture_output=True, timeout=30)
