"""Photographs as a data set: what torchvision's ImageFolder does, for files and for bytes, with decoded images kept."""

import io
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
from torch import Tensor
from torch.utils.data import Dataset
from torchvision.transforms.functional import center_crop, resize

from data.pictures import open_picture

DECODED = 4000  # images kept in memory, a quarter of a megabyte each


@dataclass(frozen=True)
class Preset:
    """The transform that a net's weights were published with: sizes in pixels, mean and standard deviation of each
    color channel."""

    crop_size: int
    resize_size: int  # of the short side, before the crop
    mean: tuple[float, ...]
    std: tuple[float, ...]

    @classmethod
    def of(cls, transform: Any) -> "Preset":
        """Of `weights.transforms()`."""
        return cls(transform.crop_size[0], transform.resize_size[0], tuple(transform.mean), tuple(transform.std))

    def resize(self, picture: Image.Image) -> Image.Image:
        return resize(picture, [self.resize_size])

    def thumbnail(self, picture: Image.Image) -> np.ndarray:
        """The center crop before it is normalized: (crop, crop, 3) uint8."""
        return np.asarray(center_crop(self.resize(picture), [self.crop_size]))


def read(file: Path | bytes) -> Image.Image:
    """A picture from its path, or from a file's bytes."""
    return open_picture(file if isinstance(file, Path) else io.BytesIO(file))


class Photos(Dataset):
    """Pictures as tensors (3, H, W), and their labels."""

    def __init__(
        self, files: Sequence[Path | bytes], labels: Tensor, classes: Sequence[str],
        transform: Callable[[Image.Image], Tensor] | None = None, read: Callable[[Path | bytes], Image.Image] = read,
    ) -> None:  # fmt: skip
        self.files, self.labels, self.classes, self.transform, self.read = files, labels, classes, transform, read

    def __len__(self) -> int:
        return len(self.files)

    def __getitem__(self, index: int) -> tuple[Tensor, Tensor]:
        return self.transform(self.read(self.files[index])), self.labels[index]

    def subset(self, indices: np.ndarray, transform: Callable[[Image.Image], Tensor]) -> "Photos":
        """Some of the pictures under another transform."""
        return Photos([self.files[i] for i in indices], self.labels[indices], self.classes, transform, self.read)

    def keep_decoded(self, preset: Preset) -> None:
        """Decode each picture once, and keep it in memory in the size before the crop."""
        self.read = lru_cache(DECODED)(lambda file: preset.resize(read(file)))

    def thumbnails(self, indices: Sequence[int], preset: Preset) -> np.ndarray:
        """Center crops of some pictures: (N, crop, crop, 3) uint8."""
        return np.stack([preset.thumbnail(self.read(self.files[i])) for i in indices])
