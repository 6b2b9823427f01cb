"""The exercises: red when blank, red when wrong, green when right; and the repository stays as it is."""

import inspect
import subprocess
from pathlib import Path
from textwrap import dedent

import pytest

from comparisons import exercise, verdicts
from comparisons.cases import CASES, NOTEBOOKS
from comparisons.checks import checks_of, examine
from comparisons.mistakes import ACCEPTED, MISTAKES
from comparisons.public import FUNCTIONS
from comparisons.solutions import SOLUTIONS

NAMES = list(dict.fromkeys(name for case in CASES for name in case.functions))


def run(*arguments: str, capsys) -> tuple[int, str]:
    try:
        code = exercise.main(list(arguments))
    except SystemExit as ended:
        code = ended.code
    captured = capsys.readouterr()
    return code, captured.out + captured.err


def checked(name: str, path: Path) -> tuple[int, int, str]:
    """How many checks are green, of how many, and what is said."""
    found = examine(name, exercise.load(name, path), path)
    green = sum(check.state == "green" for check in found)
    assert [check.state for check in found[:green]] == ["green"] * green
    assert {check.state for check in found[green + 1 :]} <= {"not yet"}, "after the first red one they wait"
    return green, len(found), exercise.report(name, path, found)


def write(name: str, line: str, folder: Path) -> Path:
    """An exercise's file with a line of code in it."""
    path = exercise.create(name, folder / f"{name}.py")
    path.write_text(path.read_text().replace("raise NotImplementedError", line))
    return path


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
def test_a_blank_is_red_and_does_not_hold_the_answer(name, tmp_path, capsys):
    path = tmp_path / f"{name}.py"
    code, text = run(name, "--folder", str(tmp_path), capsys=capsys)
    assert code == 0 and path.exists() and "RED" in text and "still to be written" in text
    assert body(name).strip().splitlines()[-1].strip() not in path.read_text(), "the answer is in the file"


@pytest.mark.parametrize("name", [list(cases[-1].functions)[-1] for cases in NOTEBOOKS.values()])
def test_what_is_filled_in_as_here_turns_green(name, tmp_path, capsys):
    path = exercise.create(name, tmp_path / f"{name}.py")
    assert run(name, "--check", "--folder", str(tmp_path), capsys=capsys)[0] == 1
    fill(path, name, body(name))
    code, text = run(name, "--check", "--folder", str(tmp_path), capsys=capsys)
    assert code == 0 and text.startswith("GREEN"), text


@pytest.mark.parametrize("name", NAMES)
def test_the_courses_own_solution_is_accepted(name, tmp_path):
    path = tmp_path / f"{name}.py"
    solution = SOLUTIONS.get(name, FUNCTIONS[name])
    path.write_text(f"from {solution.__module__} import {name}\n")
    green, count, report = checked(name, path)
    assert green == count >= 5, report
    labels = [check.label for check in checks_of(name)]
    assert len(set(labels)) == count and {"shapes and dtypes", "float32"} <= set(labels)
    assert labels[0].startswith("returns ")
    assert labels[-1].startswith("edge sizes: ") or name.endswith("_schedule"), "they have no size of one"


@pytest.mark.parametrize("mistake", MISTAKES, ids=str)
def test_a_planted_mistake_turns_a_check_red(mistake, monkeypatch, tmp_path):
    monkeypatch.setattr(verdicts, "explain", lambda *_, **__: None)  # which takes longer than all checks
    case = next(case for case in CASES if mistake.concerns(case))
    found = examine(mistake.function, mistake.replacing(case)[mistake.function], tmp_path)
    assert [check for check in found if check.state == "RED" and check.why], f"all checks are green: {mistake}"


@pytest.mark.parametrize("accepted", ACCEPTED, ids=str)
def test_another_form_that_is_accepted_is_green_in_all_checks(accepted, tmp_path):
    case = next(case for case in CASES if accepted.concerns(case))
    found = examine(accepted.function, accepted.replacing(case)[accepted.function], tmp_path)
    assert all(check.state == "green" for check in found), found


STAGES = {  # an answer on its way, and what is said of it
    ("affine_backward", "raise NotImplementedError"): (0, "still to be written"),
    ("affine_backward", "return dout"): (0, "returns (dx, dw, db)"),
    ("affine_backward", "x, w, b = cache; return w, x, b"): (1, "shapes and dtypes"),
    ("affine_backward", "x, w, b = cache; return x, w, b"): (2, ", but must be 2 (relative error "),
    ("affine_backward", "x, w, b = cache; return x, w, dout.sum(0)"):
        (3, "dx, dw, db for an upstream gradient of ones"),
    ("affine_backward", "x, w, b = cache; X = x.reshape(len(x), -1).T; "
                        "return (dout @ w.T).reshape(x.shape), X @ np.ones_like(dout), dout.sum(0)"):
        (4, "dx, dw, db for any upstream gradient"),
    ("affine_backward", "exit()"): (0, "affine: SystemExit in "),
    ("relu_forward", "x[x < 0] = 0; return x, x"): (4, "x of relu_forward, relu_backward was modified in place"),
    ("relu_forward", "return np.maximum(x, 0).astype(np.float64 if x.dtype == np.float64 else np.float16), x"):
        (5, "relu, float32: out of relu_forward is of float16 where torch's is of float32"),
    ("layernorm_forward", "x_hat = (x - x.mean(0)) / np.sqrt(x.var(0) + ln_param.get('eps', 1e-5)); "
                          "return gamma * x_hat + beta, None"):
        (2, "Cause: normalized over the batch"),
    ("relu_forward", "return np.maximum(x, 0).squeeze(), x"): (6, "batch of one: relu: relu_forward must return"),
    ("relu_forward", "return np.maximum(x.astype(np.float64), 0), x"): (7, "GREEN"),
    ("sgd_momentum", "return w - 1e-2 * dw, {'learning_rate': 1e-2, 'momentum': 0.9, 'velocity': -1e-2 * dw}"):
        (3, "what it keeps in config: velocity"),
    ("dropout_forward", "mask = (dropout_param['rng'].random(x.shape) < dropout_param['p']) / dropout_param['p']; "
                        "return x * mask, None"): (5, "dropout, test mode, float64: out"),
}  # fmt: skip


@pytest.mark.parametrize(("answer", "told"), STAGES.items(), ids=lambda value: str(value)[:60])
def test_an_exercise_turns_green_little_by_little(answer, told, tmp_path):
    name, line = answer
    stage, said = told
    green, count, report = checked(name, write(name, line, tmp_path))
    assert green == stage and f": {green} of {count} checks green" in report, report
    red = report[report.index("  RED") :] if green < count else report
    assert said in red.partition("  not yet")[0], report


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
    ): "softmax_loss must return (loss, dx); loss must have the shape (), but has (11, 3).",
    ("relu_backward", "return None"): "relu_backward must return one value; its value must be an array of shape",
    ("relu_backward", "return dout, dout"): "its value must be an array of shape (2, 3, 7, 5), but is a tuple of 2.",
    ("relu_forward", "return x > 0, x"): "out must be of float64, but is of bool.",
    ("affine_forward", "return x, None"): "out must have the shape (2, 17), but has (2, 3, 7, 5).",
    ("attention_forward", "return [[1.0]], None"): "out must be an array of shape (2, 2, 3, 5), but is a list of 1.",
    ("affine_norm_relu_dropout_backward", "return (dout,) * 3 + (None, None)"): "dx must have the shape",
}


@pytest.mark.parametrize(("function", "told"), RETURNS.items(), ids=lambda value: str(value)[:40])
def test_a_wrong_return_is_told_in_the_layers_own_terms(function, told, tmp_path):
    name, line = function
    green, count, report = checked(name, write(name, line, tmp_path))
    assert green < 2 and told in report and report.count("\n") == count + 1, report


def test_a_generator_that_is_ignored_is_the_cause_that_is_named(tmp_path):
    solutions = {
        "dropout_forward": "m = (np.random.default_rng(1).random(x.shape) < dropout_param['p']) / dropout_param['p']\n"
                           "    return (x * m if dropout_param['mode'] == 'train' else x), None",
        "he": "return np.random.randn(*shape) * np.sqrt(2 / np.prod(shape[1:]))",
    }  # fmt: skip
    for name, line in solutions.items():
        path = write(name, line, tmp_path)
        assert "`rng`, draw all random numbers from it" in path.read_text()
        green, count, report = checked(name, path)
        assert green < count and "Cause: `rng` was not used" in report, report


def test_the_cause_that_is_named_is_the_mistake(tmp_path):
    for mistake in MISTAKES:
        if mistake.where or mistake.function not in ("affine_backward", "rnn_backward_naive", "conv_backward_naive"):
            continue
        path = exercise.create(mistake.function, tmp_path / f"{mistake.function}.py")
        fill(path, mistake.function, body(mistake.function).replace(mistake.right, mistake.wrong))
        green, count, report = checked(mistake.function, path)
        assert green < count and "Likely" not in report and f"Cause: {mistake.why}." in report, report


@pytest.mark.parametrize("name", ["lstm_forward", "lstm_forward_naive", "lstm_step_forward", "lstm_backward",
                                  "lstm_backward_naive", "lstm_step_backward"])  # fmt: skip
def test_the_order_of_the_gates_stands_in_the_stub(name):
    assert "i, f, o, g" in " ".join(exercise.scratch(name).split())


def test_what_is_green_is_marked_done_until_it_is_changed(tmp_path, capsys):
    path = write("relu_forward", "return np.maximum(x, 0), x", tmp_path)
    right = path.read_text()
    assert "make learn" in run("relu_forward", "--folder", str(tmp_path), capsys=capsys)[1]
    assert "relu_forward  (done)" in exercise.listing(tmp_path)
    path.write_text(right.replace("maximum", "minimum"))
    assert "relu_forward  (begun)" in exercise.listing(tmp_path)
    assert run("relu_forward", "--folder", str(tmp_path), capsys=capsys)[0] == 0
    assert "relu_forward  (begun: 2 of 7 green)" in exercise.listing(tmp_path)


def test_what_is_begun_is_never_overwritten(tmp_path, capsys):
    path = exercise.create("relu_forward", tmp_path / "relu_forward.py")
    path.write_text("mine")
    code, text = run("relu_forward", "--folder", str(tmp_path), capsys=capsys)
    assert code == 1 and path.read_text() == "mine" and "does not run" in text
    for other in ("raise SystemExit", "raise ValueError('of two\\nlines')", "\0", "def relu_forward(", "x = 1"):
        path.write_text(other)
        code, text = run("relu_forward", "--folder", str(tmp_path), capsys=capsys)
        assert code == 1 and text.count("\n") == 1 and "relu_forward.py does not run: " in text, text


def test_an_unknown_layer_names_the_nearest(tmp_path, capsys):
    code, text = run("batchnorm_backwards", "--folder", str(tmp_path), capsys=capsys)
    assert code == 1 and "batchnorm_backward" in text


def test_an_error_names_the_line(tmp_path, capsys):
    path = write("relu_forward", "return undefined, x", tmp_path)
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
