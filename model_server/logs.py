"""What the server writes: lines for people, or with SEAMLINE_LOGS=json objects, and then each request, too."""

from __future__ import annotations

import json
import logging
import os
import sys
from datetime import datetime, timezone

_LONGEST_ID = 64
_requests = logging.getLogger(f"{__name__}.requests")


def configure() -> None:
    """Begins to log, to standard error."""
    as_json = os.environ.get("SEAMLINE_LOGS") == "json"
    written = logging.StreamHandler(sys.stderr)
    text = logging.Formatter("%(asctime)s %(levelname).1s %(name)s: %(message)s")
    written.setFormatter(JsonLines() if as_json else text)
    logging.basicConfig(handlers=[written], level=logging.INFO)
    _requests.disabled = not as_json


def request(request_id: str, model: str, api: str, entrypoint: str, status: str, seconds: float) -> None:
    """A line for one request that is more than a look at the states; `request_id` is what its x-request-id says."""
    if api and not _requests.disabled:
        said = {"id": request_id[:_LONGEST_ID], "model": model, "api": api, "entrypoint": entrypoint, "status": status}
        _requests.info("request", extra={"said": {**said, "ms": round(seconds * 1e3, 1)}})


class JsonLines(logging.Formatter):
    """An object for each record: when, how bad, who says it, what, and where there was an exception, its traceback."""

    def format(self, record: logging.LogRecord) -> str:
        at = datetime.fromtimestamp(record.created, timezone.utc).isoformat(timespec="milliseconds")
        line = {"time": at, "level": record.levelname, "logger": record.name, "message": record.getMessage()}
        line.update(getattr(record, "said", {}))
        if record.exc_info:
            line["traceback"] = self.formatException(record.exc_info)
        return json.dumps(line)
