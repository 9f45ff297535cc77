"""Asks a running server where the keypoints on photos are: `client/predict.py photo.jpg`, `--help` for the rest."""

import sys

from seamline_client.command import main

if __name__ == "__main__":
    sys.exit(main())
