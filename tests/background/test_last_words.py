"""Why a program in the background ended is said, though its log is written by a process of its own."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from pipeline.background import bounded_log
from pipeline.background.ports import LOOPBACK, free_port
from pipeline.background.process import Process
from pipeline.errors import ServingError


def test_a_log_that_is_behind_is_waited_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is empty when the program has ended, on a machine with much else to do."""
    slow = tmp_path / "slow_log.py"
    slow.write_text("import sys, time\nsaid = sys.stdin.read()\ntime.sleep(0.5)\nopen(sys.argv[1], 'w').write(said)\n")
    monkeypatch.setattr(bounded_log, "__file__", str(slow))
    process = Process(tmp_path)
    process.start([sys.executable, "-c", "raise SystemExit('nonsense')"], (LOOPBACK, free_port()))
    with pytest.raises(ServingError, match=r"(?s)ended\. Last lines.*nonsense"):
        process.wait_until(lambda: False, 20)
