"""The report, the race and the messages: what a reader gets to see."""

import json
import re
from dataclasses import asdict
from types import SimpleNamespace

import numpy as np
import pytest

from comparisons import conftest, parity, race, report, table
from comparisons.cases import CASES
from comparisons.causes import likely_cause, weight_decay
from comparisons.nets import NET_CASES
from comparisons.parity import check
from data import StudyError
from from_scratch.layers import affine_backward

rng = np.random.default_rng(0)
X = rng.standard_normal((3, 5, 8))
SIZES = {"N": 3, "T": 5, "H": 7}
GATES_SWAPPED = np.concatenate([X[..., :4], X[..., 6:], X[..., 4:6]], axis=-1)
TRANSPOSED = np.ascontiguousarray(X[0].T).reshape(X[0].shape)


@pytest.mark.parametrize(
    ("ours", "theirs", "cause"),
    [
        (X / 3, X, "a factor 0.333333, 1/N with N = 3"),
        (X * 15, X, r"a factor 15, \(N·T\) with N = 3, T = 5"),
        (X * 7 / 6, X, r"H/\(H-1\), a variance unbiased for biased with H = 7"),
        (X * 5**0.5, X, "√T with T = 5"),
        (X * 1.001, X, "a factor 1.001"),
        (-X, X, "the sign"),
        (0 * X, X, "a gradient of zeros"),
        (X, 0 * X, "torch's is zero everywhere"),
        (X + 1e-7 * rng.standard_normal(X.shape), X, "something small"),  # and no gates in the order that they have
        (X[:1, :, :1] + 1e-7 * rng.standard_normal((1, 5, 1)), X[:1, :, :1], "something small"),
        (GATES_SWAPPED, X, "the gates i, f, o, g in the order i, f, g, o: swapped"),
        (TRANSPOSED, X[0], r"axes in the order \(1, 0\): transposed"),
        (X + rng.standard_normal((3, 1, 8)), X, "a term that is constant along axis 1 is left out, or added twice"),
        (X * rng.uniform(1, 2, (1, 5, 1)), X, "a factor that varies along axis 1 is left out"),
        (X * np.array([1, -1, 1])[:, None, None], X, "the sign of some along axis 0"),
        (X + 1e-4 * rng.standard_normal(X.shape), X, "something small, such as an epsilon"),
        (np.where(X > 0, X, 0), X, r"right at \d+ of 120 places; at the others nothing arrives"),
        (X, np.where(X > 0, X, 0), "at the others torch has 0: a mask, or what a ReLU cuts off, is ignored"),
        (np.where(X > 0, X, X + rng.standard_normal(X.shape)), X, "= for \\+=, or an edge"),
        (np.full(X.shape, np.nan), X, "a division by zero"),
        (np.array(7.0), np.array(3.0), "^$"),
        (np.array(1.0), np.array(3.0), "a factor 0.333333, 1/N with N = 3"),
    ],
)
def test_likely_causes(ours, theirs, cause):
    assert re.search(cause, likely_cause(ours, theirs, SIZES)), likely_cause(ours, theirs, SIZES)


B, W = rng.standard_normal(5), rng.standard_normal((5, 4))
NET = {"params": {"b1": B, "W1": W, "gamma1": B}, "reg": 0.2}


@pytest.mark.parametrize(
    ("name", "more", "cause"),
    [
        ("db1", 0.2 * B, "weight decay on biases: only the weights W decay"),
        ("dgamma1", 0.4 * B, "weight decay on gamma or beta: only the weights W decay"),
        ("dW1", -0.2 * W, "weight decay left out: 1 reg W1"),
        ("dW1", 0.2 * W, "weight decay added: 1 reg W1"),
        ("loss", 0.1 * np.sum(B * B) * 2, "weight decay on biases: only the weights W decay"),
        ("loss", -0.1 * np.sum(W * W), "weight decay left out: 1 reg W"),
        ("db1", 0.3 * B, ""),
        ("db1", 0.2 * B[::-1], ""),
        ("dx", 0.2 * B, ""),
    ],
)
def test_weight_decay_where_it_does_not_belong(name, more, cause):
    right = rng.standard_normal(np.shape(more))
    assert weight_decay(name, right + more, right, NET) == cause


def problems(name: str, **functions) -> str:
    """What is said of a case in which these functions stand in for its own."""
    case = next(case for case in CASES if case.name == name)
    return "\n".join(str(d) for d in check(case, functions=functions) if d.problem)


def test_a_message_names_tensor_place_values_and_cause():
    def without_mean(dout, cache):
        dx, dw, db = affine_backward(dout, cache)
        return dx, dw / len(dx), db

    assert re.fullmatch(
        r"affine, float64: dw of affine_backward differs at \[\d+, \d+\] by 5\.0e-01 \(allowed 1e-09\): "
        r"-?[\d.]+ by hand, -?[\d.]+ by torch\. Likely cause: a factor 0\.5, 1/N with N = 2\.",
        problems("affine", affine_backward=without_mean),
    )


def test_a_wrong_shape_and_a_wrong_type_are_named():
    def wrong(dout, cache):
        dx, dw, db = affine_backward(dout, cache)
        return dx, dw.T, db.astype(np.float32)

    text = problems("affine", affine_backward=wrong)
    assert "dw of affine_backward has the shape (17, 105), torch's (105, 17). Likely cause: transposed." in text
    assert "db of affine_backward is of float32 where torch's is of float64" in text


def test_an_argument_written_into_is_named():
    def relu_backward(dout, cache):
        dout[cache <= 0] = 0
        return dout

    text = problems("relu", relu_backward=relu_backward)
    assert "upstream" in text and "was modified in place" in text and "\n" not in text


def test_noise_does_not_pass_for_a_gradient():
    case = next(case for case in CASES if case.name == "affine")
    noise = 1e-16 * rng.standard_normal((2, 3))
    assert parity.compare(case, "dx", 0 * noise, noise, np.float64, {}, True).problem
    assert not parity.compare(case, "dx", 0 * noise, noise, np.float64, {}, False).problem


def test_the_report_holds_everything_by_itself(tmp_path):
    cases = [case for case in CASES if case.name in ("affine", "relu", "lstm")]
    nets = {name: NET_CASES[name] for name in ("TwoLayerNet", "CaptioningRNN, rnn")}
    results = report.collect(3, 2, cases, nets)
    assert not results.problems() and results.mutations[0] == results.mutations[1] > 20
    markdown, page = (path.read_text() for path in report.write(results, tmp_path))
    for text in (markdown, page):
        for words in ("lstm_backward", "dWx", "bias forgotten", "TwoLayerNet", "caught"):
            assert words in text, words
    assert page.count("data:image/png;base64,") == 5 and "http" not in page
    assert all((tmp_path / name).exists() for name in re.findall(r"\]\((figures/\w+\.png)\)", markdown))


def test_the_report_names_what_is_wrong():
    cases = [case for case in CASES if case.name == "relu"]
    results = report.collect(2, 2, cases, {"TwoLayerNet": NET_CASES["TwoLayerNet"]})
    results.mutations = (results.mutations[0], results.mutations[1] - 1)
    results.planted[0].tensor = ""
    assert len(results.problems()) == 2 and "relu" in results.problems()[0]


def test_a_race_leaves_both_curves_and_a_figure(tmp_path, capsys):
    arguments = ["--net", "CaptioningRNN, lstm", "--steps", "4", "--batch", "3", "--run-dir", str(tmp_path)]
    assert race.main([*arguments, "--dtype", "float32"]) == 0
    lines = [json.loads(line) for line in (tmp_path / "metrics.jsonl").read_text().splitlines()]
    assert [line["step"] for line in lines] == [1, 2, 3, 4] and list(tmp_path.glob("events.out.tfevents*"))
    for line in lines:
        assert line["loss/numpy"] == pytest.approx(line["loss/torch"], rel=1e-4)
        assert min(line["milliseconds/numpy"], line["milliseconds/torch"]) > 0
    assert all(f"gradient/{name}" in lines[0] for name in ("Wx", "Wh", "b", "W_embed", "W_vocab"))
    assert (tmp_path / "figures" / "race.png").stat().st_size > 10_000
    assert "by torch" in capsys.readouterr().out


def test_a_race_without_its_data_says_where_to_put_them(tmp_path, capsys, monkeypatch):
    def refuse(*_):
        raise StudyError("cifar10: not here. Put it there.")

    monkeypatch.setattr("data.load", refuse)
    with pytest.raises(SystemExit, match="1"):
        race.main(["--data", "official", "--data-root", str(tmp_path / "none"), "--run-dir", str(tmp_path)])
    assert "Put it there" in capsys.readouterr().err


class Reporter:
    """What pytest's own terminal reporter offers to the summary."""

    def __init__(self, **properties: list):
        self.lines = []
        reports = [
            SimpleNamespace(when="call", user_properties=[(k, v)]) for k, values in properties.items() for v in values
        ]
        self.stats = {"passed": reports, "failed": []}

    def section(self, title: str) -> None:
        self.lines.append(title)

    write_line = section


@pytest.mark.parametrize("shown", ["all", "worst"])
def test_the_table_ends_the_run(shown):
    found = [[asdict(d) for d in check(case, dtype, repeats=2)] for case in CASES[:20] for dtype in parity.TOLERANCES]
    reporter = Reporter(differences=found, planted=[1, 1, 1], mutations=[4, 5])
    conftest.pytest_terminal_summary(reporter, SimpleNamespace(getoption=lambda name: shown))
    text = "\n".join(reporter.lines)
    rows = re.findall(r"^[\w, ]+ +\w+ +\S+(?: +\S+){5} +\d+ µs +\d+ µs$", text, re.M)
    assert len(rows) == (len(table.rows([d for ds in found for d in ds])) if shown == "all" else 12)
    assert "all agree with torch" in text and "planted mistakes caught: 3; mutations of outputs caught: 9" in text
