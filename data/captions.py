"""Flickr8k: 8,000 photographs with five captions each, and the dictionary in which the course holds captions.

Source: M. Hodosh, P. Young, J. Hockenmaier, "Framing Image Description as a Ranking Task", JAIR 47, 2013.
"""

import re
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from itertools import chain
from pathlib import Path

import numpy as np

from data.errors import StudyError
from data.fetch import fetch

TEXT = "flickr8k/Flickr8k_text"
PHOTOGRAPHS = "flickr8k/Flicker8k_Dataset"  # the archive's own spelling
FEATURES = "flickr8k/flickr8k_squeezenet1_0.npz"
SPLITS = {  # of the 8,091 photographs, 91 are in no split
    "train": ("Flickr_8k.trainImages.txt", 6000),
    "val": ("Flickr_8k.devImages.txt", 1000),
    "test": ("Flickr_8k.testImages.txt", 1000),
}
CAPTIONS_EACH = 5

NULL, START, END, UNK = range(4)
SPECIAL = ("<NULL>", "<START>", "<END>", "<UNK>")
# Words with what is inside them (t-shirt, at&t), and the 's that the authors' tokenizer split off.
WORD = re.compile(r"'s\b|\w+(?:['&-]\w+)*")
# Tokens of a caption: 15 words are what the course's COCO arrays hold; 80 characters are about as much.
MAX_LENGTH = {"word": 15, "char": 80}


@dataclass(frozen=True)
class Split:
    """N pictures: their files (or what they show), features (N, D) float32, and for each its captions, cleaned."""

    files: list[str]
    features: np.ndarray
    references: list[list[str]]


@dataclass(frozen=True)
class Captions:
    train: Split
    val: Split
    test: Split


def official(root: Path | None = None) -> Captions:
    """Flickr8k's captions and splits with SqueezeNet's features (N, 512) of the photographs, from below `root`.

    The text is downloaded when it is missing; the features have to be computed from the photographs, once.
    Raises StudyError when a file is missing, damaged, or does not fit the others.
    """
    root = fetch("flickr8k", root, only=["Flickr8k_text.zip"])
    captions = read_captions(root / TEXT / "Flickr8k.token.txt")
    row = read_features(root)
    splits = {}
    for split, names in read_splits(root / TEXT).items():
        for name in names:
            if len(captions.get(name, ())) != CAPTIONS_EACH:
                raise damaged(root / TEXT / "Flickr8k.token.txt", f"has not {CAPTIONS_EACH} captions of {name}")
            if name not in row:
                raise StudyError(f"captions: {root / FEATURES} has no features of {name}. {recipe(root)}")
        files = [str(root / PHOTOGRAPHS / name) for name in names]
        splits[split] = Split(files, np.stack([row[name] for name in names]), [captions[name] for name in names])
    return Captions(**splits)


def clean(caption: str) -> str:
    """Its words in lower case, without punctuation, with one blank between two."""
    return " ".join(WORD.findall(caption.lower()))


def read_captions(path: Path) -> dict[str, list[str]]:
    """Picture -> its cleaned captions, from lines `name.jpg#number<tab>caption`.

    One picture is called `2258277193_586949ec62.jpg.1` here: it exists nowhere else, and no split asks for it.
    """
    captions: dict[str, list[str]] = {}
    for number, line in enumerate(read_lines(path), start=1):
        label, tab, caption = line.partition("\t")
        name, mark, _ = label.rpartition("#")
        if not (tab and mark):
            raise damaged(path, f"has in line {number} no `name#number<tab>caption`")
        captions.setdefault(name, []).append(clean(caption))
    return captions


def read_splits(folder: Path) -> dict[str, list[str]]:
    """Split -> its pictures' names; raises StudyError unless all are there, and none twice."""
    names = {split: read_lines(folder / file) for split, (file, _) in SPLITS.items()}
    for split, (file, count) in SPLITS.items():
        if len(names[split]) != count:
            raise damaged(folder / file, f"names {len(names[split]):,} pictures, not {count:,}")
    for name, times in Counter(chain(*names.values())).items():
        if times > 1:
            raise damaged(folder, f"has {name} more than once in the lists of train, dev and test pictures")
    return names


def read_lines(path: Path) -> list[str]:
    try:
        return path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise damaged(path, f"cannot be read ({error})") from error


def damaged(path: Path, what: str) -> StudyError:
    folder = path if path.is_dir() else path.parent
    return StudyError(f"captions: {path} {what}. Remove {folder} and run again: it is then downloaded anew.")


def recipe(root: Path) -> str:
    """What to do when the features are not there."""
    return (
        "Compute them once from the photographs (1.1 GB to download, then some minutes): "
        f"make caption-features STUDY_DATA={root}. Or run on synthetic data: --data tiny."
    )


def read_features(root: Path) -> dict[str, np.ndarray]:
    """Picture -> its features (D,) float32, from the arrays `features` (N, D) and `files` (N,) of the .npz file."""
    path = root / FEATURES
    if not path.exists():
        raise StudyError(f"captions: {path}, the photographs' features, is missing. {recipe(root)}")
    try:
        with np.load(path, allow_pickle=False) as arrays:
            features, files = arrays["features"], arrays["files"]
    except Exception as error:  # damaged bytes may raise nearly anything in zipfile, zlib and NumPy
        raise StudyError(f"captions: {path} cannot be read ({error}). Remove it. {recipe(root)}") from error
    fits = features.ndim == 2 and files.shape == features.shape[:1] and files.dtype.kind == "U"
    if not (fits and features.dtype.kind == "f" and np.isfinite(features).all()):
        raise StudyError(
            f"captions: {path} has features {features.dtype}{features.shape} and files {files.dtype}{files.shape}; "
            f"expected finite float(N, D) and N names. Remove it. {recipe(root)}"
        )
    return dict(zip(files.tolist(), features.astype(np.float32), strict=True))


def encode(
    captions: Captions, level: str = "word", min_count: int = 5, max_length: int | None = None
) -> dict[str, object]:
    """The dictionary of the course's `load_coco_data`, with a test split; tokens are words or characters.

    {train,val,test}_captions (M, T) int32: <START>, up to `max_length` tokens, <END>, then <NULL>; a caption that is
    cut has no <END>, so that nobody learns to stop there. _image_idxs (M,) int32; _features (N, D) float32, less
    the training pictures' mean and divided by their standard deviation; _urls (N,): the pictures' files.
    idx_to_word, word_to_idx: <NULL> 0, <START> 1, <END> 2, <UNK> 3, then by frequency what the training captions
    hold at least `min_count` times. Raises StudyError for an unknown level.
    """
    if level not in MAX_LENGTH:
        raise StudyError(f"captions: there is no level {level!r}. Choose one of: {', '.join(MAX_LENGTH)}.")
    longest = MAX_LENGTH[level] if max_length is None else max_length
    tokens = {name: tokenize(getattr(captions, name), level) for name in SPLITS}
    idx_to_word = vocabulary(tokens["train"], min_count)
    word_to_idx = {word: index for index, word in enumerate(idx_to_word)}
    width = min(longest, max(map(len, tokens["train"]))) + 2
    mean, deviation = captions.train.features.mean(0), captions.train.features.std(0)
    deviation[deviation == 0] = 1  # a feature that never changes says nothing
    data: dict[str, object] = {"idx_to_word": idx_to_word, "word_to_idx": word_to_idx}
    for name in SPLITS:
        split = getattr(captions, name)
        counts = [len(references) for references in split.references]
        data[f"{name}_captions"] = indices(tokens[name], word_to_idx, width)
        data[f"{name}_image_idxs"] = np.repeat(np.arange(len(counts), dtype=np.int32), counts)
        data[f"{name}_features"] = (split.features - mean) / deviation
        data[f"{name}_urls"] = np.array(split.files)
    return data


def tokenize(split: Split, level: str) -> list[list[str]]:
    """The tokens of each caption, picture after picture."""
    return [caption.split() if level == "word" else list(caption) for caption in chain(*split.references)]


def vocabulary(captions: Iterable[list[str]], min_count: int) -> list[str]:
    """The special tokens, then by falling frequency every token that occurs at least `min_count` times."""
    counts = Counter(chain(*captions))
    return [*SPECIAL, *sorted((t for t in counts if counts[t] >= min_count), key=lambda t: (-counts[t], t))]


def indices(captions: list[list[str]], word_to_idx: dict[str, int], width: int) -> np.ndarray:
    """M captions as (M, width) int32: <START>, the tokens, <END>, then <NULL>, cut at `width`."""
    rows = [[START, *(word_to_idx.get(token, UNK) for token in caption), END] for caption in captions]
    lengths = np.array([len(row) for row in rows])
    column = np.arange(width)
    flat = np.array(list(chain.from_iterable(row[:width] for row in rows)), dtype=np.int32)
    result = np.full((len(rows), width), NULL, dtype=np.int32)
    result[column < lengths[:, None]] = flat  # both go row by row
    return result


def decode(captions: np.ndarray, idx_to_word: list[str], level: str = "word") -> list[str]:
    """Captions (N, T) as N strings, without <NULL> and <START>, each up to its first <END>."""
    between = " " if level == "word" else ""
    texts = []
    for caption in captions.tolist():
        kept = caption[: caption.index(END)] if END in caption else caption
        texts.append(between.join(idx_to_word[index] for index in kept if index not in (NULL, START)))
    return texts
