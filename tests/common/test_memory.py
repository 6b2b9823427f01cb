"""Freed memory is kept: later steps that need the same sizes need hardly any new pages."""

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
    [torch.ones(size) for size in (20_000_000, 10_000_000, 15_000_000)]
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before
print(*[faults() for step in range(10)])
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="only glibc takes the setting")
def test_steps_find_the_memory_of_those_before():
    ran = subprocess.run([sys.executable, "-c", CODE], capture_output=True, text=True, check=True)
    first, *later = map(int, ran.stdout.split())
    assert first > 40_000 and sum(later[4:]) < first
