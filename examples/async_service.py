"""A service that asks the model server: POST a photo to /keypoints, get its points as JSON.

An ASGI application, so that it runs under any server of that kind and fits into FastAPI or Starlette by `mount`:

    pip install uvicorn
    SEAMLINE_TARGET=127.0.0.1:8500 uvicorn examples.async_service:app
    curl --data-binary @photo.jpg http://127.0.0.1:8000/keypoints

What is worth copying: one client for the life of the service, a deadline for every call, and which of our errors is
whose fault.
"""

from __future__ import annotations

import json
import os
from collections.abc import Awaitable, Callable, MutableMapping
from dataclasses import asdict
from typing import Any

from seamline_client import AsyncPredictClient, ClientError
from seamline_client.errors import CannotConnect, DeadlineExceeded, InvalidInput, ServerBusy

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]

SECONDS = 2.0
LARGEST = 20 << 20
"""Bytes of a photo; longer bodies are not read."""
STATUS = {InvalidInput: 422, ServerBusy: 503, CannotConnect: 503, DeadlineExceeded: 504}
"""The photo's fault, or something that may pass. Everything else is ours: 500."""


class Service:
    """The application; `client` is there between the start and the end of its life."""

    def __init__(self) -> None:
        self.client: AsyncPredictClient | None = None

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await self._live(receive, send)
        elif scope["type"] == "http":
            status, answer = await self._answer(scope, receive)
            body = json.dumps(answer).encode()
            headers = [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode())]
            await send({"type": "http.response.start", "status": status, "headers": headers})
            await send({"type": "http.response.body", "body": body})

    async def _live(self, receive: Receive, send: Send) -> None:
        while True:
            message = await receive()
            if message["type"] == "lifespan.startup":
                # It connects with the first call, so that the service starts whether the model server is up or not.
                self.client = AsyncPredictClient(os.environ.get("SEAMLINE_TARGET"), timeout=SECONDS)
                await send({"type": "lifespan.startup.complete"})
            else:
                if self.client is not None:
                    await self.client.close()
                await send({"type": "lifespan.shutdown.complete"})
                return

    async def _answer(self, scope: Message, receive: Receive) -> tuple[int, dict[str, Any]]:
        if (scope["method"], scope["path"]) != ("POST", "/keypoints"):
            return 404, {"error": "POST a photo to /keypoints"}
        photo = await _body(receive)
        if photo is None:
            return 413, {"error": f"more than {LARGEST} bytes"}
        assert self.client is not None
        try:
            (found,) = await self.client.predict(photo)
        except ClientError as error:
            status = next((status for kind, status in STATUS.items() if isinstance(error, kind)), 500)
            return status, {"error": str(error)}
        width, height = found.size
        points = [asdict(each) for each in found.keypoints]
        return 200, {"width": width, "height": height, "version": found.version, "keypoints": points}


async def _body(receive: Receive) -> bytes | None:
    """The request's body; None where it is too long."""
    body = bytearray()
    while True:
        message = await receive()
        body += message.get("body", b"")
        if len(body) > LARGEST:
            return None
        if not message.get("more_body"):
            return bytes(body)


app = Service()
