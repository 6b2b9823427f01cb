"""Ants and bees, 244 and 153 photographs, or class folders of your own: files of pictures, their labels, the classes.

Source: S. Chilamkurthy, "Transfer Learning for Computer Vision Tutorial", PyTorch Tutorials, 2017.
"""

import warnings
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from data.errors import StudyError
from data.fetch import fetch

COUNTS = {"train": (123, 121), "val": (70, 83)}  # ants, bees
TEST_FOLDERS = ("val", "test")
PHOTOS = {".jpg", ".jpeg", ".png", ".webp", ".bmp", ".tif", ".tiff", ".ppm", ".pgm"}  # no .gif: they move, or stand in
HUGE = 50_000_000  # pixels, 150 MB when decoded
FEWEST = 2  # pictures of a class


@dataclass(frozen=True)
class Pictures:
    """Files are paths, or a twin's bytes; labels are (N,) int64; `skipped` says which files were left out, and why."""

    train_files: tuple[Path | bytes, ...]
    train_labels: np.ndarray
    test_files: tuple[Path | bytes, ...]
    test_labels: np.ndarray
    classes: tuple[str, ...]
    skipped: tuple[str, ...] = ()


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

    Without such a split a fifth of each class, drawn from the seed, is for the test. What is no picture to learn from
    is skipped and reported. Raises StudyError for less than two classes, and for a class without pictures.
    """
    test = next((path / name for name in TEST_FOLDERS if (path / name).is_dir() and (path / "train").is_dir()), None)
    if test is None:
        files, labels, classes, skipped = scan(path)
        held_out = a_fifth(labels, seed)
        parts = [([file for file, out in zip(files, held_out, strict=True) if out == part], labels[held_out == part])
                 for part in (False, True)]  # fmt: skip
    else:
        train_files, train_labels, classes, skipped = scan(path / "train")
        test_files, test_labels, test_classes, more = scan(test)
        if classes != test_classes:
            raise StudyError(
                f"{path}: train has the classes {classes}, {test.name} {test_classes}. Make them the same."
            )
        parts, skipped = [(train_files, train_labels), (test_files, test_labels)], skipped + more
    return Pictures(tuple(parts[0][0]), parts[0][1], tuple(parts[1][0]), parts[1][1], classes, tuple(skipped))


def a_fifth(labels: np.ndarray, seed: int) -> np.ndarray:
    """Marks a fifth of each class, at least one picture: (N,) bool."""
    rng, marked = np.random.default_rng(seed), np.zeros(len(labels), bool)
    for label in np.unique(labels):
        places = rng.permutation(np.flatnonzero(labels == label))
        marked[places[: max(1, len(places) // 5)]] = True
    return marked


def scan(path: Path) -> tuple[list[Path], np.ndarray, tuple[str, ...], list[str]]:
    """Good pictures of all class folders, labels, class names, and what was skipped."""
    folders = sorted(one for one in path.glob("*") if one.is_dir() and not one.name.startswith("."))
    if len(folders) < 2:
        found = ", ".join(folder.name for folder in folders) or "none" if path.is_dir() else "no such folder"
        raise StudyError(f"{path}: needs two or more class folders with pictures in them; found: {found}.")
    files, labels, skipped = [], [], []
    for label, folder in enumerate(folders):
        before = len(files)
        for file in sorted(folder.rglob("*")):
            if file.is_dir() or file.name.startswith("."):
                continue
            if fault := find_fault(file):
                skipped.append(f"{file}: {fault}")
            else:
                files.append(file)
                labels.append(label)
        if len(files) - before < FEWEST:
            raise StudyError(
                f"{folder}: {len(files) - before} pictures that can be used; a class needs {FEWEST} at least. "
                f"Add some, or remove the folder.{''.join(f' Skipped: {one}.' for one in skipped[-3:])}"
            )
    return files, np.array(labels), tuple(folder.name for folder in folders), skipped


def find_fault(path: Path) -> str | None:
    """Why a file is no picture to learn from, or None: the whole of it is decoded, JPEGs at a small size."""
    if path.suffix.lower() not in PHOTOS:
        return "not a kind of photograph"
    try:
        if not path.stat().st_size:
            return "empty"
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)  # we have a limit of our own
            with Image.open(path) as image:
                if image.width * image.height > HUGE:
                    return f"huge ({image.width} x {image.height} pixels)"
                if getattr(image, "n_frames", 1) > 1:
                    return f"animated ({image.n_frames} frames)"
                image.draft("RGB", (64, 64))
                image.load()
    except Image.DecompressionBombError:
        return "huge"
    except (OSError, SyntaxError, ValueError) as error:
        return f"cannot be read ({str(error).partition(chr(10))[0]})"
    return None
