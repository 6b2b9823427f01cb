"""The course's data as arrays: CIFAR-10 and Tiny ImageNet from their folders.

CIFAR-10's own loaders give the course's float64; `get_CIFAR10_data` and Tiny ImageNet float32, in half of the memory.
Nothing is unpickled that could run code.
"""

import io
import zipfile
from pathlib import Path

import numpy as np

from data import StudyError, default_root, plain_pickle
from data.cifar10 import FOLDER, Cifar10, official, read_batch
from data.fetch import fetch
from data.pictures import open_picture


def load_CIFAR_batch(filename: str | Path) -> tuple[np.ndarray, np.ndarray]:
    """Pictures (N, 32, 32, 3) in 0..255 and labels (N,) of one batch file; raises StudyError for any other content."""
    images, labels = read_batch(Path(filename))
    return images.transpose(0, 2, 3, 1).astype(np.float64), labels


def load_CIFAR10(ROOT: str | Path) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Training and test pictures (N, 32, 32, 3) float64 and labels (N,) from the folder of the six batch files.

    Without that folder they come from the data root, where they are downloaded when missing.
    Raises StudyError when they cannot be had.
    """
    root = Path(ROOT)
    if not root.exists():
        print(f"{root} does not exist: CIFAR-10 is taken from {default_root()}")
        root = fetch("cifar10") / FOLDER
    batches = [load_CIFAR_batch(root / f"data_batch_{number}") for number in range(1, 6)]
    X, y = (np.concatenate(parts) for parts in zip(*batches, strict=True))
    return X, y, *load_CIFAR_batch(root / "test_batch")


def get_CIFAR10_data(
    num_training: int = 49000,
    num_validation: int = 1000,
    num_test: int = 1000,
    subtract_mean: bool = True,
    pictures: Cifar10 | None = None,
) -> dict[str, np.ndarray]:
    """X_train, y_train, X_val, y_val, X_test, y_test: pictures (N, 3, 32, 32), less the mean training picture.

    Validation pictures are the training pictures after the first `num_training`. `pictures` are CIFAR-10 from `data`
    (default: the official ones, downloaded when missing). Raises ValueError when there are fewer than asked for.
    """
    pictures = pictures or official()
    parts = {
        "train": (pictures.train_images[:num_training], pictures.train_labels[:num_training]),
        "val": (pictures.train_images[num_training:], pictures.train_labels[num_training:]),
        "test": (pictures.test_images, pictures.test_labels),
    }
    data = {}
    for (split, (images, labels)), count in zip(parts.items(), (num_training, num_validation, num_test), strict=True):
        if len(images) < count:
            raise ValueError(f"there are {len(images)} pictures for the {split} split, not {count}")
        data[f"X_{split}"], data[f"y_{split}"] = images[:count].astype(np.float32), labels[:count]
    if subtract_mean:
        mean = data["X_train"].mean(axis=0)
        for split in parts:
            data[f"X_{split}"] -= mean
    return data


def load_tiny_imagenet(path: str | Path, dtype: type = np.float32, subtract_mean: bool = True) -> dict:
    """Tiny ImageNet from its folder: class_names, X_train, y_train, X_val, y_val, X_test, y_test, mean_image.

    Pictures are (N, 3, 64, 64) of `dtype`; the test pictures come in the order of their names, and y_test is None:
    their labels are not published. Raises StudyError for a folder that is not Tiny ImageNet's.
    """
    path = Path(path)
    try:
        wnids = (path / "wnids.txt").read_text(encoding="utf-8").split()
        words = dict(line.split("\t") for line in (path / "words.txt").read_text(encoding="utf-8").splitlines())
        lines = [
            line.split("\t") for line in (path / "val" / "val_annotations.txt").read_text(encoding="utf-8").splitlines()
        ]
    except (OSError, ValueError) as error:
        raise StudyError(
            f"{path} is not Tiny ImageNet ({error}). Unpack tiny-imagenet-200.zip of the course and give its folder."
        ) from error
    label = {wnid: number for number, wnid in enumerate(wnids)}
    files = {
        "train": [(file, label[wnid]) for wnid in wnids for file in sorted((path / "train" / wnid).rglob("*.JPEG"))],
        "val": [(path / "val" / "images" / name, label[wnid]) for name, wnid, *_ in lines],
        "test": [(file, -1) for file in sorted((path / "test" / "images").glob("*.JPEG"))],
    }
    data = {"class_names": [words[wnid].split(", ") for wnid in wnids]}
    for split, items in files.items():
        data[f"X_{split}"] = np.stack([np.asarray(open_picture(file)) for file, _ in items]).transpose(0, 3, 1, 2)
        data[f"X_{split}"] = data[f"X_{split}"].astype(dtype)
        data[f"y_{split}"] = np.array([number for _, number in items])
    data["y_test"] = None  # the course keeps them
    data["mean_image"] = data["X_train"].mean(axis=0, dtype=np.float64).astype(dtype)
    if subtract_mean:
        for split in files:
            data[f"X_{split}"] -= data["mean_image"]
    return data


def load_imagenet_val(
    num: int | None = None, path: str | Path | None = None
) -> tuple[np.ndarray, np.ndarray, dict[int, str]]:
    """The first `num` pictures (N, 224, 224, 3), labels (N,) and class names of the course's 25 ImageNet pictures.

    From `path`, else from `datasets` beside this file, where the course's script puts them, else from the data root.
    Raises StudyError when the file is missing or another one.
    """
    places = [Path(__file__).parent / "datasets", default_root()]
    files = [Path(path)] if path else [place / "imagenet_val_25.npz" for place in places]
    path = next((file for file in files if file.exists()), files[-1])
    try:
        with np.load(path, allow_pickle=False) as file, zipfile.ZipFile(path) as archive:
            if sum(member.file_size for member in archive.infolist()) > plain_pickle.MAX_BYTES:
                raise ValueError("it unpacks to more than 25 pictures need")
            X, y = file["X"], file["y"]
            names = io.BytesIO(archive.read("label_map.npy"))
        np.lib.format.read_magic(names)
        np.lib.format.read_array_header_1_0(names)
        label_map = plain_pickle.read(names)
        return X[:num], y[:num], {int(label): str(plain_pickle.text(name)) for label, name in label_map.items()}
    except Exception as error:  # zip, npz and the pickle each have their own
        raise StudyError(
            f"{path} is not the course's file of ImageNet pictures ({error}). Its get_imagenet_val.sh downloads it."
        ) from error


def load_models(models_dir: str | Path) -> dict[str, dict[str, np.ndarray]]:
    """The parameters that nets wrote to a folder with `save`, by file name (the course unpickles objects)."""
    files = sorted(path for path in Path(models_dir).iterdir() if path.is_file())
    models = {}
    for path in files:
        try:
            with np.load(path, allow_pickle=False) as file:
                models[path.name] = {name: file[name] for name in file.files}
        except ValueError as error:
            raise StudyError(f"{path} holds no parameters that a net saved ({error}). Remove it from there.") from error
    return models
