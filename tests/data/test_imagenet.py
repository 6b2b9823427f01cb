"""Folders of ImageNet's classes: their numbers, what is refused, and the twin."""

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import data
from data import StudyError
from data.imagenet import IMAGENETTE, INDEX, read_folder


def folders(root: Path, names: list[str], files: int = 1) -> Path:
    for name in names:
        (root / name).mkdir(parents=True)
        for number in range(files):
            Image.new("RGB", (8, 8), (number, 0, 0)).save(root / name / f"{number}.JPEG")
    return root


def test_a_thousand_folders_tell_their_numbers_by_their_order(tmp_path):
    names = [f"n{number:08d}" for number in range(5, 5005, 5)]
    found = read_folder(folders(tmp_path / "all", names))
    assert found.labels.tolist() == list(range(1000)) and found.present == list(range(1000))
    assert found.pictures[3].parent.name == names[3] and found.labels.dtype == np.int64


def test_imagenettes_ten_are_known(tmp_path):
    folder = folders(tmp_path / "val", [*IMAGENETTE], files=2)
    (folder / "n01440764" / "notes.txt").write_text("no picture")
    (folder / "n01440764" / "._0.JPEG").write_text("of a Mac")
    (folder / "other").mkdir()
    found = read_folder(folder, tmp_path)
    assert len(found) == 20 and found.present == sorted(IMAGENETTE.values())
    assert found.open(0).size == (8, 8)


def test_others_need_the_index_file(tmp_path):
    folder = folders(tmp_path / "some", ["n00000007", "n00000003"])
    with pytest.raises(StudyError, match=f"2 of ImageNet's 1000 classes.*Put {INDEX}"):
        read_folder(folder, tmp_path / "root")
    index = {str(number): [f"n{number:08d}", "thing"] for number in range(1000)}
    (tmp_path / INDEX).write_text(json.dumps(index))
    assert read_folder(folder, tmp_path / "root").labels.tolist() == [3, 7]
    folders(folder, ["n99999999"])
    with pytest.raises(StudyError, match="n99999999 is no class"):
        read_folder(folder, tmp_path / "root")
    for wrong in ("[]", "no json", '{"0": ["n00000007", "thing"]}'):
        (tmp_path / INDEX).write_text(wrong)
        with pytest.raises(StudyError, match=INDEX):
            read_folder(folder, tmp_path / "root")


def test_folders_without_pictures_are_named(tmp_path):
    (tmp_path / "flat").mkdir()
    for folder in (tmp_path / "flat", tmp_path / "missing"):
        with pytest.raises(StudyError, match="no class folders such as n01440764"):
            read_folder(folder)
    folder = folders(tmp_path / "val", ["n01440764"])
    (folder / "n02102040").mkdir()
    with pytest.raises(StudyError, match="n02102040 has no pictures"):
        read_folder(folder)


def test_a_broken_picture_is_named(tmp_path):
    folder = folders(tmp_path / "val", ["n01440764"])
    (folder / "n01440764" / "1.JPEG").write_text("no picture")
    found = read_folder(folder)
    with pytest.raises(StudyError, match=r"1.JPEG: not a picture"):
        found.open(1)


def test_the_twin_is_balanced():
    one = data.load("imagenet", "tiny")
    assert one.pictures.shape == (150, 64, 64, 3) and one.pictures.dtype == np.uint8
    assert np.bincount(one.labels).min() >= 10 and one.present == list(range(10)) and len(one.classes) == 10
    known = {picture.tobytes() for picture in one.train.pictures}
    assert not any(picture.tobytes() in known for picture in one.pictures)
    assert one.open(0).size == (64, 64)


def test_the_real_index_agrees_with_imagenettes_table(real_data):
    path = real_data / INDEX
    if not path.exists():
        pytest.skip(f"needs {INDEX}")
    index = {name: int(number) for number, (name, _) in json.loads(path.read_text()).items()}
    assert {name: index[name] for name in IMAGENETTE} == IMAGENETTE
    assert sorted(index, key=index.get) == sorted(index)
