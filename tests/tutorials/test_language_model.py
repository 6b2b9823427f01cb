"""The language model: windows, softmax, no look ahead, writing, runs on the twin, real text where it is."""

import json
import os
import re
from types import SimpleNamespace

import pytest
import torch

import data
from tests import programs
from tests.processes import record, run_ranks
from tutorials import language_model
from tutorials.common import autocast
from tutorials.common.autocast import Autocast
from tutorials.language_model import RECIPES, LanguageModel, LanguageModelOptions, Windows
from tutorials.reports.language_model import perplexity_by_time
from tutorials.text.adaptive_softmax import AdaptiveWords
from tutorials.text.continuous_cache import Memory, fit_memory
from tutorials.text.dynamic_evaluation import DynamicEvaluation
from tutorials.text.generation import Style, choose, write
from tutorials.text.perplexity import measure
from tutorials.tools import ablate_language_model

PROGRAM = programs.LANGUAGE_MODEL
run, main = PROGRAM.run, PROGRAM.main


def build(recipe: str = "study", **changed) -> LanguageModel:
    torch.manual_seed(0)
    small = dict(d_model=24, dim_feedforward=32, layers=2, heads=2, frequent=20, length=16)
    return LanguageModel(50, LanguageModelOptions(**{**RECIPES[recipe], **small, **changed})).eval()


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
    torch.testing.assert_close(words.loss(x, targets), -log_p[range(7), targets].mean())
    vectors = words.embed(targets[None])[0]
    torch.testing.assert_close(vectors[1], words.head.weight[19])
    rise, rare = words.tail[0][0].weight, words.tail[0][1].weight
    torch.testing.assert_close(vectors[3], rare[29] @ rise)


def test_untied_words_have_an_input_of_their_own():
    words = AdaptiveWords(50, 24, 20, tied=False)
    torch.testing.assert_close(words.embed(torch.tensor([[30]]))[0, 0], words.table.weight[30])


@pytest.mark.parametrize("targets", [[0, 19, 20, 49, 3, 30, 7], [1, 2, 3, 4, 5, 6, 7]], ids=["mixed", "all frequent"])
def test_the_cheap_loss_has_the_gradients_of_the_plain_one(targets):
    torch.manual_seed(0)
    words, x, targets = AdaptiveWords(50, 24, 20).double(), torch.randn(7, 24).double(), torch.tensor(targets)
    gradients = []
    for loss in (words.loss, lambda x, targets: -words.log_prob(x)[range(7), targets].mean()):
        inputs = x.clone().requires_grad_()
        words.zero_grad()
        (3 * loss(inputs, targets)).backward()
        weights = [torch.zeros_like(w) if w.grad is None else w.grad for w in words.parameters()]
        gradients.append([inputs.grad, *weights])
    assert len(gradients[0]) == 5
    for ours, plain in zip(*gradients, strict=True):
        torch.testing.assert_close(ours, plain)


def test_half_precision_changes_the_loss_and_its_gradients_but_little():
    torch.manual_seed(0)
    words, x, targets = AdaptiveWords(50, 24, 20), torch.randn(64, 24), torch.randint(0, 50, (64,))
    results = []
    for half in (False, True):
        words.zero_grad()
        with torch.autocast("cpu", torch.bfloat16, enabled=half):
            loss = words.loss(x, targets)
        loss.backward()
        results.append((loss.detach(), words.head.weight.grad, words.tail[0][1].weight.grad))
        assert loss.dtype == torch.float32
    for whole, half in zip(*results, strict=True):
        assert (whole - half).norm() < 0.02 * whole.norm()


@pytest.mark.parametrize("slow", [False, True])
def test_half_precision_is_used_only_where_it_is_fast(monkeypatch, slow):
    monkeypatch.setattr(autocast, "product_seconds", lambda dtype: float(slow == (dtype == torch.bfloat16)))
    told, square = [], torch.ones(2, 2)
    for wanted in (True, False):
        half = Autocast(torch.device("cpu"), wanted, told.append)
        with half():
            assert (square @ square).dtype == (torch.bfloat16 if wanted and not slow else torch.float32)
    assert told == ["this processor is slow in bfloat16: computing in float32"] * slow


def test_a_resumed_run_keeps_its_precision(monkeypatch):
    monkeypatch.setattr(autocast, "product_seconds", lambda dtype: float(dtype == torch.float32))
    before = Autocast(torch.device("cpu"), True, print).state_dict()
    monkeypatch.setattr(autocast, "product_seconds", lambda dtype: float(dtype == torch.bfloat16))
    half = Autocast(torch.device("cpu"), True, print)
    assert not half.used
    half.load_state_dict(before)
    assert half.used


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


def test_each_token_is_measured_once_with_context():
    net, tokens = build().double(), torch.randint(0, 50, (83,), generator=torch.Generator().manual_seed(3))
    nats, states = measure(net, tokens, rows=3)
    assert len(nats) == len(states) == 82
    for target in range(1, 83):
        begin = max(0, ((target - 1) // 8 - 1) * 8)  # the half window before the one in which the target's input stands
        log_p = net.words.log_prob(net.encode(tokens[None, begin:target])[0])[-1].detach()
        assert float(nats[target - 1]) == pytest.approx(-float(log_p[tokens[target]]), rel=1e-9)
    shares = [measure(net, tokens, rows=2, share=slice(rank, None, 3))[0] for rank in range(3)]
    torch.testing.assert_close(torch.cat(shares).sort().values, nats.sort().values)


@pytest.mark.slow
def test_two_processes_measure_the_validation_text_once(tmp_path):
    argv = ("--data-root", str(tmp_path / "data"), *PROGRAM.small, "--epochs", "1")
    assert run_ranks(main, tmp_path / "two", *argv) == [0, 0]
    options = SimpleNamespace(tokenizer="basic_english")
    load = SimpleNamespace(options=options, load_data=lambda name: data.load(name, "tiny"), say=print)
    words, parts = language_model.load_text(load)
    net, known = language_model.load_net(tmp_path / "two" / "best.safetensors")
    loss = float(measure(net, parts["val"])[0].mean())
    assert known == words and record(tmp_path / "two")[-1]["loss/val"] == pytest.approx(loss, rel=1e-5)


def test_the_cache_is_the_formula_and_uses_only_the_past():
    generator = torch.Generator().manual_seed(0)
    states, targets = torch.randn(20, 6, generator=generator), torch.randint(0, 4, (20,), generator=generator)
    memory, size = Memory(share=0.3, sharpness=2.0, size=7), 7
    unit = states / states.norm(dim=1, keepdim=True)
    expected = torch.zeros(20)
    for now in range(1, 20):
        then = range(max(0, now - size), now)
        weights = torch.stack([2.0 * unit[now] @ unit[at] for at in then]).softmax(0)
        expected[now] = sum(weight for weight, at in zip(weights, then, strict=True) if targets[at] == targets[now])
    torch.testing.assert_close(memory.read(states, targets, rows=3).float(), expected)
    nats = torch.rand(20, dtype=torch.float64)
    p = 0.7 * (-nats).exp() + 0.3 * expected
    torch.testing.assert_close(memory.nats(nats, states, targets), -p.log())
    changed = states.clone()
    changed[12:] += 1
    assert torch.equal(memory.read(changed, targets)[:12], memory.read(states, targets)[:12])


def test_the_cache_is_fitted_to_a_text_that_repeats_itself():
    targets = torch.arange(300) % 10
    states = torch.eye(10)[targets]
    nats = torch.full((300,), 3.0, dtype=torch.float64)
    memory = fit_memory(nats, states, targets)
    assert memory.nats(nats, states, targets).mean() < 1.3


def test_dynamic_evaluation_learns_from_the_past_alone():
    net, tokens = build(length=8).double(), torch.arange(61) % 7
    nats, states = DynamicEvaluation(lr=0.5, window=3).read(net, tokens)
    assert nats.shape == (60,) and states.shape == (60, 24)
    assert nats[-7:].mean() < 0.5 * nats[:7].mean(), "the text repeats itself"
    frozen, _ = DynamicEvaluation(lr=0.0, window=3).read(net, tokens)
    log_p = net.words.log_prob(net.encode(tokens[None, 1:9])[0])[-3:].detach()  # of tokens 7 to 9, the third window
    torch.testing.assert_close(frozen[6:9], -log_p[range(3), tokens[7:10]])
    torch.testing.assert_close(nats[:3], frozen[:3])  # nothing was learned yet
    assert len(DynamicEvaluation().read(net, tokens)[0]) == 60, "a window longer than the net's context"
    changed = tokens.clone()
    changed[40:] += 1
    again, _ = DynamicEvaluation(lr=0.5, window=3).read(net, changed)
    assert torch.equal(nats[:39], again[:39])


@torch.no_grad()
def write_anew(net, tokens: list[int], count: int) -> list[int]:
    """The likeliest words, the plain way: the whole net on all that there is, for every word."""
    written, begin = list(tokens), max(0, len(tokens) - net.length)
    for _ in range(count):
        if len(written) - begin > net.length:
            begin = len(written) - net.length // 2
        log_p = net.words.log_prob(net.encode(torch.tensor([written[begin:]]))[0])  # of what follows each of them
        written.append(choose(log_p[-1], Style(), None))
    return written[len(tokens) :]


def test_writing_with_kept_keys_writes_the_same_beyond_the_window():
    net = build().double()
    assert write(net, [4, 5, 6], 40, Style()) == write_anew(net, [4, 5, 6], 40)
    style = Style(temperature=1.0, top_k=10, top_p=0.9, seed=3)
    text = write(net, [4, 5, 6], 40, style)
    assert len(text) == 40 and 0 not in text
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
    leaks = [float(told) for told in re.findall(r"on an earlier place, \w+(?: the mask)?: (\S+)", printed)]
    assert leaks[0] < 1e-6 and leaks[1] > 0.01
    assert summary["metrics"]["test/perplexity_with_cache"] < summary["metrics"]["test/perplexity"] + 0.1


def test_the_other_recipes_run_is_on_the_same_figure(study, tmp_path):
    for recipe in ("study", "original"):
        (tmp_path / f"lm-{recipe}-seed0").mkdir()
        (tmp_path / f"lm-{recipe}-seed0" / "metrics.jsonl").write_text((study[0] / "metrics.jsonl").read_text())
    alone = perplexity_by_time(study[0], "study").axes[0].lines
    both = perplexity_by_time(tmp_path / "lm-original-seed0", "original").axes[0].lines
    assert len(alone) == 1 and len(both) == 2
    assert list(both[0].get_ydata()) == list(alone[0].get_ydata()) and both[0].get_xdata()[-1] > 0


def test_generate_goes_on_and_names_unknown_words(study, capsys):
    main("--text", "The wolf xyzzy lives in", "--run-dir", str(study[0]), "--tokens", "9")
    printed = capsys.readouterr().out
    assert "read as <unk>: xyzzy" in printed
    assert len(re.search(r"lives in \| (.*)", printed)[1].split()) == 9
    with pytest.raises(SystemExit) as stopped:
        main("--text", "  ", "--run-dir", str(study[0]))
    assert stopped.value.code == 1 and "holds no word" in capsys.readouterr().err


def test_a_net_without_a_mask_reads_the_next_word(tmp_path):
    code, printed = run(tmp_path / "leak", *PROGRAM.small, "--no-causal")
    assert code == 0, printed
    summary = json.loads((tmp_path / "leak/summary.json").read_text())
    assert summary["published"] == {} and "causal" in summary["changed"]
    assert (tmp_path / "leak/figures/leak_perplexity.png").exists()


def test_each_change_can_be_taken_away():
    names = ["study recipe", "full softmax, untied", "untied", "AdamW for all", "original recipe"]
    for changed in ablate_language_model.TAKEN_AWAY.values():
        ablate_language_model.options_of(changed, "tiny").check()
    rows = ablate_language_model.ablate("tiny", 0.001, names, tokens=200)
    assert [row[0] for row in rows] == names
    for name, *numbers in rows:
        steps, _, perplexity = (float(number) for number in numbers)
        assert steps >= 1 and perplexity > 1, name


@pytest.mark.skipif(not os.environ.get("STUDY_DATA"), reason="needs the real text")
def test_real_text_has_the_originals_words():
    def load(tokenizer: str):
        options = LanguageModelOptions(data="official", tokenizer=tokenizer)
        return language_model.load_text(SimpleNamespace(options=options, say=print, load_data=data.load))

    words, parts = load("basic_english")
    assert len(words) == 28_782
    assert [len(tokens) for tokens in parts.values()] == [2_049_990, 214_417, 241_859]
    words, parts = load("wikitext")  # as all papers count them
    assert len(words) == 33_278
    assert [len(tokens) for tokens in parts.values()] == [2_088_628, 217_646, 245_569]
