"""Captions: Flickr8k's files are read only when they fit together; words and characters, the twin, COCO, pictures."""

import http.client
import http.server
import io
import json
import re
import sys
import threading
import urllib.request
import zipfile
from itertools import chain
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torchvision.models import squeezenet1_0

import data
from data import StudyError, captions
from data.captions import clean, decode, encode
from data.sources import SOURCES
from data.unpack import unpack
from from_scratch import coco_utils, image_utils
from tests.weights import publish, save_own
from tutorials.tools import caption_features
from tutorials.vision import models

NAMES = {"train": ["a.jpg", "b.jpg", "c.jpg"], "val": ["d.jpg"], "test": ["e.jpg", "f.jpg"]}
ALL = list(chain(*NAMES.values()))


@pytest.fixture
def flickr(tmp_path, monkeypatch):
    """A small Flickr8k below a data root of its own: six pictures in splits, one in none."""
    splits = {split: (file, len(NAMES[split])) for split, (file, _) in captions.SPLITS.items()}
    monkeypatch.setattr(captions, "SPLITS", splits)
    text = tmp_path / captions.TEXT
    text.mkdir(parents=True)
    for split, (file, _) in splits.items():
        (text / file).write_text("\n".join(NAMES[split]) + "\n")
    files = [*ALL, "g.jpg.1"]
    lines = [f"{file}#{number}\tA dog , number {number} , seen {file[0]} ." for file in files for number in range(5)]
    (text / "Flickr8k.token.txt").write_text("\n".join(lines) + "\n")
    features = np.arange(6 * 4, dtype=np.float16).reshape(6, 4)[::-1]
    np.savez(tmp_path / captions.FEATURES, features=features, files=np.array(sorted(files[:6], reverse=True)))
    return tmp_path


def edit(path: Path, old: str, new: str) -> None:
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new, 1))


def test_files_that_fit_are_read(flickr):
    found = data.load("captions", "official", flickr)
    assert [Path(file).name for file in found.train.files] == NAMES["train"]
    assert found.test.references[1] == [f"a dog number {number} seen f" for number in range(5)]
    np.testing.assert_array_equal(found.test.features, [[16, 17, 18, 19], [20, 21, 22, 23]])
    assert found.train.features.dtype == np.float32


@pytest.mark.parametrize(
    ("file", "old", "new", "told"),
    [
        ("Flickr8k.token.txt", "b.jpg#3\t", "b.jpg#3 ", "line 9 "),
        ("Flickr8k.token.txt", "b.jpg#3\t", "b.jpg 3\t", "line 9 "),
        ("Flickr8k.token.txt", "b.jpg#3\t", "x.jpg#3\t", "5 captions of b.jpg"),
        ("Flickr_8k.trainImages.txt", "b.jpg\n", "", "2 pictures, not 3"),
        ("Flickr_8k.trainImages.txt", "b.jpg", "e.jpg", "e.jpg more than once"),
        ("Flickr_8k.testImages.txt", "e.jpg", "z.jpg", "5 captions of z.jpg"),
    ],
)
def test_damaged_text_is_refused(flickr, file, old, new, told):
    edit(flickr / captions.TEXT / file, old, new)
    with pytest.raises(StudyError, match=re.escape(told)) as error:
        data.load("captions", "official", flickr)
    assert str(flickr / captions.TEXT) in str(error.value) and "Remove" in str(error.value)


def test_text_that_is_missing_or_no_text_is_refused(flickr):
    path = flickr / captions.TEXT / "Flickr8k.token.txt"
    path.write_bytes(b"a.jpg#0\t\xff\xfe")
    with pytest.raises(StudyError, match="cannot be read"):
        data.load("captions", "official", flickr)
    path.unlink()
    with pytest.raises(StudyError, match=re.escape(str(path))):
        data.load("captions", "official", flickr)


FIT = {"features": np.zeros((6, 4), np.float16), "files": np.array(list("abcdef"))}


@pytest.mark.parametrize(
    "change",
    [
        {"features": np.zeros((6, 4), int)},
        {"features": np.zeros(6)},
        {"features": np.zeros((5, 4))},
        {"features": np.full((6, 4), np.nan)},
        {"files": np.arange(6)},
        {"files": np.array(list("abcdef"), dtype=object)},
        {"files": None},
    ],
    ids=["integers", "one axis", "count", "nan", "numbers", "pickle", "key"],
)
def test_features_of_another_kind_are_refused(flickr, change):
    np.savez(flickr / captions.FEATURES, **{name: array for name, array in (FIT | change).items() if array is not None})
    with pytest.raises(StudyError, match=r"squeezenet1_0\.npz .*Remove it.*make caption-features"):
        data.load("captions", "official", flickr)


def test_damaged_features_are_refused(flickr):
    path = flickr / captions.FEATURES
    good = path.read_bytes()
    flipped = bytearray(good)
    flipped[good.index(b"descr") + 200] ^= 255
    for content in (b"", good[:50], good[: len(good) // 2], bytes(flipped), b"\x93NUMPY" + good):
        path.write_bytes(content)
        with pytest.raises(StudyError, match=r"squeezenet1_0\.npz"):
            data.load("captions", "official", flickr)


def test_a_picture_without_features_is_named(flickr):
    np.savez(flickr / captions.FEATURES, **FIT)
    with pytest.raises(StudyError, match=r"no features of a\.jpg"):
        data.load("captions", "official", flickr)


def test_missing_features_bring_no_archive_but_a_command(flickr, monkeypatch):
    monkeypatch.setattr("data.fetch.download", lambda *file: pytest.fail(f"downloads {file}"))
    (flickr / captions.FEATURES).unlink()
    with pytest.raises(StudyError, match=r"make caption-features STUDY_DATA=") as error:
        data.load("captions", "official", flickr)
    assert str(flickr) in str(error.value)


def test_clean():
    assert clean("A man 's \"T-shirt\" , at&t ; a boy's 2 dogs .") == "a man 's t-shirt at&t a boy's 2 dogs"
    assert clean(" . , ! ") == ""


def small() -> captions.Captions:
    """Two training pictures, one of validation, one of test, with captions of their own length."""

    def split(*references: list[str]) -> captions.Split:
        features = np.arange(len(references) * 3, dtype=np.float32).reshape(-1, 3) ** 2
        return captions.Split([f"{i}.jpg" for i in range(len(references))], features, list(references))

    return captions.Captions(split(["a b a c", "b a"], ["a", "c"]), split(["b z"]), split(["z z z z z", ""]))


def test_words_as_the_course_has_them():
    found = encode(small(), min_count=2)
    assert found["idx_to_word"] == ["<NULL>", "<START>", "<END>", "<UNK>", "a", "b", "c"]
    assert found["word_to_idx"] == {word: index for index, word in enumerate(found["idx_to_word"])}
    wanted = [[1, 4, 5, 4, 6, 2], [1, 5, 4, 2, 0, 0], [1, 4, 2, 0, 0, 0], [1, 6, 2, 0, 0, 0]]
    assert found["train_captions"].tolist() == wanted and found["train_captions"].dtype == np.int32
    assert found["test_captions"].tolist() == [[1, 3, 3, 3, 3, 3], [1, 2, 0, 0, 0, 0]]
    assert found["train_image_idxs"].tolist() == [0, 0, 1, 1] and found["train_image_idxs"].dtype == np.int32
    assert encode(small(), min_count=2, max_length=2)["train_captions"].tolist()[0] == [1, 4, 5, 4]
    taken, features, urls = coco_utils.sample_coco_minibatch(found, 50, "train", np.random.default_rng(0))
    assert taken.shape == (50, 6) and set(urls) == {"0.jpg", "1.jpg"}
    np.testing.assert_array_equal(features, found["train_features"][(urls == "1.jpg").astype(int)])
    with pytest.raises(ValueError, match="split"):
        coco_utils.sample_coco_minibatch(found, split="none")


def test_features_are_standardized_by_the_training_pictures():
    whole = small()
    whole.train.features[:, 0] = 7  # constant: nothing to divide by
    found = encode(whole)
    mean = whole.train.features.mean(0)
    np.testing.assert_allclose(found["train_features"], [[0, -1, -1], [0, 1, 1]])
    np.testing.assert_allclose(found["val_features"][:, 1:], (whole.val.features - mean)[:, 1:] / [7.5, 10.5])
    assert found["train_features"].dtype == found["test_features"].dtype == np.float32


def test_characters():
    found = encode(small(), level="char", min_count=2)
    assert found["idx_to_word"][4:] == [" ", "a", "b", "c"]
    assert found["train_captions"][0].tolist() == [1, 5, 4, 6, 4, 5, 4, 7, 2]
    assert decode(found["train_captions"], found["idx_to_word"], "char") == ["a b a c", "b a", "a", "c"]
    assert decode(found["val_captions"], found["idx_to_word"], "char") == ["b <UNK>"]
    with pytest.raises(StudyError, match="word, char"):
        encode(small(), level="letters")


def test_nothing_is_learnt_from_validation_and_test():
    one, other = encode(small(), min_count=1), small()
    other.test.references[0][0] = "new words " * 50
    other.val.features[:] = 1e6
    two = encode(other, min_count=1)
    assert one["idx_to_word"] == two["idx_to_word"] == [*captions.SPECIAL, "a", "b", "c"]
    np.testing.assert_array_equal(one["train_features"], two["train_features"])
    assert one["test_captions"].shape[1] == two["test_captions"].shape[1] == one["train_captions"].shape[1]


def test_decode_stops_at_the_first_end():
    assert decode(np.array([[1, 4, 0, 5, 2, 4], [4, 3, 4, 4, 4, 4]]), [*captions.SPECIAL, "a", "b"]) == [
        "a b",
        "a <UNK> a a a a",
    ]


@pytest.mark.parametrize("level", ["word", "char"])
def test_the_twin_survives_encoding(level):
    twin = data.load("captions", "tiny")
    found = encode(twin, level)
    assert len(twin.train.files) == 300 and len(twin.val.files) == len(twin.test.files) == 50
    assert not set(twin.train.files) & set(twin.test.files)
    for name in captions.SPLITS:
        split = getattr(twin, name)
        assert split.features.shape == (len(split.files), 512) and split.features.dtype == np.float32
        assert found[f"{name}_captions"].shape[0] == 5 * len(split.files)
        assert decode(found[f"{name}_captions"], found["idx_to_word"], level) == list(chain(*split.references))


def test_the_twin_can_be_learnt():
    """A linear map from the training pictures' features finds color, thing, action and place of the test pictures."""
    twin = data.load("captions", "tiny")
    found = encode(twin)
    words = {word: index for index, word in enumerate(found["idx_to_word"])}

    def bags(split: captions.Split) -> np.ndarray:
        result = np.zeros((len(split.files), len(words)))
        for row, told in zip(result, split.references, strict=True):
            row[[words[word] for word in " ".join(told).split()]] = 1
        return result

    train, test = found["train_features"].astype(float), found["test_features"]
    weights = np.linalg.solve(train.T @ train + np.eye(512), train.T @ (bags(twin.train) - bags(twin.train).mean(0)))
    right = ((test @ weights + bags(twin.train).mean(0)) > 0.5) == bags(twin.test)
    assert right.mean() > 0.95
    assert ((bags(twin.train).mean(0) > 0.5) == bags(twin.test)).mean() < 0.91, "chance must be lower"


def test_the_real_set(real_data):
    whole = data.load("captions", "official", real_data)
    sizes = {"train": 6000, "val": 1000, "test": 1000}
    files = {name: set(getattr(whole, name).files) for name in sizes}
    assert {name: len(found) for name, found in files.items()} == sizes and len(set.union(*files.values())) == 8000
    assert all(len(told) == 5 for told in whole.train.references)
    assert not any("586949ec62.jpg.1" in file for file in set.union(*files.values()))
    word, char = encode(whole), encode(whole, "char")
    assert word["train_captions"].shape == (30_000, 17) and word["test_captions"].shape == (5000, 17)
    assert word["idx_to_word"][:7] == [*captions.SPECIAL, "a", "in", "the"] and len(word["idx_to_word"]) == 2540
    assert " " in char["word_to_idx"] and len(char["idx_to_word"]) < 50
    np.testing.assert_allclose(word["train_features"].mean(0), 0, atol=1e-4)
    assert word["train_features"].shape == (6000, 512)
    told = decode(char["val_captions"], char["idx_to_word"], "char")
    references = list(chain(*whole.val.references))
    whole_ones = [index for index, reference in enumerate(references) if len(reference) <= 80]
    assert len(whole_ones) > 4000 and all(told[index] == references[index] for index in whole_ones)


def test_the_real_features_are_reproduced(real_data, real_squeezenet):
    files = sorted((real_data / captions.PHOTOGRAPHS).glob("*.jpg"))[:6]
    if not files:
        pytest.skip("needs photographs below STUDY_DATA")
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    computed = caption_features.extract(caption_features.load_net(real_squeezenet), files, batch_size=4)
    torch.set_num_threads(before)
    known = captions.read_features(real_data)
    np.testing.assert_allclose(computed, np.stack([known[file.name] for file in files]), rtol=2e-3, atol=0.02)


def test_features_are_computed_and_read_back(flickr, monkeypatch):
    (flickr / captions.PHOTOGRAPHS).mkdir()
    for number, name in enumerate(ALL):
        Image.new("RGB", (90, 60), (40 * number, 100, 255 - 40 * number)).save(flickr / captions.PHOTOGRAPHS / name)
    weights = flickr / models.weight_file(caption_features.MODEL).path
    weights.parent.mkdir()
    torch.save(squeezenet1_0().state_dict(), weights)
    publish(monkeypatch, weights)
    good = weights.read_bytes()
    weights.write_bytes(b"damaged")
    downloads = []

    def download(name, file, root):
        downloads.append(file.path)
        weights.write_bytes(good)

    monkeypatch.setattr("data.fetch.download", download)
    caption_features.compute(flickr, force=True)
    assert downloads == [f"weights/{weights.name}"], "weights of another hash must be replaced, all else is there"
    found = data.load("captions", "official", flickr)
    assert found.train.features.shape == (3, 512) and (found.train.features[0] != found.train.features[1]).any()
    (flickr / captions.PHOTOGRAPHS / "c.jpg").unlink()
    with pytest.raises(StudyError, match=r"lacks 1 of 6 photographs, as c\.jpg"):
        caption_features.compute(flickr, force=True)
    for content in ({}, {"features.0.bias": torch.zeros(2)}):
        with pytest.raises(StudyError, match="does not fit squeezenet1_0"):
            caption_features.load_net(save_own(content, flickr / "other"))


def test_the_features_command_replaces_nothing_unasked(flickr, monkeypatch, capsys):
    before = (flickr / captions.FEATURES).read_bytes()
    monkeypatch.setattr("sys.argv", ["features", "--data-root", str(flickr)])
    assert caption_features.main() == 1
    assert re.search(r"squeezenet1_0\.npz is there already.*--force", capsys.readouterr().err)
    assert (flickr / captions.FEATURES).read_bytes() == before


def test_cocos_archive_unpacks_to_where_it_is_looked_for(tmp_path, monkeypatch):
    [file] = SOURCES["coco_captions"].files
    archive = tmp_path / file.path
    archive.parent.mkdir()
    with zipfile.ZipFile(archive, "w") as content:
        content.writestr("coco_captioning/coco2014_vocab.json", "{}")
    unpack(archive, file.unpack, tmp_path)
    monkeypatch.setenv("STUDY_DATA", str(tmp_path))
    missing = re.escape(str(tmp_path / "coco_captioning" / "coco2014_captions.h5"))
    with pytest.raises(StudyError, match=f"{missing}.*make data-coco-captions"):
        coco_utils.load_coco_data()


def test_without_cocos_files_flickr8k_or_its_twin_is_taken(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("STUDY_DATA", str(tmp_path))
    twin = data.load("captions", "tiny")
    monkeypatch.setattr(coco_utils, "load", lambda name, kind: twin)
    for kind in ("Flickr8k's captions", "Using generated data"):
        found = coco_utils.load_coco_data(max_train=5)
        assert kind in capsys.readouterr().out
        assert set(found) == {"idx_to_word", "word_to_idx"} | {
            f"{split}_{part}" for split in ("train", "val") for part in ("captions", "image_idxs", "features", "urls")
        }
        assert found["train_captions"].shape[0] == 5 and found["train_features"].shape[1] == 512
        monkeypatch.setattr(coco_utils, "load", lambda name, kind: twin if kind == "tiny" else missing())


def missing():
    raise StudyError("flickr8k: no network\nand more")


def test_coco_files_are_read(tmp_path, monkeypatch):
    h5py = pytest.importorskip("h5py")
    folder = tmp_path / "coco_captioning"
    folder.mkdir()
    rng = np.random.default_rng(0)
    arrays = {}
    for split, count in (("train", 9), ("val", 4)):
        arrays[f"{split}_captions"] = rng.integers(0, 6, (count, 17), dtype=np.int32)
        arrays[f"{split}_image_idxs"] = rng.integers(0, 3, count, dtype=np.int32)
        for ending, size in (("_pca", 512), ("", 4096)):
            with h5py.File(folder / f"{split}2014_vgg16_fc7{ending}.h5", "w") as file:
                file["features"] = np.full((3, size), count, np.float32)
        (folder / f"{split}2014_urls.txt").write_text("https://a\nhttps://b\nhttps://c\n")
    with h5py.File(folder / "coco2014_captions.h5", "w") as file:
        for name, array in arrays.items():
            file[name] = array
    (folder / "coco2014_vocab.json").write_text(json.dumps({"idx_to_word": ["a"], "word_to_idx": {"a": 0}}))
    monkeypatch.setenv("STUDY_DATA", str(tmp_path))
    found = coco_utils.load_coco_data()
    assert found["train_features"].shape == (3, 512) and found["val_urls"].tolist()[1] == "https://b"
    assert all((found[name] == array).all() for name, array in arrays.items())
    assert coco_utils.load_coco_data(folder, pca_features=False)["val_features"].shape == (3, 4096)
    more = coco_utils.load_coco_data(folder, max_train=20)
    assert more["train_captions"].shape == (20, 17) and more["train_image_idxs"].shape == (20,)
    (folder / "coco2014_captions.h5").write_bytes(b"no HDF5")
    with pytest.raises(StudyError, match=r"coco2014_captions\.h5 cannot be read"):
        coco_utils.load_coco_data()
    monkeypatch.setitem(sys.modules, "h5py", None)
    with pytest.raises(StudyError, match="pip install h5py"):
        coco_utils.load_coco_data()


def test_load_image(tmp_path):
    pixels = np.random.default_rng(0).integers(0, 256, (40, 60, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(tmp_path / "a.png")
    found = image_utils.load_image(tmp_path / "a.png")
    np.testing.assert_array_equal(found, pixels)
    assert found.dtype == np.uint8 and found.flags.writeable
    assert image_utils.load_image(str(tmp_path / "a.png"), size=20).shape == (20, 30, 3)
    assert image_utils.load_image(tmp_path / "a.png", size=80).shape == (80, 120, 3)
    Image.fromarray(pixels[..., 0]).save(tmp_path / "gray.png")
    assert image_utils.load_image(tmp_path / "gray.png").shape == (40, 60, 3)
    with pytest.raises(ValueError, match="size"):
        image_utils.load_image(tmp_path / "a.png", size=0)
    (tmp_path / "a.png").write_bytes(b"no picture")
    with pytest.raises(StudyError, match=r"a\.png"):
        image_utils.load_image(tmp_path / "a.png")


def png() -> bytes:
    buffer = io.BytesIO()
    Image.new("RGB", (6, 4), (10, 20, 30)).save(buffer, "PNG")
    return buffer.getvalue()


class Answers(http.server.BaseHTTPRequestHandler):
    """One answer for each path."""

    def do_GET(self):
        kind = self.path.strip("/")
        if kind in ("http", "ftp", "https"):
            self.send_response(302)
            target = "/good" if kind == "https" else f"{kind}://{self.headers['Host']}/good"
            self.send_header("Location", target)
            self.end_headers()
            return
        if kind == "missing":
            self.send_error(404)
            return
        body = {"good": png(), "text": b"<html>", "cut": png()[:-5], "big": bytes(3000), "slow": png()}[kind]
        self.send_response(200)
        self.send_header("Content-Length", str(len(png()) if kind == "cut" else len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *arguments):
        pass


@pytest.fixture
def site(monkeypatch):
    """The address of a local server; https goes to it without encryption, all else as always."""

    class Plain(urllib.request.AbstractHTTPHandler):
        def https_open(self, request):
            return self.do_open(http.client.HTTPConnection, request)

    monkeypatch.setattr(urllib.request, "HTTPSHandler", Plain)
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Answers)
    threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
    yield f"https://127.0.0.1:{server.server_address[1]}"
    server.shutdown()
    server.server_close()


def test_image_from_url(site):
    for path in ("good", "https"):
        found = image_utils.image_from_url(f"{site}/{path}")
        assert found.shape == (4, 6, 3) and found.dtype == np.uint8 and (found == [10, 20, 30]).all()


@pytest.mark.parametrize(
    ("path", "told"),
    [
        ("missing", "404"),
        ("http", "only https will do, not http://"),
        ("ftp", "only https will do, not ftp://"),
        ("cut", "cut before the end"),
        ("big", "more than 0 MB"),
        ("slow", "not finished after -1 s"),
        ("text", "not a readable picture"),
    ],
)
def test_what_an_address_must_not_do(site, path, told, monkeypatch, capsys):
    monkeypatch.setattr(image_utils, "LARGEST", 2000)
    monkeypatch.setattr(image_utils, "PATIENCE", -1 if path == "slow" else 60)
    assert image_utils.image_from_url(f"{site}/{path}") is None
    [line] = capsys.readouterr().out.splitlines()
    assert told in line and f"{site}/{path}" in line


@pytest.mark.parametrize("url", ["http://a.example/b.png", "file:///etc/passwd", "https://", "https://a b/c"])
def test_other_addresses_are_refused(url, capsys):
    assert image_utils.image_from_url(url) is None and "could not be downloaded" in capsys.readouterr().out


def test_a_photograph_that_is_not_there_is_a_card_with_its_name(tmp_path):
    Image.new("RGB", (6, 4), "red").save(tmp_path / "a.png")
    assert image_utils.image_from_url(str(tmp_path / "a.png")).shape == (4, 6, 3)
    missing = image_utils.image_from_url(str(tmp_path / "brown cat.jpg"))
    assert missing.shape == (192, 256, 3) and missing.std() > 10  # something is written on it
