"""`python -m agelens` is the command `agelens`."""

from __future__ import annotations

import sys

from agelens.cli import main

if __name__ == "__main__":
    sys.exit(main())
