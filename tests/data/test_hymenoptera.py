"""Ants and bees, their twin, and folders of anybody: what is read, what is skipped and told, what is refused."""

import io
import os
import shutil
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import data
from data import StudyError, hymenoptera


def photo(path: Path, size: tuple[int, int] = (40, 30), **more) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    noise = np.random.default_rng([*os.fsencode(path)]).integers(0, 255, (size[1], size[0], 3), dtype=np.uint8)
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


@pytest.mark.parametrize(
    "training, test", [("Train", "Valid"), ("training_set", "test_set"), ("seg_train", "seg_test"), ("TRAIN", "dev")]
)
def test_a_split_is_known_by_its_usual_names(tmp_path, training, test):
    folder(tmp_path / training, 3)
    folder(tmp_path / test, 2)
    pictures = hymenoptera.from_folder(tmp_path)
    assert pictures.classes == ("cats", "dogs", "owls")
    assert len(pictures.train_files) == 9 and {file.parts[-3] for file in pictures.test_files} == {test}


def test_half_a_split_is_refused_and_a_third_part_left_alone(tmp_path):
    folder(tmp_path / "one" / "train", 3)
    folder(tmp_path / "two" / "val", 2)
    folder(tmp_path / "two" / "test", 2)
    folder(tmp_path / "three" / "train", 3)
    folder(tmp_path / "three" / "Training", 3)
    for name in ("one", "two", "three"):
        with pytest.raises(StudyError, match=r"not clear which of .* is to train.*Name two folders train and val"):
            hymenoptera.from_folder(tmp_path / name)
    folder(tmp_path / "two" / "train", 3)
    pictures = hymenoptera.from_folder(tmp_path / "two")
    assert "two/test: not looked at, the test is on val" in pictures.skipped[0].replace(os.sep, "/")
    folder(tmp_path / "vehicles", classes=("bus", "train"))  # a class, not a part
    assert hymenoptera.from_folder(tmp_path / "vehicles").classes == ("bus", "train")


def test_what_desktops_and_file_servers_leave_is_left_out(tmp_path):
    folder(tmp_path, classes=("cats", "dogs"))
    for name in (".ipynb_checkpoints", "__MACOSX", "@eaDir", "$RECYCLE.BIN", "lost+found", "System Volume Information",
                 ".Trash-1000", ".AppleDouble", "#recycle"):  # fmt: skip
        for place in (tmp_path, tmp_path / "cats"):
            photo(place / name / "a.jpg")
    for name in ("Thumbs.db", "desktop.ini", ".DS_Store", "._0.jpg", "~$0.jpg"):
        photo(tmp_path / "dogs" / name, format="PNG")
    pictures = hymenoptera.from_folder(tmp_path)
    assert pictures.classes == ("cats", "dogs") and not pictures.skipped
    assert len(pictures.train_files) + len(pictures.test_files) == 10


def test_equal_pictures_are_used_once_and_named(tmp_path):
    folder(tmp_path / "train", 4)
    folder(tmp_path / "val", 3)
    shutil.copy(tmp_path / "val/cats/1.jpg", tmp_path / "train/cats/copy.jpg")  # the same bytes
    Image.open(tmp_path / "val/owls/2.jpg").save(tmp_path / "train/owls/saved.png")  # the same pixels
    for pictures in (hymenoptera.from_folder(tmp_path), hymenoptera.from_folder(tmp_path / "train")):
        assert len(pictures.train_files) + len(pictures.test_files) == (21 if pictures.skipped else 14)
    twins = [[Path(name).name for name in line.split(": the same picture as ")]
             for line in hymenoptera.from_folder(tmp_path).skipped]  # fmt: skip
    assert twins == [["copy.jpg", "1.jpg"], ["saved.png", "2.jpg"]]


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="Windows has no named pipes in folders")
def test_names_that_are_not_utf_8_and_links_in_loops_do_no_harm(tmp_path):
    linux = sys.platform == "linux"  # elsewhere all names are Unicode
    cafe, naive = ("caf\udce9", "na\udcefve.txt") if linux else ("café", "naïve.txt")
    folder(tmp_path, classes=("dogs", cafe))
    (tmp_path / cafe / naive).touch()
    (tmp_path / "again").symlink_to(tmp_path)
    (tmp_path / "dogs" / "loop").symlink_to(tmp_path)
    (tmp_path / "dogs" / "self.jpg").symlink_to("self.jpg")
    os.mkfifo(tmp_path / "dogs" / "pipe.jpg")
    pictures = hymenoptera.from_folder(tmp_path)
    assert pictures.classes == (r"caf\xe9" if linux else cafe, "dogs") and len(pictures.train_files) == 8
    said = " ".join(pictures.skipped).encode().decode()
    assert len(pictures.skipped) == 4 and "ve.txt: not a kind" in said and "loop: a folder that" in said
    assert "pipe.jpg: not a picture that can be read (not a file)" in said and "self.jpg: not a picture" in said


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
    photo(bad / "wide.png", (900, 600))
    monkeypatch.setattr(data.pictures, "PIXELS", 100_000)
    pictures = hymenoptera.from_folder(tmp_path)
    told = {Path(line.partition(": ")[0]).name: line.partition(": ")[2] for line in pictures.skipped}
    assert set(told) == {"empty.jpg", "text.jpg", "notes.txt", "cut.jpg", "still.gif", "moves.webp", "wide.png"}
    reasons = {"empty.jpg": "none of JPEG", "text.jpg": "none of JPEG", "moves.webp": "animated, 2 frames",
               "wide.png": "huge", "notes.txt": "kind", "still.gif": "kind", "cut.jpg": "truncated"}  # fmt: skip
    assert all(reason in told[name] for name, reason in reasons.items()), told
    assert len(pictures.train_files) + len(pictures.test_files) == 15


def test_many_classes_are_told_in_few_words():
    labels = np.repeat(np.arange(300), 2)
    pictures = hymenoptera.Pictures((b"",) * 600, labels, (b"",) * 600, labels, tuple(f"class {n}" for n in range(300)),
                                    ("one: the same picture as another",) * 50)  # fmt: skip
    *skipped, last = pictures.describe()
    assert len(skipped) == 20 and "class 19 2 + 2, …; 50 skipped" in last
    assert last.startswith("300 classes, 600 + 600 pictures to train and to test on: class 0 2 + 2, class 1")


def test_what_cannot_be_learnt_is_refused(tmp_path):
    with pytest.raises(StudyError, match=r"No such file or directory\. Give a folder"):
        hymenoptera.from_folder(tmp_path / "missing")
    folder(tmp_path, classes=("cats",))
    with pytest.raises(StudyError, match=r"two or more class folders.*found: cats"):
        hymenoptera.from_folder(tmp_path)
    (tmp_path / "dogs").mkdir()
    (tmp_path / "dogs" / "bad.jpg").touch()
    with pytest.raises(StudyError, match=r"dogs: 0 pictures that can be used.*bad.jpg: not a picture"):
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
