"""`make page` beside containers: the same page on the system's own Python, with nothing installed.

Photos are not ranked, which takes the client: with --photos it opens a list that `rank --coco` wrote.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from pipeline.errors import PipelineError
from pipeline.page import desk
from pipeline.page.server import serve
from pipeline.settings import Settings
from seamline_client.errors import ClientError


def main() -> int:
    """The exit code."""
    parser = argparse.ArgumentParser(prog="python3 -m pipeline.page", description=__doc__)
    for name, kind in (("photos", Path), ("list", Path), ("to", Path), ("port", int), ("target", str)):
        parser.add_argument(f"--{name}", type=kind, default=desk.PORT if name == "port" else None)
    options = parser.parse_args()
    if bool(options.photos) != bool(options.list):
        parser.error("here --photos and --list go together: `python -m pipeline rank --coco` writes a list")
    try:
        settings = Settings.from_environment()
        photos = desk.listed(options.photos, options.list) if options.list else {}
        target = options.target or f"127.0.0.1:{settings.rest_port}"
        serve(desk.lay(target, options.to or desk.CORRECTED, photos), options.port)
    except (PipelineError, ClientError, OSError) as error:
        print(f"Error: {error}", file=sys.stderr)
        return error.exit_code if isinstance(error, (PipelineError, ClientError)) else 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
