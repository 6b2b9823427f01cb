"""nn.Transformer that translates: padding and later words never count, cached decoding is decoding, whole runs."""

import json
import re
import shutil

import numpy as np
import pytest
import torch
from PIL import Image

import data
from tests import programs
from tests.text.translators import LANGUAGES, PAIRS, loss_and_gradients
from tests.text.translators import transformer as build
from tutorials import translation
from tutorials.common import plots
from tutorials.text.pairs import Batches, encode, encode_with_dropout, swap_half
from tutorials.text.translator import Translator, load_translator
from tutorials.text.vocabulary import BOS, EOS, PAD, Subwords, Words, from_json
from tutorials.tools import race_translation
from tutorials.translation import collate

PROGRAM = programs.TRANSLATION
run = PROGRAM.run


# The net and its data


def test_the_net_has_the_originals_parameters():
    options = translation.TranslationOptions(**translation.RECIPES["original"])
    with torch.device("meta"):
        net = translation.Translation(19_214, 10_837, options)
        core = sum(weight.numel() for weight in net.transformer.parameters())
    total = sum(weight.numel() for weight in net.parameters())
    assert (core, total) == (12_624_896, 33_570_389)  # about 12.6 M and 33.6 M are told of the original
    assert total - core == (19_214 + 10_837) * 512 + 10_837 * 513


def test_half_precision_changes_the_loss_and_its_gradients_but_little():
    net, batch = build().float(), collate(encode(PAIRS, LANGUAGES))
    loss, gradients = loss_and_gradients(net, batch)
    with torch.autocast("cpu", torch.bfloat16):
        rounded, near = loss_and_gradients(net, batch)
    assert loss != rounded and abs(loss - rounded) < 0.01 * loss
    lengths = [(whole - half).norm() / whole.norm() for whole, half in zip(gradients, near, strict=True)]
    assert max(lengths) < 0.1, max(lengths)


@torch.no_grad()
def test_a_later_word_changes_no_earlier_score():
    net, inputs = build().eval(), torch.tensor([[BOS, 4, 5, 6, 7]])
    source, lengths, every = torch.tensor([[4, 5, EOS]]), torch.tensor([3]), torch.ones(1, 5, dtype=torch.bool)
    before = net(source, lengths, inputs, every)
    changed = net(source, lengths, inputs.masked_fill(inputs == 6, 9), every)
    assert torch.equal(before[:3], changed[:3]) and not torch.allclose(before[3:], changed[3:])


@pytest.mark.parametrize("norm_first", [False, True])
@torch.no_grad()
def test_cached_batched_decoding_is_the_originals_one_by_one(norm_first, capsys):
    net = build(norm_first=norm_first)
    for weight in net.parameters():
        weight.mul_(3)  # so that sentences differ
    translator = Translator(net, LANGUAGES, limit=9)
    rng = np.random.default_rng(0)
    sources = [" ".join(rng.choice(list("abcdefg"), rng.integers(1, 8))) for _ in range(30)]
    together = translator(sources)
    assert together == [translation.greedy_decode(translator, source) for source in sources]
    assert len(set(together)) > 5
    for width in (2, 4):
        assert translator(sources, width) == [translator([source], width)[0] for source in sources]
    assert race_translation.race(translator, sources) > 2
    assert "; 30 translations are the same" in capsys.readouterr().out
    numbers, lengths = next(translator.batches(sources))
    looks = net.attention_by_head(numbers, lengths, numbers[:, :4])
    assert looks.shape == (30, 2, 3, 4, numbers.shape[1]) and torch.allclose(looks.sum(4), torch.ones(()).double())
    assert (looks.transpose(1, 4)[numbers == PAD] == 0).all()


def test_batches_hold_pairs_of_about_one_length_and_differ_from_epoch_to_epoch():
    twin = data.load("multi30k", "tiny").train
    words = Words.build(twin.source), Words.build(twin.target)
    pairs = encode(twin, words)
    batches = Batches(pairs, 32, seed=3)
    assert len(batches) == len(twin) // 32 == 62
    first, again = [batches.rows.clone() for _ in (0, 1) if batches.set_epoch(0) is None]
    assert torch.equal(first, again) and len(first.unique()) == 62 * 32
    batches.set_epoch(1)
    assert not torch.equal(first, batches.rows)
    targets = [collate(batches[number])[3] for number in range(62)]
    filled = sum(int((target != PAD).sum()) for target in targets)
    assert filled / sum(target.numel() for target in targets) > 0.9
    assert filled / collate(pairs)[3].numel() < 0.9


def test_bpe_dropout_cuts_the_same_text_otherwise_in_each_epoch():
    twin = data.load("multi30k", "tiny").train
    subwords = Subwords.learn(twin.source + twin.target, 300)
    languages = subwords, subwords
    batches = Batches(
        encode(twin, languages), 32, draw=lambda epoch, seed: encode_with_dropout(twin, languages, 0.2, seed)
    )
    first, again, other = [batches.pairs for epoch in (0, 0, 1) if batches.set_epoch(epoch) is None]
    assert len(first) == len(twin)
    for side, texts in enumerate((twin.source, twin.target)):
        rows = [[sides[side].tolist() for sides in pairs] for pairs in (first, again, other)]
        assert rows[0] == rows[1] != rows[2]
        assert [subwords.decode(row) for row in rows[0]] == list(texts)
        plain = [subwords.encode(text) for text in texts]
        assert 1.1 < sum(map(len, rows[0])) / sum(map(len, plain)) < 3
        assert subwords.encode_with_dropout(texts, 0.0, 1) == plain


def test_half_of_the_pairs_are_swapped_at_random():
    pairs = [(torch.tensor([i, EOS]), torch.tensor([1000 + i, EOS])) for i in range(1000)]
    swapped = [bool(source[0] >= 1000) for source, _ in swap_half(pairs, 3)]
    assert 400 < sum(swapped) < 600 and swapped[:500] != swapped[500:]
    for pair, new, swap in zip(pairs, swap_half(pairs, 3), swapped, strict=True):
        assert new[swap] is pair[0] and new[not swap] is pair[1]
    assert swapped != [bool(source[0] >= 1000) for source, _ in swap_half(pairs, 4)]


def test_whole_words_give_back_the_text_as_it_was_written():
    texts = ["Ein Hund läuft.", "Zwei Männer (alt) sitzen; einer schläft!"]
    words = Words.build(texts)
    again = from_json(json.loads(json.dumps(words.to_json())))
    for text in texts:
        assert again.decode(again.encode(text)) == text
    assert again.unknown("Ein Hund bellt.") == ["▁bellt"] and len(again) == len(words) == 4 + 14


# Whole runs


def test_the_study_recipe_learns_the_twin_and_leaves_everything(study):
    folder, printed = study
    summary = json.loads((folder / "summary.json").read_text())
    metrics = summary["metrics"]
    assert metrics["test/bleu"] > 85 and metrics["test/chrf"] > 85 and metrics["test/exact_match"] > 0.5
    assert summary["chance"]["test/bleu"] < 20 and metrics["val/loss"] < 1
    assert "2,000 pairs to train on, 100 pairs to validate, 100 pairs to test with" in printed and "tok:13a" in printed
    assert "bleu/val" in plots.read_curves(folder / "metrics.jsonl")


def test_the_attention_follows_the_verb_to_the_end_of_its_clause(study):
    translator, _ = load_translator(study[0] / "best.safetensors", "translation", translation.Translation)
    german = "Ein alter Mann, der einen roten Ball trägt, singt im Park."
    assert translator([german]) == ["An old man who carries a red ball sings in the park."]
    net, (read, write) = translator.net.eval(), translator.languages
    english = translator([german])[0]
    looks = net.attention_by_head(*translator.encode(german, english))[0].amax((0, 1))  # of the head that looks hardest
    verb = next(i for i, piece in enumerate(read.cut(german)) if piece.startswith("▁tr"))
    carries = next(i for i, piece in enumerate(write.cut(english)) if piece.startswith("▁carr"))
    assert looks[carries, verb] > 0.3  # which stands three words further on than in English


def test_your_own_sentence(study, tmp_path):
    folder = shutil.copytree(study[0], tmp_path / "copy")
    code, printed = run(folder, "--text", "Ein roter Hund sieht einen Ball.", "--figure")
    assert code == 0 and re.match(r"A red dog sees a .*\.\n", printed) and "attention weights" in printed
    assert np.asarray(Image.open(folder / "figures" / "translation.png").convert("L")).std() > 5
    for text, told in (("", "has no words"), ("東京", "no word of '東京' is known")):
        code, printed = run(folder, "--text", text)
        assert code == 1 and told in printed and "Traceback" not in printed


def test_your_own_files_by_the_original_recipe(tmp_path):
    twin = data.load("multi30k", "tiny").train
    source, target = tmp_path / "own.de", tmp_path / "own.en"
    source.write_text("\n".join(twin.source[:300]))
    target.write_text("\n".join(twin.target[:300]))
    argv = ["--source", str(source), "--target", str(target), "--recipe", "original", *programs.TRANSFORMER]
    code, printed = run(tmp_path / "own", *argv, "--epochs", "2", "--lr", "0.01")
    assert code == 0 and "240 pairs to train on, 30 pairs to validate, 30 pairs to test with" in printed, printed
    losses = plots.read_curves(tmp_path / "own" / "metrics.jsonl")["loss/val"][1]
    words = [set(re.findall(r"\w+|[^\w\s]", " ".join(side[:300]))) for side in (twin.source, twin.target)]
    sizes = map(int, re.search(r"(\d+) tokens of the source language, (\d+) of the target", printed).groups())
    assert losses[1] < losses[0] and all(10 < size <= len(side) + 4 for size, side in zip(sizes, words, strict=True))


@pytest.mark.slow
def test_the_real_pairs_are_learnt(real_data, tmp_path):
    pairs = data.load("multi30k", "official", real_data)
    assert list(map(len, vars(pairs).values())) == [29_000, 1_014, 1_000]
    for side in ("de", "en"):
        sentences = (pairs.train.source if side == "de" else pairs.train.target)[:3000]
        (tmp_path / f"part.{side}").write_text("\n".join(sentences))
    files = ["--source", str(tmp_path / "part.de"), "--target", str(tmp_path / "part.en"), "--subwords", "1000"]
    sizes = ["--d-model", "64", "--dim-feedforward", "128", "--layers", "1"]
    training = ["--batch-size", "32", "--epochs", "3", "--warmup-steps", "20"]
    code, printed = run(tmp_path / "real", *files, *sizes, *training)
    assert code == 0, printed
    summary = json.loads((tmp_path / "real" / "summary.json").read_text())
    assert summary["metrics"]["test/bleu"] > 1.5 * summary["chance"]["test/bleu"]
