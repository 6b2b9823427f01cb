"""The captioning study on its tiny twin, and its measures."""

import json

import numpy as np
import pytest
from PIL import Image

from data import load
from data.captions import Split, encode
from from_scratch.studies import captioning
from tests.programs import STUDIES


@pytest.mark.slow
def test_the_study_runs_on_its_twin(tmp_path_factory):
    folder, _ = STUDIES["captioning"].shared_study(tmp_path_factory)
    summary = json.loads((folder / "summary.json").read_text())
    tables = {name: table["rows"] for name, table in summary["tables"].items()}
    # Central differences of a loss of 2 at h = 1e-6 are rounded to eps 2 / h = 5e-10, of gradients from 1.6e-3 up.
    for row, wanted in zip(tables["loss and gradients"], (9.83235591003, 9.82445935443), strict=True):
        assert row[1] == pytest.approx(wanted, abs=1e-10) and row[3] < 2e-6
    assert [row[4] for row in tables["temporal softmax loss"]] == [pytest.approx(v, rel=0.05) for v in (2.3, 23, 2.3)]
    assert [row[0] for row in tables["captioners"]] == [
        "commonest caption", "rnn words", "lstm words", "transformer words", "lstm characters"
    ]  # fmt: skip
    assert summary["chance"]["test/bleu"] == summary["metrics"]["commonest caption/test_bleu"] > 5
    figures = {path.stem for path in (folder / "figures").iterdir()}
    assert figures == {"training_captions", "overfit", "overfit_samples", "test_captions", "validation_loss"}
    record = (folder / "captioners" / "lstm words" / "metrics.jsonl").read_text().splitlines()
    assert json.loads(record[-1])["loss/val"] < json.loads(record[0])["loss/val"]


def test_bleu_knows_right_from_wrong():
    references = [["a black dog runs home", "the dog runs"], ["two men sit on a bench", "men on a bench"]]
    assert captioning.bleu(["a black dog runs home", "two men sit on a bench"], references) == pytest.approx(100)
    assert captioning.bleu(["the cat", "the cat"], references) < 10
    half = captioning.bleu(["a black dog runs home", "a dog swims in the sea"], references)
    assert 20 < half < 80


@pytest.mark.parametrize("kind", ["rnn", "transformer"])
@pytest.mark.parametrize("level", ["word", "char"])
def test_bits_of_a_captioner_that_knows_nothing(kind, level):
    """Every token costs log2 V then, so the bits for a character are those of all tokens over all characters."""
    twin = load("captions", "tiny")
    data = encode(twin, level)
    net = captioning.build(kind, data, 8, 8, np.random.default_rng(0))
    for name in net.params:
        net.params[name] = np.zeros_like(net.params[name])
    texts = [text for references in twin.val.references for text in references]
    tokens = np.mean([len(text.split() if level == "word" else text) + 1 for text in texts])
    wanted = tokens * np.log2(len(data["idx_to_word"])) / np.mean([len(text) + 1 for text in texts])
    assert captioning.bits_per_character(net, data, twin.val, level) == pytest.approx(wanted, rel=1e-5)


def test_captions_stand_below_their_pictures(tmp_path):
    Image.new("RGB", (60, 40), "red").save(tmp_path / "red.png")
    figure = captioning.captioned([str(tmp_path / "red.png"), "a scene"], ["one\ntwo", "three"])
    first, second = figure.axes
    assert first.images[0].get_array().shape == (224, 224, 3) and first.get_xlabel() == "one\ntwo"
    assert not second.images and second.texts[0].get_text() == "a scene"
    split = Split([str(tmp_path / "red.png"), "gone.png"], np.zeros((2, 1)), [["a"], ["b"]])
    assert captioning.present(split) == [0]
    assert captioning.present(Split(["x", "y"], np.zeros((2, 1)), [["a"], ["b"]])) == [0, 1]
