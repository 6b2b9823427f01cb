"""Memory of large tensors on Linux."""

import ctypes
import sys

M_TRIM_THRESHOLD, M_MMAP_MAX = -1, -4  # parameters of mallopt, from malloc.h


def keep_freed_memory() -> None:
    """Keep the memory of freed tensors and arrays for the next ones, which in training have the same sizes again.

    By default glibc returns it to the system and gets it back page by page, each zeroed first: about a tenth of a
    training step. Other C libraries are left as they are.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None) if sys.platform == "linux" else None
    if mallopt:
        mallopt(M_MMAP_MAX, 0)
        mallopt(M_TRIM_THRESHOLD, 2**31 - 1)
