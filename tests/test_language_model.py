"""The language model: windows, softmax, no look ahead, writing, runs on the twin, real text where it is."""

import json
import os
import re
import sys
from pathlib import Path

import pytest
import torch

from tests.processes import run_to_end
from tutorials import language_model
from tutorials.common.words import AdaptiveWords
from tutorials.common.writing import Style, choose, race, write
from tutorials.language_model import RECIPES, LanguageModel, LanguageModelOptions, Windows

SMALL = ("--width", "24", "--hidden", "32", "--epochs", "2")


def main(*argv: str) -> None:
    sys.argv = ["language_model", "--device", "cpu", *argv]
    language_model.main()


def run(folder: Path, *argv: str) -> tuple[int, str]:
    return run_to_end(main, folder, *argv)


def build(size: int = 50, recipe: str = "study", **changed) -> LanguageModel:
    torch.manual_seed(0)
    small = dict(width=24, hidden=32, layers=2, heads=2, frequent=20, length=16)
    return LanguageModel(size, LanguageModelOptions(**{**RECIPES[recipe], **small, **changed})).eval()


@pytest.fixture(scope="module")
def study(tmp_path_factory) -> tuple[Path, str]:
    folder = tmp_path_factory.mktemp("runs") / "study"
    code, printed = run(folder)
    assert code == 0, printed
    return folder, printed


def test_the_original_net_has_the_originals_parameters():
    net = LanguageModel(28_782, LanguageModelOptions(**RECIPES["original"]))
    assert sum(weight.numel() for weight in net.parameters()) == 12_025_582


def test_windows_in_columns_are_the_originals_batches():
    tokens, columns, length = torch.arange(107), 5, 4
    windows = Windows(tokens, length, columns)
    height = 107 // columns
    data = tokens[: height * columns].view(columns, height).T  # the original's batchify
    for number, top in enumerate(range(0, height - 1, length)):
        size = min(length, height - 1 - top)
        inputs, targets = windows.__getitems__(list(range(number * columns, (number + 1) * columns)))
        assert torch.equal(inputs, data[top : top + size].T)
        assert torch.equal(targets, data[top + 1 : top + 1 + size].T)
    assert len(windows) == columns * len(range(0, height - 1, length))


def test_shuffled_windows_follow_from_seed_and_epoch_and_stay_inside():
    windows = Windows(torch.arange(100), 8, seed=1)
    starts = []
    for epoch in (0, 1, 0):
        windows.set_epoch(epoch)
        inputs, targets = windows.__getitems__(list(range(len(windows))))
        assert torch.equal(inputs + 1, targets)
        starts.append(int(inputs[0, 0]))
    assert starts[0] == starts[2]
    assert len({int(Windows(torch.arange(100), 8, seed=seed).starts[0]) for seed in range(8)}) > 1


def test_adaptive_words_are_an_exact_softmax_with_the_rows_of_the_input():
    torch.manual_seed(0)
    words, x = AdaptiveWords(50, 24, 20).double(), torch.randn(7, 24).double()
    targets = torch.tensor([0, 19, 20, 49, 3, 30, 7])
    log_p = words.log_prob(x)
    torch.testing.assert_close(log_p.exp().sum(1), torch.ones(7).double())
    torch.testing.assert_close(words.nats(x, targets), -log_p[range(7), targets])
    vectors = words.embed(targets[None])[0]
    torch.testing.assert_close(vectors[1], words.head.weight[19])
    rise, rare = words.tail[0][0].weight, words.tail[0][1].weight
    torch.testing.assert_close(vectors[3], rare[29] @ rise)


@pytest.mark.parametrize("recipe", ["original", "study"])
def test_no_later_token_changes_an_earlier_output(recipe):
    net, tokens = build(recipe=recipe).double(), torch.arange(12)[None]
    before = net.encode(tokens)
    for place in range(12):
        changed = tokens.clone()
        changed[0, place] += 7
        after = net.encode(changed)
        assert torch.equal(before[:, :place], after[:, :place])
        assert not torch.allclose(before[:, place:], after[:, place:])
    net.causal = False
    assert not torch.allclose(net.encode(changed)[:, 0], net.encode(tokens)[:, 0]), "the test cannot see a leak"


@pytest.mark.parametrize("recipe", ["original", "study"])
def test_steps_give_what_a_whole_window_gives(recipe):
    net, tokens = build(recipe=recipe).double(), torch.arange(10)[None]
    whole = net.words.log_prob(net.encode(tokens)[0])
    past = None
    for place in range(10):
        log_p, past = net.step(tokens[:, place : place + 1], place, past)
        torch.testing.assert_close(log_p[0], whole[place], rtol=1e-9, atol=1e-11)


def test_each_token_is_measured_once_with_context(monkeypatch):
    net, tokens = build().double(), torch.randint(0, 50, (83,), generator=torch.Generator().manual_seed(3))

    class Place:
        options, device = LanguageModelOptions(length=16), torch.device("cpu")

    expected = 0.0
    for target in range(1, 83):
        begin = max(0, ((target - 1) // 8 - 1) * 8)  # the half window before the one in which the target's input stands
        expected -= float(net.words.log_prob(net.encode(tokens[None, begin:target])[0])[-1, tokens[target]])
    assert language_model.measure(Place, net, tokens, rows=3) == pytest.approx(expected / 82, rel=1e-9)


def test_writing_with_kept_keys_writes_the_same_beyond_the_window():
    net = build().double()
    assert set(race(net, [4, 5, 6], count=40)) == {True, False}
    style = Style(temperature=1.0, top_k=10, top_p=0.9, seed=3)
    texts = [write(net, [4, 5, 6], 40, style, keep) for keep in (True, False)]
    assert texts[0] == texts[1] and len(texts[0]) == 40 and 0 not in texts[0]
    assert write(net, list(range(40)), 5, style), "a beginning longer than the window"


def test_choosing():
    log_p = torch.tensor([0.5, 0.2, 0.15, 0.1, 0.05]).log()
    generator = torch.Generator().manual_seed(0)

    def seen(**style) -> set[int]:
        return {choose(log_p, Style(**style), generator) for _ in range(300)}

    assert seen() == {1}
    assert seen(temperature=1.0) == {1, 2, 3, 4}, "never the unknown word"
    assert seen(temperature=1.0, top_k=2) == {1, 2}
    assert seen(temperature=1.0, top_p=0.5) == {1, 2}
    assert seen(temperature=1.0, top_p=0.0) == {1}


def test_a_run_on_the_twin_learns_and_leaves_what_it_should(study):
    folder, printed = study
    summary = json.loads((folder / "summary.json").read_text())
    assert summary["metrics"]["test/perplexity"] < 0.1 * summary["chance"]["test/perplexity"]
    assert summary["metrics"]["test/bits_per_character"] > 0
    assert {path.stem for path in (folder / "figures").glob("*.png")} == {"curves", "leak", "attention"}
    assert "with the mask: 0.0e+00" in printed


def test_generate_goes_on_and_names_unknown_words(study, capsys):
    main("--text", "The wolf xyzzy lives in", "--run-dir", str(study[0]), "--tokens", "9")
    printed = capsys.readouterr().out
    assert "read as <unk>: xyzzy" in printed
    assert len(re.search(r"lives in \| (.*)", printed)[1].split()) == 9
    with pytest.raises(SystemExit) as stopped:
        main("--text", "  ", "--run-dir", str(study[0]))
    assert stopped.value.code == 1 and "holds no word" in capsys.readouterr().err


def test_a_net_without_a_mask_reads_the_next_word(tmp_path):
    code, printed = run(tmp_path / "leak", *SMALL, "--no-causal")
    assert code == 0, printed
    summary = json.loads((tmp_path / "leak/summary.json").read_text())
    assert summary["published"] == {} and "causal" in summary["changed"]


def test_wrong_options_are_refused(capsys):
    for wrong in (("--heads", "5"), ("--top-p", "1.5"), ("--length", "1")):
        with pytest.raises(SystemExit) as stopped:
            main(*wrong)
        assert stopped.value.code == 2 and wrong[0] in capsys.readouterr().err


@pytest.mark.skipif(not os.environ.get("STUDY_DATA"), reason="needs the real text")
def test_real_text_has_the_originals_words():
    class Place:
        options = LanguageModelOptions(data="official")
        say = staticmethod(print)

        @staticmethod
        def load_data(name):
            import data

            return data.load(name)

    words, parts = language_model.load_text(Place)
    assert len(words) == 28_782
    assert {part: len(tokens) for part, tokens in parts.items()} == {
        "train": 2_049_990,
        "val": 214_417,
        "test": 241_859,
    }
