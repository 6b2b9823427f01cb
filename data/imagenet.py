"""Labeled pictures of ImageNet's 1000 classes: a folder of `nXXXXXXXX` folders, as ImageNet and Imagenette have them.

Sources: J. Deng et al., "ImageNet: A Large-Scale Hierarchical Image Database", CVPR 2009; J. Howard, Imagenette, 2019.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from data.errors import StudyError
from data.fetch import default_root, fetch
from data.pictures import is_system, open_picture
from data.text import read_json

SIZE = 320  # Imagenette with the short side of 320 pixels: enough for a crop of 224
INDEX = "imagenet_class_index.json"  # {"0": ["n01440764", "tench"], …}, as Keras publishes it
ENDINGS = {".jpeg", ".jpg", ".png", ".webp", ".bmp"}
# ImageNet numbers its classes in the order of their names nXXXXXXXX; these are the places of Imagenette's ten.
IMAGENETTE = {
    "n01440764": 0, "n02102040": 217, "n02979186": 482, "n03000684": 491, "n03028079": 497,
    "n03394916": 566, "n03417042": 569, "n03425413": 571, "n03445777": 574, "n03888257": 701,
}  # fmt: skip


@dataclass(frozen=True)
class ImageNet:
    """N labeled pictures: files, or an array (N, H, W, 3) uint8; labels (N,) int64 in 0..999 (of the twin in 0..9)."""

    pictures: Sequence[Path] | np.ndarray
    labels: np.ndarray
    classes: tuple[str, ...] | None = None  # all names in order; None: the 1000 that come with the weights
    train: "ImageNet | None" = None  # the twin's, to train on

    def __len__(self) -> int:
        return len(self.labels)

    @property
    def present(self) -> list[int]:
        """The classes of which there are pictures, in order."""
        return np.unique(self.labels).tolist()

    def open(self, number: int) -> Image.Image:
        """One picture, as RGB; raises StudyError, naming the file, when it cannot be read."""
        picture = self.pictures[number]
        return Image.fromarray(picture) if isinstance(picture, np.ndarray) else open_picture(picture)


def official(root: Path | None = None) -> ImageNet:
    """Imagenette's 3,925 validation pictures, downloaded when missing; raises StudyError when they cannot be had."""
    root = fetch("imagenette", root, only=[f"imagenette2-{SIZE}.tgz"])
    return read_folder(root / f"imagenette2-{SIZE}" / "val", root)


def read_folder(folder: Path, root: Path | None = None) -> ImageNet:
    """All pictures of a folder of class folders; raises StudyError where there are none or their order is not known."""
    named = [path for path in folder.glob("n*") if path.is_dir()] if folder.is_dir() else []
    folders = sorted(path for path in named if re.fullmatch(r"n\d{8}", path.name))
    if not folders:
        raise StudyError(
            f"images: {folder} has no class folders such as n01440764. Give the folder that holds them "
            "(of ImageNet: val, after its pictures were sorted into class folders)."
        )
    index = find_index([path.name for path in folders], folder, root)
    pictures, labels = [], []
    for path in folders:
        files = sorted(file for file in path.iterdir() if file.suffix.lower() in ENDINGS and not is_system(file.name))
        if not files:
            raise StudyError(f"images: {path} has no pictures. Fill it, or remove it.")
        pictures += files
        labels += [index[path.name]] * len(files)
    return ImageNet(pictures, np.array(labels, dtype=np.int64))


def find_index(names: Sequence[str], folder: Path, root: Path | None) -> dict[str, int]:
    """The number 0..999 of each class folder: all 1000 tell it by their order, Imagenette's are known, for others a
    file must tell it."""
    if len(names) == 1000:
        return {name: number for number, name in enumerate(sorted(names))}
    if set(names) <= IMAGENETTE.keys():
        return IMAGENETTE
    places = [folder / INDEX, folder.parent / INDEX, (root or default_root()) / INDEX]
    path = next((place for place in places if place.exists()), None)
    if path is None:
        raise StudyError(
            f"images: {folder} has {len(names)} of ImageNet's 1000 classes, so their order does not tell their "
            f"numbers. Put {INDEX} (as Keras publishes it) at {places[0]} or at {places[2]}."
        )
    index = read_index(path)
    unknown = [name for name in names if name not in index]
    if unknown:
        raise StudyError(f"images: {folder / unknown[0]} is no class of {path}. Remove it, or give its 1000 classes.")
    return index


def read_index(path: Path) -> dict[str, int]:
    """Class folder -> number, from the file {"0": ["n01440764", "tench"], …}; raises StudyError for any other."""
    try:
        index = {str(name): int(number) for number, (name, _) in read_json(path).items()}
    except (ValueError, TypeError, AttributeError) as error:
        raise StudyError(f"images: {path} is no class index ({error}). Remove it, or get it again.") from error
    if sorted(index.values()) != list(range(1000)):
        raise StudyError(f"images: {path} lists {len(index)} classes, not 1000. Remove it, or get it again.")
    return index
