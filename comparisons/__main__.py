"""Run all comparisons on two processes and end with the whole table: `python -m comparisons [pytest's options]`."""

import sys
from pathlib import Path

import pytest

if __name__ == "__main__":
    folder = str(Path(__file__).parent)
    sys.exit(pytest.main([folder, "-q", "-n", "2", "--table", "all", *sys.argv[1:]]))
