"""The exercises: red when blank, red when wrong, green when right; and the repository stays as it is."""

import inspect
import subprocess
from pathlib import Path

import pytest

from comparisons import exercise
from comparisons.cases import CASES
from comparisons.mistakes import MISTAKES
from comparisons.public import FUNCTIONS

NAMES = list(dict.fromkeys(name for case in CASES for name in case.functions))


def run(*arguments: str, capsys) -> tuple[int, str]:
    code = exercise.main(list(arguments))
    captured = capsys.readouterr()
    return code, captured.out + captured.err


def body(name: str) -> str:
    """The right function's source, as a student would have written it."""
    return inspect.getsource(FUNCTIONS[name])


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
    assert code == 1 and "RED" in text and "differs at" in text, text


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
