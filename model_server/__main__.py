"""`python -m model_server --port=8500 --rest_api_port=8501 --model_name=NAME --model_base_path=/path`.

Exit codes: 0 stopped by SIGTERM or SIGINT, 2 wrong flags, 255 could not start (a model did not load, a port is taken).
"""

from __future__ import annotations

import os
import signal
import sys
import threading

from model_server import flags, logs, memory


def main() -> int:
    """Parse the flags, serve until a signal, return the exit code."""
    parsed = flags.parse(sys.argv[1:])
    logs.configure()
    memory.configure()
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    # Imported after the flags are known to be right: it takes seconds.
    from model_server.errors import StatusError
    from model_server.server import serve

    try:
        serve(parsed, stop)
    except StatusError as error:
        print(f"Failed to start server. Error: {error}", file=sys.stderr)
        return 255
    return 0


if __name__ == "__main__":
    code = main()
    sys.stderr.flush()
    os._exit(code)  # a request that outlived the drain must not keep the process alive
