"""The names tutorial: its cells against torch's, batches against single names, whole runs on the twin."""

import json
import re
import sys

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

import data
from data.names import MARKS
from tests import programs
from tutorials import char_rnn
from tutorials.char_rnn import CharRNN, LinearRNN, NamesDataset, NamesOptions, encode
from tutorials.common import checkpoint, plots
from tutorials.text.char_ngrams import CharNgrams
from tutorials.tools import race_names

PROGRAM = programs.NAMES
run = PROGRAM.run

NAMES = ("Satoshi", "Li", "O'Neal", "Schmidhuber", "X", "van der Berg")


def net_of(cell: str, **options) -> CharRNN:
    torch.manual_seed(0)
    return CharRNN(NamesOptions(cell=cell, hidden_size=13, **options), 5).double().eval()


@pytest.mark.parametrize(
    "cell, options",
    [
        ("linear", {}), ("linear", {"pool": True, "embed_dim": 7}), ("rnn", {}), ("rnn", {"layers": 2}), ("gru", {}),
        *((cell, {"layers": 2, "bidirectional": True, "pool": True, "embed_dim": 7, "ngrams": 4})
          for cell in ("rnn", "gru", "lstm")),
    ],
)  # fmt: skip
def test_a_batch_is_what_its_names_are_one_by_one(cell, options):
    net, labels = net_of(cell, **options), torch.tensor([0, 1, 2, 3, 4, 0])
    criterion = nn.CrossEntropyLoss(reduction="sum")

    def gradients(loss: torch.Tensor) -> list[torch.Tensor]:
        return torch.autograd.grad(loss, list(net.parameters()))

    batched = criterion(net(*encode(NAMES)), labels)
    single = sum(criterion(net(*encode([name])), labels[i : i + 1]) for i, name in enumerate(NAMES))
    assert torch.allclose(batched, single, rtol=1e-12)
    for ours, theirs in zip(gradients(batched), gradients(single), strict=True):
        assert theirs.abs().max() > 0 and torch.allclose(ours, theirs, rtol=1e-9, atol=1e-12)


def test_the_cell_from_linear_layers_is_nn_rnn():
    torch.manual_seed(0)
    ours, theirs = LinearRNN(5, 7).double(), nn.RNN(5, 7, batch_first=True).double()
    names = {"weight_ih": "i2h.weight", "weight_hh": "h2h.weight", "bias_ih": "i2h.bias", "bias_hh": "h2h.bias"}
    theirs.load_state_dict({f"{name}_l0": ours.state_dict()[own] for name, own in names.items()})
    x, lengths = torch.randn(4, 6, 5).double().requires_grad_(), torch.tensor([3, 6, 1, 5])
    there = (torch.arange(6) < lengths[:, None])[..., None]
    for first in (None, torch.randn(1, 4, 7).double()):
        packed = pack_padded_sequence(x, lengths, batch_first=True, enforce_sorted=False)
        (states, last), (their_states, their_last) = ours(x, lengths, first), theirs(packed, first)
        their_states, _ = pad_packed_sequence(their_states, batch_first=True)
        assert torch.allclose(states * there, their_states, atol=1e-14) and torch.allclose(last, their_last, atol=1e-14)
        upstream = torch.randn_like(last)
        gradients = [torch.autograd.grad(out, x, upstream)[0] for out in (last, their_last)]
        assert torch.allclose(*gradients, atol=1e-13) and gradients[0].abs().max() > 0


def test_the_nets_have_the_originals_parameters():
    def count(net: nn.Module) -> int:
        return sum(weight.numel() for weight in net.parameters())

    original = NamesOptions(**char_rnn.RECIPES["original"])
    assert count(CharRNN(original, 18)) == 26_386  # 58 letters; the edition of 2024 had 57, and so 128 weights less
    assert count(CharRNN(NamesOptions(cell="rnn"), 18)) == 26_386


def test_letters_are_encoded_by_their_place_in_the_alphabet():
    letters, lengths = encode(["Bo", "a_Z"])
    assert letters.tolist() == [[27, 14, 0], [0, 57, 51]] and lengths.tolist() == [2, 3]
    one_hot = net_of("rnn").embed(letters)
    assert one_hot.shape == (2, 3, 58) and one_hot[0, 0].nonzero().item() == 27 and one_hot.sum() == 6


def test_ngrams_are_the_same_whatever_the_case_and_padding():
    ngrams = CharNgrams(3, longest=3)
    rows = ngrams.indices(*encode(["Anna", "anna", "Li", "X"]))
    found = [set(row[row > 0].tolist()) for row in rows]
    # ^anna$ has 6 letters with its marks: 6 + 5 + 4 n-grams; among them n and a come twice
    assert [(row > 0).sum().item() for row in rows] == [15, 15, 9, 6] and len(found[0]) == 13
    assert found[0] == found[1] and len(found[2] & found[3]) == 2  # the two marks alone
    alone = ngrams.indices(*encode(["X"]))[0]
    assert set(alone[alone > 0].tolist()) == found[3]


def test_logits_are_adjusted_by_the_class_priors_in_evaluation_alone():
    labels = torch.tensor([0, 0, 0, 1])
    net = CharRNN(NamesOptions(hidden_size=4, logit_adjustment=0.5), 2, labels)
    adjusted, plain = net.eval()(*encode(NAMES)), net.train()(*encode(NAMES))
    assert torch.allclose(plain - adjusted, 0.5 * torch.tensor([0.75, 0.25]).log(), atol=1e-6)


def test_a_batch_is_cut_to_its_longest_name():
    lines = NamesDataset(data.load("names", "tiny"))
    shortest = lines.lengths.argsort()[:4].tolist()
    letters, lengths, labels = lines.__getitems__(shortest)
    assert letters.shape == (4, int(lengths.max())) and labels.tolist() == lines.labels[shortest].tolist()


def test_the_study_recipe_learns_the_twin_and_leaves_everything(study):
    folder, printed = study
    summary = json.loads((folder / "summary.json").read_text())
    metrics = summary["metrics"]
    assert 0.9 < metrics["test/accuracy"] <= metrics["test/ceiling"] and metrics["test/macro_f1"] > 0.85
    assert metrics["test/new_names"] == 1 and metrics["test/accuracy_new_names"] == metrics["test/accuracy"]
    assert 0.2 < summary["chance"]["test/accuracy"] < 0.5
    assert "1,800 names of 6 classes" in printed and re.search(r"Fjordic +\d+\.\d % of \d+ test names", printed)
    assert "accuracy by length: " in printed


def test_the_dashboard_shows_all_kinds(study, events):
    tags = events.Tags()
    assert {"accuracy/train", "accuracy/val", "macro_f1/val"} <= set(tags["scalars"])
    assert "pr/Aquish" in tags["tensors"]
    for name, rows in (("letters", 58 + len(MARKS)), ("names", None)):  # neither may have removed the other
        projector = next(study[0].glob(f"*/{name}"))
        metadata = (projector / "metadata.tsv").read_text().splitlines()
        assert len((projector / "tensors.tsv").read_text().splitlines()) == len(metadata)
        assert rows in (None, len(metadata))


def test_the_original_recipe_is_the_published_protocol(tmp_path):
    argv = ("--recipe", "original", "--epochs", "25", "--batch-size", "510", "--log-every", "3", "--hidden-size", "4")
    code, printed = run(tmp_path / "original", *argv)
    assert code == 0 and "1,530 names to train, 0 to validate, 270 to test" in printed, printed
    metrics = json.loads((tmp_path / "original" / "summary.json").read_text())["metrics"]
    assert 0 < metrics["test/new_names"] < 1  # the leak of a split at random, told
    losses = plots.read_curves(tmp_path / "original" / "metrics.jsonl")["loss/train"][1]
    assert len(losses) == 26 and metrics["train/loss_epoch_25"] == losses[-1] < losses[0]


def test_your_own_names(study):
    code, printed = run(study[0], "--name", "Brogrundgrad")
    shares = [float(share) for share in re.findall(r"([\d.]+)%", printed)]
    assert code == 0 and len(shares) == 3 and shares == sorted(shares, reverse=True)
    assert "Brontic" in printed.splitlines()[1]
    code, printed = run(study[0], "--name", "  Ślusàrski-3 ")
    assert code == 0 and "read as Ślusàrski__, outside the alphabet: - 3" in printed
    for name in ("", "東京", "_"):
        code, printed = run(study[0], "--name", name)
        assert code == 1 and "no letter of it is in the alphabet" in printed and "Traceback" not in printed


def test_a_model_of_an_earlier_edition_is_refused(tmp_path):
    about = {"tutorial": "names", "options": {"readers": 1}, "classes": ["Greek", "Irish"]}
    checkpoint.save(tmp_path / "best.safetensors", {"weight": torch.ones(1), "about": about})
    code, printed = run(tmp_path, "--name", "Li")
    assert code == 1 and "earlier version" in printed and "make names" in printed and "Traceback" not in printed


def test_any_folder_of_lines_is_learnt(tmp_path):
    path = tmp_path / "files"
    path.mkdir()
    rng = np.random.default_rng(0)
    for kind, letters in (("Vowels", list("aeiou")), ("Others", list("bcdfg"))):
        (path / f"{kind}.txt").write_text("\n".join("".join(rng.choice(letters, 5)) for _ in range(150)))
    code, printed = run(tmp_path / "run", "--folder", str(path), "--epochs", "4")
    assert code == 0, printed
    assert json.loads((tmp_path / "run" / "summary.json").read_text())["metrics"]["test/accuracy"] > 0.9
    assert run(tmp_path / "run", "--name", "aeiou")[1].splitlines()[1].endswith("Vowels")


def test_the_race_trains_both_ways_alike(monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["race_names"])
    monkeypatch.setattr(race_names.race, "__defaults__", (1,))  # a round
    race_names.main()
    printed = capsys.readouterr().out
    losses = re.findall(r"mean loss ([\d.]+)", printed)
    assert len(losses) == 2 and abs(float(losses[0]) - float(losses[1])) < 1e-5
    assert float(re.search(r"batched is ([\d.]+) times as fast", printed)[1]) > 2  # about 20 where nothing else runs


@pytest.mark.slow
def test_real_names_are_learnt(real_data, tmp_path):
    argv = ["--data", "official", "--data-root", str(real_data), "--recipe", "original", "--epochs", "3"]
    code, printed = run(tmp_path / "real", *argv)
    assert code == 0, printed
    summary = json.loads((tmp_path / "real" / "summary.json").read_text())
    assert "17,063 names to train, 0 to validate, 3,011 to test" in printed
    assert summary["metrics"]["test/accuracy"] > 0.65 and summary["parameters"] == 26_386
    assert summary["published"] == {"train/loss_epoch_25": 0.4345}
