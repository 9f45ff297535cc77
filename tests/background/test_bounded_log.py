"""The log of a program that writes for ever."""

from __future__ import annotations

import os
import threading
from pathlib import Path

from pipeline.background import bounded_log
from tests.waiting import until


def test_the_log_has_an_end(tmp_path: Path) -> None:
    """What is full becomes the log before it, which is kept, and no other; nothing of the last lines is lost."""
    log, (source, sink) = tmp_path / "gateway.log", os.pipe()
    writing = threading.Thread(target=bounded_log.write, args=(source, log, 200_000))
    writing.start()
    for number in range(1000):
        os.write(sink, b"%999d\n" % number)
    os.close(sink)
    writing.join()
    os.close(source)
    before, last = Path(f"{log}.1").read_bytes(), log.read_bytes()
    assert len(before) <= 200_000
    assert len(last) <= 200_000
    assert last.splitlines()[-1].split() == [b"999"]
    assert sorted(each.name for each in tmp_path.iterdir()) == ["gateway.log", "gateway.log.1"]


def test_a_log_that_was_removed_does_not_end_who_writes(tmp_path: Path) -> None:
    """When it would have been full, another begins. Without a reader the program would end at its next line."""
    log, (source, sink) = tmp_path / "gateway.log", os.pipe()
    writing = threading.Thread(target=bounded_log.write, args=(source, log, 10_000))
    writing.start()
    until(log.exists)
    log.unlink()
    for number in range(100):
        os.write(sink, b"%999d\n" % number)
    os.close(sink)
    writing.join()
    os.close(source)
    assert log.read_bytes().splitlines()[-1].split() == [b"99"]
