"""Ants and bees, their twin, and folders of anybody: what is read, what is skipped and told, what is refused."""

import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import data
from data import StudyError, hymenoptera


def photo(path: Path, size: tuple[int, int] = (40, 30), **more) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    noise = np.random.default_rng(len(path.name)).integers(0, 255, (size[1], size[0], 3), dtype=np.uint8)
    Image.fromarray(noise).save(path, **more)
    return path


def folder(root: Path, count: int = 5, classes: tuple[str, ...] = ("cats", "dogs", "owls")) -> Path:
    for name in classes:
        for number in range(count):
            photo(root / name / f"{number}.jpg")
    return root


def test_class_folders_become_files_and_labels_with_a_fifth_of_each_class_for_the_test(tmp_path):
    folder(tmp_path, 10)
    photo(tmp_path / "cats" / "deeper" / "another.PNG", format="PNG")
    (tmp_path / "cats" / ".DS_Store").write_text("x")
    (tmp_path / ".hidden").mkdir()
    pictures = hymenoptera.from_folder(tmp_path)
    assert pictures.classes == ("cats", "dogs", "owls") and pictures.skipped == ()
    assert np.bincount(pictures.test_labels).tolist() == [2, 2, 2]
    assert np.bincount(pictures.train_labels).tolist() == [9, 8, 8]
    for files, labels in (
        (pictures.train_files, pictures.train_labels),
        (pictures.test_files, pictures.test_labels),
    ):
        assert [pictures.classes[label] for label in labels] == [file.relative_to(tmp_path).parts[0] for file in files]
    assert not set(pictures.train_files) & set(pictures.test_files)
    assert hymenoptera.from_folder(tmp_path).test_files == pictures.test_files
    assert hymenoptera.from_folder(tmp_path, seed=1).test_files != pictures.test_files


def test_a_split_that_is_there_is_kept(tmp_path):
    folder(tmp_path / "train", 4)
    folder(tmp_path / "val", 3)
    pictures = hymenoptera.from_folder(tmp_path)
    assert len(pictures.train_files) == 12 and len(pictures.test_files) == 9
    (tmp_path / "val" / "owls").rename(tmp_path / "val" / "bats")
    with pytest.raises(StudyError, match="the same"):
        hymenoptera.from_folder(tmp_path)


def test_what_is_no_picture_to_learn_from_is_named_and_skipped(tmp_path, monkeypatch):
    folder(tmp_path)
    bad = tmp_path / "dogs"
    (bad / "empty.jpg").touch()
    (bad / "text.jpg").write_text("no picture")
    (bad / "notes.txt").write_text("no picture")
    whole = photo(bad / "cut.jpg", (300, 300)).read_bytes()
    (bad / "cut.jpg").write_bytes(whole[: len(whole) // 2])
    photo(bad / "still.gif")
    frames = [Image.new("RGB", (20, 20), color) for color in ("red", "blue")]
    frames[0].save(bad / "moves.webp", save_all=True, append_images=frames[1:])
    photo(bad / "wide.png", (90, 60))
    monkeypatch.setattr(hymenoptera, "HUGE", 5000)
    pictures = hymenoptera.from_folder(tmp_path)
    told = {Path(line.partition(": ")[0]).name: line.partition(": ")[2] for line in pictures.skipped}
    assert set(told) == {"empty.jpg", "text.jpg", "notes.txt", "cut.jpg", "still.gif", "moves.webp", "wide.png"}
    assert told["empty.jpg"] == "empty" and "animated (2 frames)" in told["moves.webp"]
    assert told["wide.png"] == "huge (90 x 60 pixels)"
    assert "cannot be read" in told["text.jpg"] and "kind" in told["notes.txt"] and "kind" in told["still.gif"]
    assert told["cut.jpg"].startswith(("cannot be read", "huge"))
    assert len(pictures.train_files) + len(pictures.test_files) == 15


def test_a_photograph_that_was_cut_short_is_found(tmp_path):
    whole = photo(tmp_path / "cut.jpg", (300, 300)).read_bytes()
    (tmp_path / "cut.jpg").write_bytes(whole[: len(whole) // 2])
    assert "cannot be read" in hymenoptera.find_fault(tmp_path / "cut.jpg")


def test_what_cannot_be_learnt_is_refused(tmp_path):
    with pytest.raises(StudyError, match="no such folder"):
        hymenoptera.from_folder(tmp_path / "missing")
    folder(tmp_path, classes=("cats",))
    with pytest.raises(StudyError, match=r"two or more class folders.*found: cats"):
        hymenoptera.from_folder(tmp_path)
    (tmp_path / "dogs").mkdir()
    (tmp_path / "dogs" / "bad.jpg").touch()
    with pytest.raises(StudyError, match=r"dogs: 0 pictures that can be used.*bad.jpg: empty"):
        hymenoptera.from_folder(tmp_path)


def test_the_published_set_must_be_whole(tmp_path):
    for part in ("train", "val"):
        folder(tmp_path / "hymenoptera_data" / part, classes=("ants", "bees"))
    with pytest.raises(StudyError, match=r"\[5, 5\] pictures.*published were \(123, 121\)"):
        data.load("hymenoptera", "official", tmp_path)


def test_the_twin_is_of_the_same_kind():
    twin = data.load("hymenoptera", "tiny")
    assert isinstance(twin, hymenoptera.Pictures) and twin.classes == ("ants", "bees")
    assert len(twin.train_files) == 120 and len(twin.test_files) == 80
    labels = np.concatenate([twin.train_labels, twin.test_labels])
    assert np.bincount(labels).tolist() == [100, 100] and labels.dtype == np.int64
    sizes = {Image.open(io.BytesIO(file)).size for file in twin.train_files}
    assert len(sizes) > 50 and min(map(min, sizes)) >= 40 and max(map(max, sizes)) <= 64
    again, other = data.load("hymenoptera", "tiny"), data.load("hymenoptera", "tiny", seed=1)
    assert twin.train_files == again.train_files and twin.train_files != other.train_files


def test_the_twins_colors_do_not_give_the_class_away():
    twin = data.load("hymenoptera", "tiny")
    colors = np.stack([np.asarray(Image.open(io.BytesIO(file))).mean((0, 1)) for file in twin.train_files])
    means = np.stack([colors[twin.train_labels == label].mean(0) for label in (0, 1)])
    assert (abs(means[0] - means[1]) < 0.5 * colors.std(0)).all()


def test_the_real_set(real_data):
    pictures = data.load("hymenoptera", "official", real_data)
    assert len(pictures.train_files) == 244 and len(pictures.test_files) == 153
    assert [Path(line.partition(": ")[0]).name for line in pictures.skipped] == ["imageNotFound.gif"]
    assert pictures.train_files[0].parent.name == "ants" and pictures.test_files[-1].parent.name == "bees"
