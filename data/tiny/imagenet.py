"""ImageNet's twin: the textures and shapes of CIFAR-10's, larger, each class with a color that it often has."""

import numpy as np

from data.imagenet import ImageNet
from data.tiny.cifar10 import PATTERNS, draw_patterns

# Ten colors (10, 3), each channel at one of three levels.
COLORS = np.array(
    [(230, 40, 40), (40, 230, 40), (40, 40, 230), (230, 230, 40), (230, 40, 230),
     (40, 230, 230), (130, 130, 130), (230, 130, 40), (40, 130, 230), (230, 230, 230)]
)  # fmt: skip


def imagenet(train: int = 300, test: int = 150, seed: int = 0) -> ImageNet:
    """ImageNet's twin: test pictures (N, 64, 64, 3) uint8 of ten classes, and some to train on.

    A class has both a pattern and a tint under noise, so that even a net of random filters, of which only the last
    layer is trained, tells many of them apart: a brief training has to do for the published weights.
    """
    rng = np.random.default_rng(seed)
    labels = rng.permutation(np.arange(train + test) % 10)
    patterns = draw_patterns(labels, rng).transpose(0, 2, 3, 1)  # (N, 32, 32, 3)
    pictures = (patterns * 0.4 + COLORS[labels][:, None, None] * 0.6).astype(np.uint8)
    pictures = pictures.repeat(2, 1).repeat(2, 2)
    trained = ImageNet(pictures[:train], labels[:train], PATTERNS)
    return ImageNet(pictures[train:], labels[train:], PATTERNS, trained)
