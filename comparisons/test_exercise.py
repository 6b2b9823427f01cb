"""The exercises: red when blank, red when wrong, green when right; and the repository stays as it is."""

import inspect
import subprocess
from pathlib import Path
from textwrap import dedent

import pytest

from comparisons import exercise
from comparisons.cases import CASES
from comparisons.mistakes import MISTAKES
from comparisons.public import FUNCTIONS

NAMES = list(dict.fromkeys(name for case in CASES for name in case.functions))


def run(*arguments: str, capsys) -> tuple[int, str]:
    try:
        code = exercise.main(list(arguments))
    except SystemExit as ended:
        code = ended.code
    captured = capsys.readouterr()
    return code, captured.out + captured.err


def body(name: str) -> str:
    """The right function's source, as a student would have written it."""
    return dedent(inspect.getsource(FUNCTIONS[name]))


def fill(path: Path, name: str, source: str) -> None:
    """Put a solution in place of the blank function; the module's other names stand for what a student writes."""
    blank = path.read_text()
    module = FUNCTIONS[name].__module__
    own = f"import {module} as own\n\nglobals().update({{k: v for k, v in vars(own).items() if k[:2] != '__'}})\n"
    path.write_text(blank[: blank.index("def ")] + own + "\n\n" + source)


@pytest.mark.parametrize("name", NAMES)
def test_blank_is_red_and_filled_in_is_green(name, tmp_path, capsys):
    path = tmp_path / f"{name}.py"
    code, text = run(name, "--folder", str(tmp_path), capsys=capsys)
    assert code == 0 and path.exists() and "RED" in text and "still to be written" in text
    assert body(name).strip().splitlines()[-1].strip() not in path.read_text(), "the answer is in the file"
    assert run(name, "--check", "--folder", str(tmp_path), capsys=capsys)[0] == 1
    fill(path, name, body(name))
    code, text = run(name, "--check", "--folder", str(tmp_path), capsys=capsys)
    assert code == 0 and text.startswith("GREEN"), text


@pytest.mark.parametrize("name", ["affine_backward", "batchnorm_backward", "softmax_loss", "adagrad", "relu_forward"])
def test_a_wrong_answer_is_red_and_says_why(name, tmp_path, capsys):
    mistake = next(m for m in MISTAKES if m.function == name and not m.where)
    path = exercise.create(name, tmp_path / f"{name}.py")
    fill(path, name, body(name).replace(mistake.right, mistake.wrong))
    code, text = run(name, "--check", "--folder", str(tmp_path), capsys=capsys)
    assert code == 1 and "RED" in text and " and must be " in text and "error " in text, text


@pytest.mark.parametrize("name", NAMES)
def test_the_courses_own_solution_is_accepted(name, tmp_path):
    path = tmp_path / f"{name}.py"
    path.write_text(f"from comparisons.solutions import {name}\n")
    green, report = exercise.examine(name, path)
    assert green and report.count("green"), report


RETURNS = {  # what a function returns that is not what it must, and what is said of it
    ("dropout_forward", "return x * 1.0"): "dropout_forward must return (out, cache); yours returned 1 value.",
    ("dropout_forward", "return x, None, None"): "must return (out, cache); yours returned 3 values.",
    ("lstm_step_forward", "return prev_h, None"): "must return (next_h, next_c, cache); yours returned 2 values.",
    ("affine_backward", "return dout"): "affine_backward must return (dx, dw, db); yours returned 1 value.",
    ("multi_head_attention_backward", "return dout, dout, dout"): "must return (dquery, dkey, dvalue, grads); yours",
    ("adam", "return w"): "adam must return (next_w, config); yours returned 1 value.",
    ("adam", "return w, {}"): "config lacks 'learning_rate'",
    (
        "softmax_loss",
        "return x, x",
    ): "softmax_loss must return (loss, dx); loss must have the shape (), and has (11, 3).",
    ("relu_backward", "return None"): "relu_backward must return one value; its value must be an array of shape",
    ("relu_backward", "return dout, dout"): "its value must be an array of shape (2, 3, 7, 5), and is a tuple of 2.",
    ("relu_forward", "return x > 0, x"): "out must be of float64, and is of bool.",
    ("affine_forward", "return x, None"): "out must have the shape (2, 17), and has (2, 3, 7, 5).",
    ("attention_forward", "return [[1.0]], None"): "out must be an array of shape (2, 2, 3, 5), and is a list of 1.",
    ("affine_norm_relu_dropout_backward", "return (dout,) * 5"): "dx must have the shape",
}


@pytest.mark.parametrize(("function", "told"), RETURNS.items(), ids=lambda value: str(value)[:40])
def test_a_wrong_return_is_told_in_the_layers_own_terms(function, told, tmp_path):
    name, line = function
    path = exercise.create(name, tmp_path / f"{name}.py")
    path.write_text(path.read_text().replace("raise NotImplementedError", line))
    green, report = exercise.examine(name, path)
    assert not green and told in report and report.count("\n") == 0, report


def test_a_generator_that_is_ignored_is_the_cause_that_is_named(tmp_path):
    solutions = {
        "dropout_forward": "m = (np.random.default_rng(1).random(x.shape) < dropout_param['p']) / dropout_param['p']\n"
                           "    return (x * m if dropout_param['mode'] == 'train' else x), None",
        "he": "return np.random.randn(*shape) * np.sqrt(2 / np.prod(shape[1:]))",
    }  # fmt: skip
    for name, line in solutions.items():
        path = exercise.create(name, tmp_path / f"{name}.py")
        assert "`rng`, whatever is random comes from that" in path.read_text()
        path.write_text(path.read_text().replace("raise NotImplementedError", line))
        green, report = exercise.examine(name, path)
        red = [line for line in report.splitlines() if line.startswith("  RED")]
        assert not green and red and all("Cause: `rng` was not drawn from" in line for line in red), report


def test_the_cause_that_is_named_is_the_mistake(tmp_path):
    for mistake in MISTAKES:
        if mistake.where or mistake.function not in ("affine_backward", "rnn_backward_naive", "conv_backward_naive"):
            continue
        path = exercise.create(mistake.function, tmp_path / f"{mistake.function}.py")
        fill(path, mistake.function, body(mistake.function).replace(mistake.right, mistake.wrong))
        green, report = exercise.examine(mistake.function, path)
        assert not green and "Likely" not in report and f"Cause: {mistake.why}." in report, report


@pytest.mark.parametrize("name", ["lstm_forward", "lstm_forward_naive", "lstm_step_forward", "lstm_backward",
                                  "lstm_backward_naive", "lstm_step_backward"])  # fmt: skip
def test_the_order_of_the_gates_stands_in_the_stub(name):
    assert "i, f, o, g" in " ".join(exercise.scratch(name).split())


def test_what_is_green_is_marked_done_until_it_is_changed(tmp_path, capsys):
    path = exercise.create("relu_forward", tmp_path / "relu_forward.py")
    blank = path.read_text()
    path.write_text(blank.replace("raise NotImplementedError", "return np.maximum(x, 0), x"))
    assert run("relu_forward", "--folder", str(tmp_path), capsys=capsys)[0] == 0
    assert "relu_forward  (done)" in exercise.listing(tmp_path)
    path.write_text(blank)
    assert "relu_forward  (begun)" in exercise.listing(tmp_path)


def test_what_is_begun_is_never_overwritten(tmp_path, capsys):
    path = exercise.create("relu_forward", tmp_path / "relu_forward.py")
    path.write_text("mine")
    code, text = run("relu_forward", "--folder", str(tmp_path), capsys=capsys)
    assert code == 1 and path.read_text() == "mine" and "does not run" in text


def test_an_unknown_layer_names_the_nearest(tmp_path, capsys):
    code, text = run("batchnorm_backwards", "--folder", str(tmp_path), capsys=capsys)
    assert code == 1 and "batchnorm_backward" in text


def test_an_error_names_the_line(tmp_path, capsys):
    path = exercise.create("relu_forward", tmp_path / "relu_forward.py")
    path.write_text(path.read_text().replace("raise NotImplementedError", "return undefined, x"))
    code, text = run("relu_forward", "--check", "--folder", str(tmp_path), capsys=capsys)
    assert code == 1 and "NameError" in text and f"line {len(path.read_text().splitlines())}" in text


def test_the_list_is_in_the_courses_order(tmp_path, capsys):
    exercise.create("tanh_forward", tmp_path / "tanh_forward.py")
    code, text = run("--list", "--folder", str(tmp_path), capsys=capsys)
    order = ["affine_forward", "softmax_loss", "adam", "batchnorm_backward", "dropout_forward", "conv_forward_naive"]
    places = [
        text.index(f"  {name}\n") for name in [*order, "rnn_step_forward", "lstm_step_forward", "attention_forward"]
    ]
    assert code == 0 and places == sorted(places) and "tanh_forward  (begun)" in text
    assert all(f"  {name}" in text for name in NAMES)


def test_git_does_not_see_the_folder(tmp_path):
    subprocess.run(["git", "init", "-q", tmp_path], check=True)
    exercise.create("relu_forward", tmp_path / "exercises" / "relu_forward.py")
    status = subprocess.run(
        ["git", "-C", tmp_path, "status", "--porcelain"], capture_output=True, text=True, check=True
    )
    assert status.stdout == ""
