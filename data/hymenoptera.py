"""Ants and bees, 244 photographs to train on and 153 to test on, or class folders of your own: files of pictures,
their labels, the classes.

Source: S. Chilamkurthy, "Transfer Learning for Computer Vision Tutorial", PyTorch Tutorials, 2017.
"""

import hashlib
import os
import re
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from tqdm import tqdm

from data.errors import StudyError
from data.fetch import fetch
from data.pictures import is_system, open_picture, printable

COUNTS = {"train": (123, 121), "val": (70, 83)}  # ants, bees
SPLITS = {
    "train": {"train", "training", "trainset"},
    "val": {"val", "valid", "validation", "valset", "dev"},
    "test": {"test", "testing", "testset", "eval"},
}
PHOTOS = {".jpg", ".jpeg", ".jpe", ".jfif", ".mpo", ".png", ".webp", ".avif", ".bmp", ".tif", ".tiff", ".ppm", ".pgm"}
FEWEST = 2  # pictures of a class
MANY = 20  # lines, or classes, that are printed


@dataclass(frozen=True)
class Pictures:
    """Files are paths, or a twin's bytes; labels are (N,) int64; `skipped` says which files were left out, and why."""

    train_files: tuple[Path | bytes, ...]
    train_labels: np.ndarray
    test_files: tuple[Path | bytes, ...]
    test_labels: np.ndarray
    classes: tuple[str, ...]
    skipped: tuple[str, ...] = ()

    def describe(self) -> list[str]:
        """Lines that say what was skipped, and how many pictures of each class there are to train and to test on."""
        counts = [np.bincount(labels) for labels in (self.train_labels, self.test_labels)]
        each = [f"{name} {train} + {test}" for name, train, test in zip(self.classes, *counts, strict=True)]
        few = ", ".join(each[:MANY]) + (", …" if len(each) > MANY else "")
        pictures = f"{len(self.train_files)} + {len(self.test_files)} pictures to train and to test on"
        return [*(f"skipped: {one}" for one in self.skipped[:MANY]),
                f"{len(self.classes)} classes, {pictures}: {few}; {len(self.skipped)} skipped"]  # fmt: skip


def official(root: Path | None = None) -> Pictures:
    """The published photographs, downloaded when they are not below `root`; raises StudyError when they cannot be had
    or are not as many as they were."""
    path = fetch("hymenoptera", root) / "hymenoptera_data"
    pictures = from_folder(path)
    for part, labels in (("train", pictures.train_labels), ("val", pictures.test_labels)):
        if tuple(np.bincount(labels, minlength=2)) != COUNTS[part]:
            raise StudyError(
                f"hymenoptera: {path / part} has {np.bincount(labels).tolist()} pictures of {pictures.classes}; "
                f"published were {COUNTS[part]}. Remove {path} and run again."
            )
    return pictures


def from_folder(path: Path, seed: int = 0) -> Pictures:
    """The pictures below a folder's class folders; with `train` and `val` (or `test`) in it, below those of each.

    Without such a split a fifth of each class, drawn from the seed, is for the test. What is no picture to learn from,
    and what is equal to another picture, is skipped and reported. Raises StudyError for less than two classes, for a
    class without pictures, and for folders that look like a split of which a part is missing.
    """
    split = find_split(path)
    if not split:
        files, labels, classes, skipped = scan(path, {})
        held_out = a_fifth(labels, seed)
        parts = [([file for file, out in zip(files, held_out, strict=True) if out == part], labels[held_out == part])
                 for part in (False, True)]  # fmt: skip
    else:
        training, test, *others = split
        seen: dict[bytes, Path] = {}
        test_files, test_labels, test_classes, skipped = scan(test, seen)  # first: the test pictures stay as they are
        train_files, train_labels, classes, more = scan(training, seen)
        if classes != test_classes:
            raise StudyError(
                f"{path}: {training.name} has the classes {classes}, {test.name} {test_classes}. Make them the same."
            )
        parts = [(train_files, train_labels), (test_files, test_labels)]
        skipped += [*more, *(f"{other}: not looked at, the test is on {test.name}" for other in others)]
    return Pictures(tuple(parts[0][0]), parts[0][1], tuple(parts[1][0]), parts[1][1], classes, tuple(skipped))


def find_split(path: Path) -> list[Path]:
    """The folders to train and to test on, by their usual names, and a third one; none when it holds classes."""
    named: dict[str, list[Path]] = {}
    for folder in folders_in(path):
        words = set(re.split(r"[\W_]+", folder.name.lower()))
        nested = bool(folders_in(folder))
        for kind in (kind for kind, names in SPLITS.items() if words & names and (nested or len(words) == 1)):
            named.setdefault(kind, []).append(folder)
    found = [folder for kind in SPLITS for folder in named.get(kind, ())]
    if not found or (len(found) == 1 and not folders_in(found[0])):  # a class may be called train
        return []
    if "train" not in named or len(named) == 1 or len(found) > len(named):
        raise StudyError(
            f"{path}: it is not clear which of {', '.join(folder.name for folder in found)} is to train and which to "
            "test on. Name two folders train and val, or give the folder that holds the class folders."
        )
    return found


def a_fifth(labels: np.ndarray, seed: int) -> np.ndarray:
    """Marks a fifth of each class, at least one picture: (N,) bool."""
    rng, marked = np.random.default_rng(seed), np.zeros(len(labels), bool)
    for label in np.unique(labels):
        places = rng.permutation(np.flatnonzero(labels == label))
        marked[places[: max(1, len(places) // 5)]] = True
    return marked


def folders_in(path: Path) -> list[Path]:
    """The folders in a folder, without system folders and links that lead back up, in order of their names."""
    try:
        found = sorted(one for one in path.iterdir() if one.is_dir() and not is_system(one.name))
    except OSError as error:
        raise StudyError(f"{printable(path)}: {error.strerror}. Give a folder of class folders.") from None
    return [one for one in found if not path.resolve().is_relative_to(one.resolve())]


def scan(path: Path, seen: dict[bytes, Path]) -> tuple[list[Path], np.ndarray, tuple[str, ...], list[str]]:
    """Good pictures of all class folders, labels, class names, and what was skipped; each picture once, also of those
    that were `seen` before."""
    folders = folders_in(path)
    if len(folders) < 2:
        found = ", ".join(printable(folder.name) for folder in folders) or "none"
        raise StudyError(f"{path}: needs two or more class folders with pictures in them; found: {found}.")
    files, labels, skipped = [], [], []
    below = [(label, file) for label, folder in enumerate(folders) for file in files_below(folder)]
    for label, file in tqdm(below, "reading pictures", leave=False, disable=None):
        try:
            twin = seen.setdefault(content(file), file)
            if twin is file:
                files.append(file)
                labels.append(label)
            else:
                skipped.append(f"{printable(file)}: the same picture as {printable(twin)}")
        except StudyError as error:
            skipped.append(str(error))
    for folder, count in zip(folders, np.bincount(labels or [0], minlength=len(folders)), strict=True):
        if count < FEWEST:
            raise StudyError(
                f"{printable(folder)}: {count} pictures that can be used; a class needs {FEWEST} at least. "
                f"Add some, or remove the folder.{''.join(f' Skipped: {one}.' for one in skipped[-3:])}"
            )
    return files, np.array(labels), tuple(printable(folder.name) for folder in folders), skipped


def files_below(folder: Path) -> list[Path]:
    """All files of a folder and of those in it, in order; links to folders, and what cannot be read, as they are."""
    found = []
    for place, folders, names in os.walk(folder, onerror=lambda error: found.append(Path(error.filename))):
        folders[:] = [name for name in folders if not is_system(name)]
        links = [name for name in folders if Path(place, name).is_symlink()]
        found.extend(Path(place, name) for name in (*names, *links) if not is_system(name))
    return sorted(found)


def content(file: Path) -> bytes:
    """A hash of what a picture shows; raises StudyError, which says why, for no picture to learn from."""
    if file.is_dir():
        raise StudyError(f"{printable(file)}: a folder that cannot be read, or a link to one, which is not followed")
    if file.suffix.lower() not in PHOTOS:  # nor .gif: they move, or stand in for a picture that is gone
        raise StudyError(f"{printable(file)}: not a kind of photograph")
    picture = np.asarray(open_picture(file, moving=False))
    return hashlib.sha256(str(picture.shape).encode() + picture.data).digest()
