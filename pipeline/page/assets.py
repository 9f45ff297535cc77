"""The files of client/page, and the headers with which a browser lets them load and send nothing elsewhere."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from seamline_client.contract import CANARY_NAME, MODEL_NAME

FOLDER = Path(__file__).resolve().parents[2] / "client" / "page"
KINDS = {".html": "text/html", ".css": "text/css", ".js": "text/javascript", ".svg": "image/svg+xml"}
_POLICY = {
    "default-src": "'none'",
    "script-src": "'self'",
    "style-src": "'self'",
    "connect-src": "'self'",
    "img-src": "'self' blob:",
    "base-uri": "'none'",
    "form-action": "'none'",
    "frame-ancestors": "'none'",
    "require-trusted-types-for": "'script'",
    "trusted-types": "'none'",
}
HEADERS = {
    "Content-Security-Policy": "; ".join(f"{name} {value}" for name, value in _POLICY.items()),
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Permissions-Policy": "camera=(self)",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "Cache-Control": "no-cache",
}
"""Of whatever the page's server answers."""


@dataclass(frozen=True)
class Asset:
    """`kind` is a Content-Type."""

    kind: str
    text: str


def assets(saves: str | None = None, photos: Sequence[str] = ()) -> dict[str, Asset]:
    """By path. Among them `/page.json`, by which the page knows what it may do.

    `saves` is where corrections go, and `photos` are those to correct, in order.
    """
    found = {
        f"/{path.name}": Asset(f"{KINDS[path.suffix]}; charset=utf-8", path.read_text("utf-8"))
        for path in sorted(FOLDER.iterdir())
        if path.suffix in KINDS
    }
    about = {"model": MODEL_NAME, "canary": CANARY_NAME, "saves": saves, "photos": list(photos)}
    return {"/": found.pop("/index.html"), **found, "/page.json": Asset("application/json", json.dumps(about))}
