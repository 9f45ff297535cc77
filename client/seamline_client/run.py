"""One run of the command: ask about every photo, write and draw the answers, keep count of failures."""

from __future__ import annotations

import argparse
import io
import os
import sys
import time
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import IO

from seamline_client import sampling
from seamline_client.answers import Outcome
from seamline_client.api import PredictClient
from seamline_client.errors import AccessDenied, CannotConnect, ClientError, InvalidInput, NotFound, one_line
from seamline_client.finding import STDIN, Found, find_photos, watch
from seamline_client.images import Photo
from seamline_client.overlay import Drawings
from seamline_client.reports import REPORTS
from seamline_client.targets import Tls

LONGEST_TOKEN = 64 * 1024
"""Characters of a token's file that are read: a device has no end."""


def run(options: argparse.Namespace) -> int:
    """The exit code; raises ClientError where going on makes no sense."""
    # Pillow warns of a picture that is far too large before we refuse it; the refusal is enough.
    warnings.filterwarnings("ignore", module="PIL")
    if isinstance(sys.stdout, io.TextIOWrapper):
        # Programs expect UTF-8. Names may hold bytes that are no text: escaped, they are right in JSON and can be read.
        sys.stdout.reconfigure(encoding=None if options.form == "table" else "utf-8", errors="backslashreplace")
    found = find_photos(options.photos)
    many = len(found) if not options.watch else 2  # while watching there is no telling how many will come
    drawings = Drawings(options.draw, many) if options.draw else None
    sample = sampling.from_environment(options.sample, options.sample_to)
    if options.sample_to and not sample.share:
        raise InvalidInput(
            f"--sample-to {options.sample_to}: no effect without --sample; --sample 0.01 keeps one photo in a hundred"
        )
    tls = Tls(options.tls_ca, options.tls_cert, options.tls_key)
    with PredictClient(
        options.target,
        options.transport,
        model=options.model,
        timeout=options.timeout,
        retries=options.retries,
        tls=tls if options.tls or tls != Tls() else None,
        token=token_in(options.token_file) if options.token_file else None,
        sample=sample,
    ) as client:
        asking = Run(client, options, drawings)
        try:
            asking.about(found)
            if options.watch:
                arrivals = watch(options.watch)
                print(f"Watching {options.watch} for new photos; Ctrl-C ends", file=sys.stderr, flush=True)
                for arrived in arrivals:
                    asking.about(arrived)
                    sys.stdout.flush()
        except KeyboardInterrupt:
            if not options.watch:  # there it is the way to end
                raise
        finally:
            asking.report.close()
    return asking.exit_code


class Run:
    """What became of the photos so far."""

    def __init__(self, client: PredictClient, options: argparse.Namespace, drawings: Drawings | None) -> None:
        self.report = REPORTS[options.form](sys.stdout)
        self._client, self._drawings = client, drawings
        self._how = {name: getattr(options, name) for name in ("signature", "version", "label", "batch", "parallel")}
        self._min_score: float | None = options.min_score
        self._answered = 0
        self._failures: set[int] = set()

    @property
    def exit_code(self) -> int:
        """0 where all were answered, 1 where some were, the failure's own code where none was."""
        if not self._failures:
            return 0
        return 1 if self._answered or len(self._failures) > 1 else next(iter(self._failures))

    def about(self, found: Sequence[Found]) -> None:
        """Ask, and write each outcome as it comes; raises the error of one that all the others would meet too."""
        progress = Progress(len(found), sys.stderr)
        photos: list[Photo] = [_stdin() if path == STDIN else path for path, _ in found]
        outcomes = self._client.stream(photos, **self._how)
        try:
            for (path, below), outcome in zip(found, outcomes):
                if sys.stdout.isatty():  # otherwise the answer does not go where the progress is shown
                    progress.clear()
                name = "stdin" if path == STDIN else path
                try:
                    self._add(outcome, name, below)
                except (AccessDenied, CannotConnect, NotFound):
                    raise
                except ClientError as error:
                    self._failures.add(error.exit_code)
                    progress.clear()
                    complain(error, "" if name in str(error) else f"{name}: ")
                progress.advance()
        finally:
            outcomes.close()
            progress.clear()

    def _add(self, outcome: Outcome, name: str, below: str) -> None:
        prediction = outcome.prediction
        if prediction is None:
            raise outcome.error or InvalidInput("no answer")
        if self._min_score is not None:
            prediction = prediction.at_least(self._min_score)
        self.report.write(name, prediction)
        self._answered += 1
        if self._drawings is not None:
            self._drawings.save(outcome.photo, below, prediction)


class Progress:
    """Count, rate and time left, on a line of a terminal; nothing elsewhere, and nothing for a single photo."""

    def __init__(self, total: int, stream: IO[str]) -> None:
        self._total, self._stream = total, stream
        self._wanted = total > 1 and stream.isatty()
        self._done, self._start = 0, time.monotonic()

    def advance(self) -> None:
        """One photo more is done."""
        self._done += 1
        rate = self._done / max(time.monotonic() - self._start, 1e-9)
        left = round((self._total - self._done) / rate)
        self._write(f"{self._done}/{self._total}  {rate:.1f} photos/s  {left // 60}:{left % 60:02} left")

    def clear(self) -> None:
        """Take the line away, so that something else can be written in its place."""
        self._write("")

    def _write(self, line: str) -> None:
        if self._wanted:
            self._stream.write(f"\r\x1b[2K{line}")
            self._stream.flush()


def complain(error: ClientError, about: str = "") -> None:
    """One line on stderr."""
    print(one_line(f"predict: {about}{error}"), file=sys.stderr)


def _stdin() -> bytes:
    data = sys.stdin.buffer.read()
    if not data:
        raise InvalidInput("stdin: no data, where a photo was expected")
    return data


def token_in(path: Path) -> str:
    """What is in the file or pipe; raises InvalidInput where there is none."""
    try:
        with open(path, encoding="utf-8", opener=_written_to if path.is_fifo() else None) as file:
            token = file.read(LONGEST_TOKEN).strip()
    except (OSError, UnicodeDecodeError) as error:
        raise InvalidInput(f"{path}: the token cannot be read ({error})") from error
    if not token:
        raise InvalidInput(f"{path}: there is no token in it")
    return token


def _written_to(pipe: str, flags: int) -> int:
    """Opens one that somebody writes to, as `<(pass show token)`; without a writer it is empty, and not waited for."""
    number = os.open(pipe, flags | os.O_NONBLOCK)
    os.set_blocking(number, True)
    return number
