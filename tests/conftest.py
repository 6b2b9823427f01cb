"""What all tests share: one thread, no GPU, the real data where STUDY_DATA has them."""

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ["CUDA_VISIBLE_DEVICES"] = ""

from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def real_data() -> Path:
    """The folder of the real data sets; tests that need it are left out where there is none."""
    root = os.environ.get("STUDY_DATA")
    if not root:
        pytest.skip("needs the real data: set STUDY_DATA to their folder")
    return Path(root)
