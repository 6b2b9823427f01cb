"""CIFAR-10's files are read only when they are what they should be; its twin has the same types and shapes."""

import io
import os
import pickle

import numpy as np
import pytest

import data
from data import StudyError
from data.cifar10 import CLASSES, Cifar10, read_batch
from data.sources import SOURCES
from from_scratch import data_utils
from from_scratch.data_utils import load_CIFAR10


class Forged:
    """Pickles as a call with arguments, and the state that is given to what it returns."""

    def __init__(self, *reduced: object) -> None:
        self.reduced = reduced

    def __reduce__(self) -> tuple:
        return self.reduced


def command(file) -> Forged:
    """Its pickle would run a command."""
    return Forged(os.system, (f"touch {file}",))


def batch(**changes) -> dict:
    rng = np.random.default_rng(0)
    content = {b"data": rng.integers(0, 256, (20, 3072), dtype=np.uint8), b"labels": list(range(10)) * 2,
               b"batch_label": b"testing", b"filenames": [b"a.png"] * 20}  # fmt: skip
    return content | {name.encode(): value for name, value in changes.items()}


class Python2Pickler(pickle._Pickler):
    """Writes byte strings as Python 2 did, whose pickles the official files are."""

    dispatch = pickle._Pickler.dispatch.copy()

    def save_bytes(self, content: bytes) -> None:
        self.write(pickle.BINSTRING + len(content).to_bytes(4, "little") + content)

    dispatch[bytes] = save_bytes


def python2_pickle(content: object) -> bytes:
    buffer = io.BytesIO()
    Python2Pickler(buffer, protocol=2).dump(content)
    return buffer.getvalue().replace(b"numpy._core", b"numpy.core")


def test_a_batch_is_read(tmp_path):
    (tmp_path / "batch").write_bytes(python2_pickle(batch()))
    images, labels = read_batch(tmp_path / "batch")
    assert images.shape == (20, 3, 32, 32) and images.dtype == np.uint8
    assert labels.tolist() == list(range(10)) * 2 and labels.dtype == np.int64
    assert (images[3].ravel() == batch()[b"data"][3]).all()


def test_the_course_s_arrays_are_float64_and_come_from_the_data_root(tmp_path, monkeypatch, capsys):
    folder = tmp_path / "cifar-10-batches-py"
    folder.mkdir()
    for name in (*(f"data_batch_{number}" for number in range(1, 6)), "test_batch"):
        (folder / name).write_bytes(python2_pickle(batch()))
    X_train, y_train, X_test, _ = load_CIFAR10(folder)
    assert X_train.shape == (100, 32, 32, 3) and X_train.dtype == np.float64 and len(y_train) == 100
    assert (X_test[3].transpose(2, 0, 1).ravel() == batch()[b"data"][3]).all()
    monkeypatch.setattr(data_utils, "fetch", lambda name: tmp_path)
    assert (load_CIFAR10("from_scratch/datasets/cifar-10-batches-py")[0] == X_train).all()
    assert "does not exist: CIFAR-10 is taken from" in capsys.readouterr().out


@pytest.mark.parametrize(
    "content",
    [
        batch(labels=[10] * 20),
        batch(labels=[0] * 19),
        batch(data=np.zeros((20, 3072))),
        batch(data=np.zeros((20, 3000), np.uint8)),
        {b"data": np.zeros((1, 3072), np.uint8)},
        ["no", "dictionary"],
    ],
    ids=["label", "count", "dtype", "shape", "key", "list"],
)
def test_any_other_content_is_refused(tmp_path, content):
    (tmp_path / "batch").write_bytes(python2_pickle(content))
    with pytest.raises(StudyError, match="batch"):
        read_batch(tmp_path / "batch")


def test_a_pickle_that_would_run_something_runs_nothing(tmp_path):
    for evil in (batch(labels=command(tmp_path / "ran")), command(tmp_path / "ran")):
        (tmp_path / "batch").write_bytes(python2_pickle(evil))
        with pytest.raises(StudyError, match=r"posix\.system|nt\.system"):
            read_batch(tmp_path / "batch")
    assert not (tmp_path / "ran").exists()


def test_damaged_bytes_are_refused(tmp_path):
    good = python2_pickle(batch())
    for cut in (0, 1, 100, len(good) // 2):
        (tmp_path / "batch").write_bytes(good[:cut])
        with pytest.raises(StudyError):
            read_batch(tmp_path / "batch")


def test_no_batch_is_opened_before_its_hash_is_right(tmp_path, monkeypatch):
    folder = tmp_path / "cifar-10-batches-py"
    folder.mkdir()
    for path in SOURCES["cifar10"].checks:
        (tmp_path / path).write_bytes(pickle.dumps(command(tmp_path / "ran")))
    monkeypatch.setattr("data.cifar10.read_batch", lambda path: pytest.fail(f"opened {path}"))
    with pytest.raises(StudyError, match="is damaged"):
        data.load("cifar10", "official", tmp_path)


def test_the_twin_is_of_the_same_kind():
    twin = data.load("cifar10", "tiny")
    assert twin.train_images.shape == (4000, 3, 32, 32) and twin.test_images.shape == (1000, 3, 32, 32)
    assert twin.train_images.dtype == np.uint8 and twin.train_labels.dtype == np.int64
    assert sorted(set(twin.train_labels)) == sorted(set(twin.test_labels)) == list(range(10))


def test_the_twins_colors_do_not_give_the_class_away():
    assert told_by_color(data.load("cifar10", "tiny")) < 0.2


def test_the_twins_colors_can_hint_at_the_class_as_the_real_ones_do():
    assert 0.25 < told_by_color(data.tiny.cifar10(hint=0.5)) < 0.6


def told_by_color(twin: Cifar10) -> float:
    """The accuracy of one who sees a test picture's mean color only, and takes the class that is usually nearest."""
    colors, others = (images.mean((2, 3)) for images in (twin.train_images, twin.test_images))
    usual = np.stack([colors[twin.train_labels == label].mean(0) for label in range(10)])
    found = np.linalg.norm(others[:, None] - usual, axis=2).argmin(1)
    return float(np.mean(found == twin.test_labels))


def test_the_real_set(real_data):
    cifar = data.load("cifar10", "official", real_data)
    assert cifar.train_images.shape == (50_000, 3, 32, 32) and cifar.test_images.shape == (10_000, 3, 32, 32)
    assert (np.bincount(cifar.train_labels) == 5000).all() and (np.bincount(cifar.test_labels) == 1000).all()
    assert [CLASSES[label] for label in cifar.test_labels[:4]] == ["cat", "ship", "ship", "plane"]  # as the page shows
    assert np.allclose(cifar.train_images.mean((0, 2, 3)) / 255, [0.4914, 0.4822, 0.4465], atol=1e-4)
