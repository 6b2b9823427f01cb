"""The tiny twins: generated data of the official types and shapes, from a seed, learnable in seconds.

They prove that everything runs, offline, and that a net learns; their figures say nothing about the real data.
"""

from data.tiny.captions import captions
from data.tiny.cifar10 import cifar10

__all__ = ["captions", "cifar10"]
