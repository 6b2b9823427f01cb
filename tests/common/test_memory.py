"""Freed memory is kept: a second tensor of the same size needs no new pages."""

import platform
import subprocess
import sys

import pytest

CODE = """
import resource, torch
from tutorials.common.memory import keep_freed_memory
keep_freed_memory()
def faults():
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    torch.ones(2_000_000)
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before
print(faults(), faults())
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="only glibc takes the setting")
def test_a_tensor_takes_the_place_of_one_of_its_size():
    ran = subprocess.run([sys.executable, "-c", CODE], capture_output=True, text=True, check=True)
    first, second = map(int, ran.stdout.split())
    assert first > 100 and second < first / 10
