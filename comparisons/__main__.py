"""Run all comparisons on two processes and end with the whole table: `python -m comparisons [pytest's options]`.

With `--folder`, compare a student's own package with torch instead: see `student.py`.
"""

import sys
from pathlib import Path

if __name__ == "__main__":
    if any(argument.startswith("--folder") for argument in sys.argv[1:]):
        from comparisons import student

        sys.exit(student.main(sys.argv[1:]))
    import pytest

    folder = str(Path(__file__).parent)
    sys.exit(pytest.main([folder, "-q", "-n", "2", "--table", "all", *sys.argv[1:]]))
