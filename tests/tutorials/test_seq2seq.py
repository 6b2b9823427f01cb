"""The GRU that translates: padding never counts, decoding finds what it should, whole runs on the twin."""

import itertools
import json
import math
import re
import shutil
from functools import partial
from types import SimpleNamespace

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from PIL import Image

import data
from data import StudyError, eng_fra
from data.parallel import Pairs
from tests import programs
from tests.text.translators import KINDS, LANGUAGES, PAIRS
from tests.text.translators import gru as build
from tutorials import seq2seq
from tutorials.common import plots
from tutorials.seq2seq import collate
from tutorials.text import decoding
from tutorials.text import translation_metrics as scores
from tutorials.text.pairs import encode, leave_out_long
from tutorials.text.translator import Translator
from tutorials.text.vocabulary import BOS, EOS, PAD, UNK

PROGRAM = programs.SEQ2SEQ
run = PROGRAM.run

# The pairs


def test_a_sentence_is_normalized_as_the_original_does():
    texts = {"Ça alors\u202f!": "ca alors !", "J'ai 20 ans.": "j ai ans", "L’œuf… coûte 3 €?!": "l uf coute ? !",
             "": "", "ÎLE\tÉtÉ": "ile ete", "?": "?", "x . y": "x y", "日本 a̐éö̲\nb": "aeo b"}  # fmt: skip
    assert {text: seq2seq.normalize(text) for text in texts} == texts


def test_the_originals_filter():
    pairs = Pairs(("je suis la", "j etais la", "a b c d e f g h i j"), ("i m here", "i was here", "i m here"))
    assert seq2seq.filter_pairs(pairs) == pairs.part([0])


def test_the_filter_keeps_as_many_real_pairs_as_published(real_data):
    pairs = eng_fra.official(real_data)
    plain = Pairs(tuple(map(seq2seq.normalize, pairs.source)), tuple(map(seq2seq.normalize, pairs.target)))
    kept = seq2seq.filter_pairs(plain)
    words = [len({word for text in side for word in text.split(" ")}) + 2 for side in (kept.source, kept.target)]
    assert (len(kept), *words) == (11_445, 4_601, 2_991)  # the original counts its two specials as words


# The net


def test_the_net_has_the_originals_parameters():
    net = seq2seq.Seq2Seq(4601, 2991, seq2seq.Seq2SeqOptions())
    sizes = [sum(weight.numel() for weight in part.parameters()) for part in (net.encoder, net.decoder)]
    assert sizes == [688_000, 950_064]


def test_bahdanaus_loop_is_attention_and_a_gru_step_by_step():
    net, H = build(), 6
    decoder = net.decoder
    source, lengths = torch.tensor([[4, 5, 6, 7], [8, 9, PAD, PAD]]), torch.tensor([4, 2])
    inputs = torch.tensor([[BOS, 4, 5], [BOS, 6, 7]])
    hidden, memory = net.start_decoding(source, lengths)
    outputs, last, looks = decoder(inputs, hidden, memory)
    read, _ = net.encoder(source, lengths)
    for row, length in enumerate(lengths.tolist()):
        state, words = hidden[row], read[row, :length]
        for t in range(3):
            energies = decoder.energy((decoder.query(state) + decoder.key(words)).tanh())[:, 0]
            look = energies.softmax(0)
            state = decoder.cell(torch.cat([decoder.embedding(inputs[row, t]), look @ words]), state)
            assert torch.allclose(outputs[row, t], state, atol=1e-12)
            assert torch.allclose(looks[row, t, :length], look, atol=1e-12) and (looks[row, t, length:] == 0).all()
        assert torch.allclose(last[row], state, atol=1e-12) and state.shape == (H,)


def test_the_originals_padding_does_count():
    net, pairs, width = build(count_padding=True), encode(PAIRS, LANGUAGES), (7, 9)
    source, lengths, _, target = collate(pairs[1:2], width)
    assert lengths.tolist() == [7] == [source.shape[1]] and target.shape == (1, 9) and (target == PAD).sum() == 0
    source, lengths, inputs, target = collate(pairs[2:3], width)
    everywhere = torch.ones_like(target, dtype=torch.bool)
    assert net(source, lengths, inputs, everywhere).shape == (9, 13)
    short = collate(pairs[2:3])
    real = target != PAD
    assert not torch.allclose(net(source, lengths, inputs, real), net(*short[:3], short[3] != PAD))
    read = Translator(net, LANGUAGES, 9, padded_to=7).batches(PAIRS.source)
    assert all(map(torch.equal, next(read), collate(pairs, width)[:2]))  # as in training, when asked for


def test_what_a_batch_holds():
    source, lengths, inputs, target = collate(encode(PAIRS, LANGUAGES)[2:])
    assert source.tolist() == [[6, 6, EOS, PAD, PAD], [9, 4, 5, 4, EOS]] and lengths.tolist() == [3, 5]
    assert target.tolist() == [[12, EOS, PAD, PAD], [5, 4, 5, EOS]]
    assert inputs.tolist() == [[BOS, 12, EOS, PAD], [BOS, 5, 4, 5]]


def test_longer_pairs_are_left_out_with_a_message():
    told = []
    run = SimpleNamespace(options=SimpleNamespace(longest=5), say=told.append)
    assert leave_out_long(run, PAIRS, LANGUAGES) == PAIRS.part([2, 3])
    assert told == ["2 training pairs have more than 5 tokens: left out"]
    run.options.longest = 2
    with pytest.raises(StudyError, match=r"--longest 2: .* Give at least 3"):
        leave_out_long(run, PAIRS, LANGUAGES)


def test_word_dropout_replaces_some_words_and_no_specials():
    torch.manual_seed(0)
    tokens = torch.randint(0, 9, (400, 8))
    dropped = seq2seq.word_dropout(tokens, 0.3)
    changed = dropped != tokens
    assert (dropped[changed] == UNK).all() and 0.25 < changed.sum() / (tokens > UNK).sum() < 0.35
    assert torch.equal(seq2seq.word_dropout(tokens, 0.0), tokens)


@pytest.mark.parametrize("kind", KINDS)
def test_without_teacher_forcing_the_decoder_reads_what_it_wrote(kind):
    net = build(kind)
    source, lengths, inputs, target = collate(encode(PAIRS, LANGUAGES)[:2])
    real = torch.ones_like(target, dtype=torch.bool)
    free = net(source, lengths, inputs, real, forced=False).unflatten(0, target.shape)
    own = F.pad(free.argmax(-1), (1, -1), value=BOS)
    assert torch.allclose(net(source, lengths, own, real).unflatten(0, target.shape), free, atol=1e-12)
    assert not torch.allclose(net(source, lengths, inputs, real).unflatten(0, target.shape), free)


# Decoding


def all_sentences(net, source: str, limit: int) -> dict[tuple[int, ...], float]:
    """log p of every sentence that ends within the limit, by teacher forcing."""
    numbers = torch.tensor([LANGUAGES[0].encode(source)])
    state = net.start_decoding(numbers, torch.tensor([numbers.shape[1]]))
    told = {}
    for length in range(limit):
        for words in itertools.product(range(UNK + 1, 13), repeat=length):
            outputs, _, _ = net.decoder(torch.tensor([[BOS, *words]]), *state)
            steps = net.score(outputs)[0].log_softmax(-1)
            told[words] = float(sum(steps[t, word] for t, word in enumerate([*words, EOS])))
    return told


@pytest.mark.parametrize("alpha", [0.0, 1.0])
@torch.no_grad()
def test_a_wide_beam_finds_the_best_of_all_sentences(alpha):
    net = build("luong")
    net.decoder.out.bias[EOS] += 0.7
    translator = Translator(net, LANGUAGES, limit=3)
    for source in PAIRS.source[:2]:
        told = all_sentences(net, source, 3)
        best = max(told, key=lambda words: told[words] / (len(words) + 1) ** alpha)
        [found] = translator([source], width=120, alpha=alpha)
        assert found == LANGUAGES[1].decode(best)


@torch.no_grad()
def test_the_hypotheses_are_sentences_with_their_probabilities():
    net = build("luong")
    net.decoder.out.bias[EOS] += 0.7
    translator = Translator(net, LANGUAGES, limit=3)
    sources = PAIRS.source[:2]
    sizes = dict(width=999, count=999), dict(width=3, count=4)
    wide, few = (translator.search(sources, partial(decoding.hypotheses, **size)) for size in sizes)
    for source, all_ends, ends in zip(sources, wide, few, strict=True):
        told = all_sentences(net, source, 3)
        assert {tuple(words): pytest.approx(log_p, abs=1e-5) for log_p, words in all_ends} == told
        assert 4 <= len(ends) < 7 and ends[0][0] == pytest.approx(told[tuple(ends[0][1])], abs=1e-5)
        assert len({tuple(words) for _, words in ends}) == len(ends)


def test_minimum_bayes_risk_chooses_what_agrees_with_the_others(monkeypatch):
    """The likeliest sentence has nothing in common with any other; three others are nearly the same."""
    texts = ["B B B B", "A C D E F", "A C D E G", "A C D E"]
    p = np.array([0.4, 0.2, 0.2, 0.1])
    found = [(math.log(one), LANGUAGES[1].encode(text)[:-1]) for one, text in zip(p, texts, strict=True)]
    translator = Translator(build("none"), LANGUAGES, limit=9)
    monkeypatch.setattr(translator, "search", lambda sources, search: [found, found[:1]])
    bleu = scores.make_bleu([[text] for text in texts], effective_order=True)
    expected = [sum(p[k] ** 0.25 * bleu.sentence_score(text, [texts[k]]).score for k in range(4)) for text in texts]
    assert translator.minimum_bayes_risk(["", ""], 8) == [texts[int(np.argmax(expected))], "B B B B"] != texts[:1] * 2


@pytest.mark.parametrize("kind", KINDS)
@torch.no_grad()
def test_batched_decoding_gives_what_one_by_one_gives(kind):
    torch.manual_seed(1)
    net = build(kind)
    for weight in net.parameters():
        weight.mul_(4)  # so that sentences differ, and end at different times
    net.decoder.out.bias[EOS] += 4
    rng = np.random.default_rng(0)
    sources = [" ".join(rng.choice(list("abcdefg"), rng.integers(1, 8))) for _ in range(40)]
    translator = Translator(net, LANGUAGES, limit=9)
    texts = set()
    assert translator(sources) == seq2seq.greedy_decode(translator, sources)
    for width in (1, 2, 4):
        together = translator(sources, width)
        assert together == [translator([source], width)[0] for source in sources]
        texts.update(together)
    assert len({len(text.split()) for text in texts}) > 2 and len(texts) > 5
    assert translator([]) == [] == translator([], 3)
    numbers, lengths = next(translator.batches(sources))
    state, memory = net.start_decoding(numbers, lengths)
    limits = torch.arange(40) % 7 + 1
    one = decoding.beam(net.step, state, memory, limits, 1)
    assert one == decoding.greedy(net.step, state, memory, limits)
    assert all(len(row) <= limit for row, limit in zip(one, limits.tolist(), strict=True))
    assert not {PAD, BOS, EOS, UNK} & {word for row in one for word in row}


def test_states_of_any_form_are_selected():
    x = torch.arange(6).view(3, 2)
    tree = decoding.select({"a": [x, (x, None)]}, torch.tensor([2, 0]))
    assert tree["a"][0].tolist() == [[4, 5], [0, 1]] == tree["a"][1][0].tolist() and tree["a"][1][1] is None


# Whole runs


def test_the_study_recipe_learns_the_twin_and_leaves_everything(study):
    folder, printed = study
    summary = json.loads((folder / "summary.json").read_text())
    metrics = summary["metrics"]
    assert metrics["test/bleu"] > 80 and metrics["test/exact_match"] > 0.6 and metrics["test/chrf"] > 80
    assert metrics["test/greedy_bleu"] > 80 and metrics["test/loss"] < 1 and summary["chance"]["test/bleu"] < 20
    assert "1,500 pairs: 1,200 train, 150 val, 150 test" in printed and "tok:13a" in printed
    assert len(re.findall(r"^> .*\n= .*\n< ", printed, re.M)) == 10
    assert {"word_loss/train", "bleu/val"} <= set(plots.read_curves(folder / "metrics.jsonl"))


def test_the_originals_protocol_counts_padding_and_tells_both_losses(tmp_path):
    argv = ["--recipe", "original", "--epochs", "2", "--hidden-size", "16", "--log-every", "10"]
    code, printed = run(tmp_path / "original", *argv)
    assert code == 0, printed
    summary = json.loads((tmp_path / "original" / "summary.json").read_text())
    metrics = summary["metrics"]
    assert metrics["train/nll_padded"] < metrics["train/nll"] and "train/bleu" in metrics and "test/bleu" not in metrics
    assert {"train/padded_bleu", "train/padded_chrf", "train/padded_exact_match"} <= metrics.keys()
    assert seq2seq.PUBLISHED == {"train/nll_padded": 0.0291}
    assert "1,500 pairs: 1,500 train\n" in printed


def test_your_own_sentence(study, tmp_path):
    folder = shutil.copytree(study[0], tmp_path / "copy")
    code, printed = run(folder, "--text", "Je ne suis pas fatiguée !")
    assert code == 0 and printed.startswith("unknown to the net") and "!" in printed.splitlines()[0]
    code, printed = run(folder, "--text", "Je suis en train d'acheter une voiture verte.", "--figure")
    assert code == 0 and printed.splitlines()[0] == "i m buying a green car"
    assert re.search(r"^  car +voiture 0\.\d\d", printed, re.M), printed
    assert np.asarray(Image.open(folder / "figures" / "translation.png").convert("L")).std() > 5
    for text, told in (("", "has no words"), (" 123 ", "has no words"), ("xyzzy", "no word of 'xyzzy' is known")):
        code, printed = run(folder, "--text", text)
        assert code == 1 and told in printed and "Traceback" not in printed


def test_your_own_pairs_in_subwords(tmp_path):
    twin = data.load("multi30k", "tiny").train
    table = tmp_path / "own.tsv"
    table.write_text("\n".join("\t".join(pair) for pair in zip(twin.source[:300], twin.target[:300], strict=True)))
    argv = ["--epochs", "1", "--hidden-size", "16", "--attention", "luong", "--subwords", "300"]
    code, printed = run(tmp_path / "own", "--pairs", str(table), *argv)
    assert code == 0 and "300 pairs: 240 train, 30 val, 30 test" in printed, printed
    summary = json.loads((tmp_path / "own" / "summary.json").read_text())
    assert summary["options"]["pairs"] == str(table) and summary["published"] == {}
    code, printed = run(tmp_path / "own", "--text", "Ein Mann schläft.")
    assert code == 0 and "attention weights" in printed


@pytest.mark.slow
def test_the_real_pairs_are_learnt(real_data, tmp_path):
    argv = [
        "--data",
        "official",
        "--data-root",
        str(real_data),
        "--hidden-size",
        "48",
        "--attention",
        "luong",
        "--beam",
        "1",
    ]
    argv += ["--epochs", "2", "--lr", "0.005", "--dropout", "0.1", "--output-dropout", "0", "--word-dropout", "0"]
    code, printed = run(tmp_path / "real", *argv)
    assert code == 0 and "11,445 pairs: 9,445 train, 1,000 val, 1,000 test" in printed, printed
    summary = json.loads((tmp_path / "real" / "summary.json").read_text())
    assert summary["metrics"]["test/bleu"] > 1.5 * summary["chance"]["test/bleu"]
