"""The model's REST server, to which predictions are passed on as they come."""

from __future__ import annotations

import http.client
import re
import time
from collections.abc import Mapping
from typing import NamedTuple
from urllib.parse import urlsplit

from seamline_client.contract import MODEL_NAME

SECONDS = 60.0
_CHUNK = 1 << 16
_VERSION = r"(/versions/[0-9]+|/labels/[A-Za-z0-9_.-]+)?"


def questions(model: str) -> dict[str, str]:
    """By method, the regular expression of the paths by which a model is asked: predict; metadata and status.

    Envoy takes them, too, but none with a count in it: as a program that would be longer than it allows.
    """
    path = f"/v1/models/{model}{_VERSION}"
    return {"POST": f"{path}:predict", "GET": f"{path}(/metadata)?"}


class Answer(NamedTuple):
    status: int
    kind: str
    body: bytes


class Upstream:
    """`root` is the URL of a REST API without /v1, and `names` are those of models that may be asked."""

    def __init__(self, root: str, names: tuple[str, ...] = (MODEL_NAME,)) -> None:
        self.root = root.rstrip("/")
        patterns = questions(f"({'|'.join(map(re.escape, names))})")
        self._paths = {method: re.compile(pattern) for method, pattern in patterns.items()}

    def passes(self, method: str, path: str) -> bool:
        """Whether it is a question about the model; nothing else gets there."""
        return method in self._paths and bool(self._paths[method].fullmatch(path))

    def ask(self, method: str, path: str, body: bytes | None, headers: Mapping[str, str]) -> Answer:
        """Raises OSError or HTTPException where no server answers, TimeoutError after SECONDS altogether."""
        url = urlsplit(self.root)
        kind = http.client.HTTPSConnection if url.scheme.lower() == "https" else http.client.HTTPConnection
        deadline = time.monotonic() + SECONDS
        connection = kind(url.hostname or "", url.port, timeout=SECONDS)
        try:
            connection.request(method, f"{url.path}{path}", body, dict(headers))
            response = connection.getresponse()
            chunks = []
            while chunk := response.read(_CHUNK):
                chunks.append(chunk)
                if time.monotonic() > deadline:
                    raise TimeoutError
            return Answer(response.status, response.getheader("Content-Type", "text/plain"), b"".join(chunks))
        finally:
            connection.close()
