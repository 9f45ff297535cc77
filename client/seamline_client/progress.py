"""A line on stderr that says how far long work has come; silent where nobody looks."""

from __future__ import annotations

import time
from typing import IO

_CLEAR = "\r\x1b[2K"
_REDRAW_SECONDS = 0.1


class Progress:
    """Counts photos; shows count, rate and time left when `stream` is a terminal and there is more than one photo."""

    def __init__(self, total: int, stream: IO[str]) -> None:
        self._total, self._stream = total, stream
        self._wanted = total > 1 and stream.isatty()
        self._done = 0
        self._start = time.monotonic()
        self._drawn = 0.0
        """When the line that is on the screen was drawn; 0 where there is none."""

    def advance(self) -> None:
        """One photo more is done."""
        self._done += 1
        now = time.monotonic()
        if self._wanted and now - self._drawn >= _REDRAW_SECONDS:
            self._drawn = now
            self._stream.write(_CLEAR + self.line(now))
            self._stream.flush()

    def line(self, now: float) -> str:
        """The line as of the instant `now` of time.monotonic()."""
        rate = self._done / max(now - self._start, 1e-9)
        left = round((self._total - self._done) / rate) if rate else 0
        bar = "#" * (20 * self._done // self._total)
        return f"[{bar:<20}] {self._done}/{self._total}  {rate:.1f} photos/s  {left // 60}:{left % 60:02} left"

    def clear(self) -> None:
        """Take the line away, so that something else can be written in its place."""
        if self._drawn:
            self._drawn = 0.0
            self._stream.write(_CLEAR)
            self._stream.flush()
