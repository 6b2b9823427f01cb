"""The tiny twins: generated data of the official types and shapes, from a seed, learnable in seconds.

They prove that everything runs, offline, and that a net learns; their figures say nothing about the real data.
"""

from data.tiny.ag_news import ag_news
from data.tiny.captions import captions
from data.tiny.cifar10 import cifar10
from data.tiny.digits import digits
from data.tiny.eng_fra import eng_fra
from data.tiny.hymenoptera import hymenoptera
from data.tiny.imagenet import imagenet
from data.tiny.multi30k import multi30k
from data.tiny.names import names
from data.tiny.wikitext2 import wikitext2

__all__ = ["ag_news", "captions", "cifar10", "digits", "eng_fra", "hymenoptera", "imagenet", "multi30k", "names",
           "wikitext2"]  # fmt: skip
