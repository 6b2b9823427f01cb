"""COCO captions as the course publishes them: load, decode, draw a batch."""

import operator
from pathlib import Path
from types import ModuleType

import numpy as np

from data import StudyError, default_root, load
from data.captions import encode
from data.text import read_json, read_text

BASE_DIR = Path(__file__).parent / "datasets" / "coco_captioning"  # where the course's script puts it


def _default_dir() -> Path:
    return BASE_DIR if BASE_DIR.exists() else default_root() / "coco_captioning"


def _there(path: Path) -> Path:
    if not path.exists():
        raise StudyError(
            f"coco: {path} is missing. Download the course's files with: make data-coco-captions. "
            "Or pass the folder that holds them."
        )
    return path


def _h5_arrays(path: Path) -> dict[str, np.ndarray]:
    """All arrays of an HDF5 file; only this needs h5py, which is an extra and therefore looked for only here."""
    _there(path)
    try:
        import h5py
    except ImportError as error:
        raise StudyError(f"coco: reading {path} needs h5py: pip install h5py") from error
    try:
        with h5py.File(path, "r") as file:
            return {name: np.asarray(array) for name, array in file.items()}
    except OSError as error:
        raise StudyError(
            f"coco: {path} cannot be read ({error}). Remove {path.parent}, then: make data-coco-captions"
        ) from error


def load_coco_data(
    base_dir: str | Path | None = None, max_train: int | None = None, pca_features: bool = True
) -> dict[str, object]:
    """The course's COCO captions, features, vocabulary and URLs, from `base_dir`.

    Without it, from `datasets/coco_captioning` beside this file where it exists, else from below the data root. Where
    there is no such folder, Flickr8k in the same shape, else its generated twin; what was taken is printed.
    {train,val}_captions (M, 17), _image_idxs (M,), _features (images, 512, or 4096 without PCA), _urls;
    idx_to_word, word_to_idx. `max_train` draws so many training captions, with replacement.
    Raises StudyError where a file or h5py is missing. Source: CS231n, assignment 3.
    """
    base_dir = Path(base_dir or _default_dir())
    data = _read(base_dir, pca_features) if base_dir.exists() else _instead_of(base_dir)
    if max_train is not None:
        chosen = np.random.randint(len(data["train_captions"]), size=max_train)
        data["train_captions"] = data["train_captions"][chosen]
        data["train_image_idxs"] = data["train_image_idxs"][chosen]
    return data


def _read(base_dir: Path, pca_features: bool) -> dict[str, object]:
    data = _h5_arrays(base_dir / "coco2014_captions.h5")
    ending = "_pca" if pca_features else ""
    for split in ("train", "val"):
        data[f"{split}_features"] = _h5_arrays(base_dir / f"{split}2014_vgg16_fc7{ending}.h5")["features"]
        data[f"{split}_urls"] = np.asarray(read_text(_there(base_dir / f"{split}2014_urls.txt")).splitlines())
    return data | read_json(_there(base_dir / "coco2014_vocab.json"))


def _instead_of(base_dir: Path) -> dict[str, object]:
    """Flickr8k where it is, or can be had, else its twin, in the course's shape."""
    missing = f"coco: {base_dir} does not exist (the course's files: make data-coco-captions)"
    try:
        data = encode(load("captions", "official"))
        print(f"{missing}: Flickr8k's captions and features are taken")
    except StudyError as error:
        data = encode(load("captions", "tiny"))
        print(f"{missing}; {str(error).splitlines()[0]}")
        print("Using generated data instead of Flickr8k: its photographs are words.")
    return {name: value for name, value in data.items() if not name.startswith("test_")}


def decode_captions(captions: np.ndarray, idx_to_word: list[str] | dict[int, str]) -> str | list[str]:
    """Captions as text: (T,) -> a string, (N, T) -> a list of them.

    Leaves "<NULL>" out, keeps "<START>", and ends with "<END>".
    Raises ValueError for any other number of axes. Source: CS231n, assignment 3.
    """
    captions = np.asarray(captions)
    if captions.ndim not in (1, 2):
        raise ValueError(f"captions must have 1 or 2 axes, not the shape {captions.shape}")
    decoded = []
    for caption in np.atleast_2d(captions).tolist():
        try:
            words = [idx_to_word[operator.index(i)] for i in caption]
        except (TypeError, LookupError):
            raise ValueError(f"captions hold a number that idx_to_word does not know: {caption}") from None
        if "<END>" in words:
            words = words[: words.index("<END>") + 1]
        decoded.append(" ".join(word for word in words if word != "<NULL>"))
    return decoded if captions.ndim == 2 else decoded[0]


def sample_coco_minibatch(
    data: dict[str, object],
    batch_size: int = 100,
    split: str = "train",
    rng: ModuleType | np.random.Generator = np.random,
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Captions (B, T), their images' features (B, D) and URLs (B,) if the data have them, drawn with replacement.

    Raises ValueError for a split that the data do not hold. Source: CS231n, assignment 3.
    """
    if f"{split}_captions" not in data:
        raise ValueError(f"split must be train or val, not {split!r}: data has no {split}_captions")
    chosen = rng.choice(len(data[f"{split}_captions"]), batch_size)
    images = data[f"{split}_image_idxs"][chosen]
    urls = data.get(f"{split}_urls")
    urls = None if urls is None else np.asarray(urls)[images]
    return data[f"{split}_captions"][chosen], data[f"{split}_features"][images], urls
