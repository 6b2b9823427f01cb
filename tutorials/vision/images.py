"""Photographs as a data set of tensors: how a pretrained net wants to see them, with and without augmentation."""

import io
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
from torch import Tensor
from torch.utils.data import Dataset
from torchvision import transforms
from torchvision.transforms.functional import center_crop, resize

from data.pictures import open_picture

DECODED = 4000  # pictures kept in memory, a quarter of a megabyte each


@dataclass(frozen=True)
class Looks:
    """What a net's weights were trained on: the side of its images, the short side before the crop, mean and standard
    deviation of the colours."""

    crop: int
    resize: int
    mean: tuple[float, ...]
    std: tuple[float, ...]

    @classmethod
    def of(cls, preset: Any) -> "Looks":
        """Of torchvision's transform for the weights of a classifier."""
        return cls(preset.crop_size[0], preset.resize_size[0], tuple(preset.mean), tuple(preset.std))

    def training(self, min_crop: float) -> Callable[[Image.Image], Tensor]:
        """A random crop of at least that share of the picture, half of them mirrored: (3, crop, crop) normalised."""
        cut = transforms.RandomResizedCrop(self.crop, scale=(min_crop, 1))
        return transforms.Compose([cut, transforms.RandomHorizontalFlip(), self.tensor()])

    def testing(self) -> Callable[[Image.Image], Tensor]:
        """The centre of the picture: (3, crop, crop) normalised."""
        return transforms.Compose([self.shrunk, transforms.CenterCrop(self.crop), self.tensor()])

    def tensor(self) -> Callable[[Image.Image], Tensor]:
        return transforms.Compose([transforms.ToTensor(), transforms.Normalize(self.mean, self.std)])

    def shrunk(self, picture: Image.Image) -> Image.Image:
        """The picture with its short side as it is before the crop."""
        return resize(picture, [self.resize])

    def thumbnail(self, picture: Image.Image) -> np.ndarray:
        """What `testing` cuts out, for people: (crop, crop, 3) uint8."""
        return np.asarray(center_crop(self.shrunk(picture), [self.crop]))

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)


def read(file: Path | bytes) -> Image.Image:
    """A picture from its path, or from a file's bytes."""
    return open_picture(file if isinstance(file, Path) else io.BytesIO(file))


def reader(looks: Looks, keep_decoded: bool) -> Callable[[Path | bytes], Image.Image]:
    """`read`; with `keep_decoded`, each picture is decoded once and kept in memory in the size before the crop."""
    return lru_cache(DECODED)(lambda file: looks.shrunk(read(file))) if keep_decoded else read


class Photos(Dataset):
    """Pictures as tensors, and their labels."""

    def __init__(self, files: Sequence[Path | bytes], labels: Tensor, read: Callable, transform: Callable) -> None:
        self.files, self.labels, self.read, self.transform = files, labels, read, transform

    def __len__(self) -> int:
        return len(self.files)

    def __getitem__(self, index: int) -> tuple[Tensor, Tensor]:
        return self.transform(self.read(self.files[index])), self.labels[index]
