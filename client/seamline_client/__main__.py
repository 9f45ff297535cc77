"""`python -m seamline_client`: the command, as `seamline-predict`."""

import sys

from seamline_client.command import main

if __name__ == "__main__":
    sys.exit(main())
